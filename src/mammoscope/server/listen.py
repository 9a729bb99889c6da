"""Listen and serve until told to stop."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

from mammoscope.errors import MammoscopeError
from mammoscope.server.settings import ServerSettings

_BACKLOG = 256
_GRACE_SECONDS = 3


def serve(settings: ServerSettings, *, started: Callable[[str], object] | None = None) -> None:
    """Serve the page and the API until SIGINT, SIGTERM or SIGHUP; returns when all is tidied up.

    Parameters
    ----------
    settings
        Where to listen, and what to keep.
    started
        Is given the page's address, with the token where there is one, once connections are taken.

    Raises
    ------
    MammoscopeError
        The address cannot be listened on, or the bundle or the data folder cannot be used.
    """
    # The web framework takes half a second to load, which other commands need not pay.
    import uvicorn  # noqa: PLC0415

    from mammoscope.server.app import create_app  # noqa: PLC0415
    from mammoscope.server.connection import BoundedConnection  # noqa: PLC0415
    from mammoscope.server.state import ServerState  # noqa: PLC0415

    with _ended_by_signals(), _listening(settings) as listener, contextlib.ExitStack() as stack:
        settings = dataclasses.replace(settings, port=listener.getsockname()[1])
        state = ServerState(settings)
        stack.callback(state.close)  # where uvicorn does not come to it
        config = uvicorn.Config(
            create_app(settings, state),
            http=BoundedConnection,
            log_config=None,
            log_level="warning",
            access_log=False,  # it would hold the token of the first visit
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        if started is not None:
            started(settings.address + (f"?token={quote(settings.token, safe='')}" if settings.token else ""))
        server.run(sockets=[listener])


@contextlib.contextmanager
def _listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """A socket that listens, so that whoever connects from now on is answered."""
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise MammoscopeError(f"{settings.host} cannot be listened on ({error.strerror or error})") from None
    with listener:
        try:
            if sys.platform != "win32":  # there it would share the port with another program
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise MammoscopeError(
                f"{settings.host}:{settings.port} cannot be listened on ({error.strerror or error}), choose another"
            ) from None
        yield listener


class _Ended(BaseException):
    """A signal asked the server to end."""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave the block in order at a signal to end, also before and after uvicorn listens to signals.

    A closed terminal counts as one, so that nothing ephemeral stays.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise _Ended

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    except (_Ended, KeyboardInterrupt):
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
