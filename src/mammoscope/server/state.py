"""What the routes share: the bundle, the analyses and the thread that works on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from mammoscope.audit import AuditTrail
from mammoscope.bundle import load_bundle
from mammoscope.queue.metrics import registry_of
from mammoscope.readers import IsolatedReader
from mammoscope.server.analysis_store import AnalysisStore
from mammoscope.server.analysis_thread import AnalysisThread
from mammoscope.server.ephemeral import EphemeralFolder
from mammoscope.server.metrics import ServerMetrics
from mammoscope.server.readings import Readings
from mammoscope.server.settings import ServerSettings
from mammoscope.server.uploads import Uploads


class ServerState:
    """Opened when the server starts, closed when it ends; closing twice is harmless.

    Attributes
    ----------
    settings, bundle, store, analysis_thread, uploads, readings
        As their classes say.
    headers
        Tells of which exam a file is, before it is taken on.
    grouping
        Lets the headers of one upload be read at a time: each has ``headers`` to itself, for a limited time.
    drawing
        Lets one overlay or report be drawn at a time: each takes a core, and the memory of a full image.
    metrics, registry
        What is measured, and as Prometheus gets it.
    checking
        Lets one at a time see whether everything works.

    Raises
    ------
    MammoscopeError
        The bundle or the data folder cannot be used.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.bundle = load_bundle(settings.bundle)
        audit = None if settings.audit is None else AuditTrail(settings.audit, "serve", self.bundle, self.floor)
        self._ephemeral = EphemeralFolder() if settings.data is None else None
        folder = None if self._ephemeral is None else self._ephemeral.path
        self._is_closed = False
        try:
            self.store = AnalysisStore(folder or Path(str(settings.data)), settings.queue)
        except BaseException:
            self._remove_ephemeral()
            raise
        self.analysis_thread = AnalysisThread(
            self.store,
            self.bundle.folder,
            settings.limits.for_reader(),
            floor=self.floor,
            together=self.bundle.sees_exams,
            ephemeral=folder,
            audit=audit,
        )
        self.headers = IsolatedReader(settings.limits.for_reader().of_header)
        self.grouping = CapacityLimiter(1)
        self.uploads = Uploads(settings.limits, settings.reserve)
        self.drawing = CapacityLimiter(1)
        self.metrics = ServerMetrics(
            self.store.figures, self.analysis_thread, folder or Path(str(settings.data)), settings.reserve
        )
        self.registry = registry_of(self.bundle, self.metrics)
        self.checking = CapacityLimiter(1)
        self.readings = Readings()

    @property
    def floor(self) -> float:
        """Detection score down to which candidates are sent: between the bundle's floor and its threshold."""
        return max(self.bundle.floor, min(self.settings.floor, self.bundle.manifest.thresholds.detection))

    def close(self) -> None:
        """End the analyses and, where nothing is to be kept, remove all."""
        if self._is_closed:
            return
        self._is_closed = True
        self.analysis_thread.stop()
        self.headers.close()
        self.store.close()
        self._remove_ephemeral()

    def _remove_ephemeral(self) -> None:
        if self._ephemeral is not None:
            self._ephemeral.remove()


async def state_of(request: Request) -> ServerState:
    """The state of the server that a request came to."""
    state = request.app.state.mammoscope
    assert isinstance(state, ServerState)
    return state


StateOf = Annotated[ServerState, Depends(state_of)]
