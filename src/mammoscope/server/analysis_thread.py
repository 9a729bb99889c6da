"""The thread that processes the queue: it gives the analysis process one file at a time."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Condition, Thread

from mammoscope.audit import AuditTrail, Failure
from mammoscope.errors import MammoscopeError
from mammoscope.queue.background import BackgroundProcess, JobFailedError, Message
from mammoscope.queue.standby import NoProcessError, StandbyProcess
from mammoscope.readers import Limits
from mammoscope.server.analysis_store import AnalysisStore, QueuedFile
from mammoscope.server.models import FileState, View
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

_FILE_SECONDS, _RETRY_SECONDS = 600.0, 5.0
_BEGUN, _READ = 0.05, 0.4  # progress of a file that is being read, and of one that was


class AnalysisThread:
    """Processes the queue of a store, until it is stopped.

    Parameters
    ----------
    store
        Where files come from and their states go.
    bundle
        Folder of the bundle.
    limits
        Under which each file is read.
    floor
        Detection score down to which candidates are analysed.
    ephemeral
        The folder that the worker removes if this process is killed; None: nothing is removed.
    audit
        Where analyses and failures are recorded; None: nowhere.
    """

    def __init__(
        self,
        store: AnalysisStore,
        bundle: Path,
        limits: Limits,
        *,
        floor: float,
        ephemeral: Path | None,
        audit: AuditTrail | None = None,
    ) -> None:
        self._store, self._audit = store, audit
        self._standby = StandbyProcess(
            partial(
                BackgroundProcess,
                "mammoscope.server.analysis_process",
                bundle,
                limits,
                ephemeral,
                floor=floor,
                example=os.path.abspath(store.example_folder),  # noqa: PTH100
            )
        )
        self._is_example_expected = False
        self._current: QueuedFile | None = None
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="analyses", daemon=True)

    def start(self) -> None:
        """Start the thread and the worker; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Kill the worker and end the thread; what is under way stays as it is."""
        with self._changed:
            self._standby.stop()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look at the queue: something was added."""
        with self._changed:
            self._changed.notify_all()

    def expect_example(self) -> None:
        """Have the synthetic exam drawn once nothing waits: it may be asked for."""
        with self._changed:
            self._is_example_expected = True
            self._changed.notify_all()

    def abandon(self, analysis: str) -> None:
        """Return when no file of an analysis is under way. It must have been forgotten by the store before."""
        with self._changed:
            if self._current is not None and self._current.analysis == analysis:
                self._standby.kill()
            self._changed.wait_for(lambda: self._current is None or self._current.analysis != analysis)

    def _run(self) -> None:
        while True:
            self._ready_process()  # before a file needs it
            with self._changed:
                file = None
                while not self._standby.is_stopped and (file := self._store.next_file()) is None:
                    if self._is_example_expected:
                        break
                    self._changed.wait()
                if self._standby.is_stopped:
                    return
                self._current = file
            if file is None:
                self._draw_example()
                continue
            try:
                self._do(file)
            except Exception as error:
                logger.exception("%s: %s", _name(file), type(error).__name__)
                self._give_up(file)
            finally:
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _do(self, file: QueuedFile) -> None:
        process = self._ready_process()
        if process is None:
            if not self._standby.is_stopped:  # a job aborted by the stop does not count as a failure
                self._fail(file, "the analysis process cannot be started")
            return
        state: FileState = "analysing" if file.is_read else "reading"
        if not self._store.update(file, state, _READ if file.is_read else _BEGUN):
            return
        request = {
            "task": "examine" if file.is_read else "read",
            "folder": os.path.abspath(self._store.place(file.analysis, file.number).folder),  # noqa: PTH100
            "name": file.name,
            "example": file.example,
        }
        try:
            reply = process.ask(_name(file), request, _FILE_SECONDS, partial(self._note_share, file))
        except JobFailedError as error:
            if not self._standby.is_stopped:
                self._fail(file, error.problem, "refused" if error.final else "failed")
            return
        self._note(file, reply)

    def _note_share(self, file: QueuedFile, share: float) -> None:
        """How much of an analysis is done."""
        self._store.update(file, "analysing", _READ + (1 - _READ) * share)

    def _note(self, file: QueuedFile, reply: Message) -> None:
        """What was found of a file."""
        view = View.model_validate_json(reply["done"])
        if not file.is_read:
            self._store.update(file, "queued", _READ, view=view)
            return
        if self._audit is not None:
            self._audit.record(read_analysis(self._store.place(file.analysis, file.number).analysis))
        self._store.update(file, "done", 1.0, view=view)
        logger.info("%s: done", _name(file))

    def _draw_example(self) -> None:
        self._is_example_expected = False
        if (process := self._ready_process()) is not None:
            with suppress(JobFailedError):  # said where the exam is asked for
                process.ask("example", {"task": "draw"}, _FILE_SECONDS)

    def _give_up(self, file: QueuedFile) -> None:
        """Note that the server failed on a file, as soon as that can be written: the disk may be full."""
        while not self._standby.is_stopped:
            try:
                self._fail(file, "the server failed on it")
                return
            except sqlite3.Error:
                with self._changed:
                    self._changed.wait(_RETRY_SECONDS)

    def _fail(self, file: QueuedFile, problem: str, failure: Failure = "failed") -> None:
        if self._store.update(file, "failed", 1.0, error=problem):
            if self._audit is not None:
                try:
                    self._audit.record_failure(self._store.place(file.analysis, file.number).upload, failure)
                except MammoscopeError as error:  # the file failed all the same, and there are others
                    logger.error("%s: not noted: %s", _name(file), error)
            logger.info("%s: failed", _name(file))

    def _ready_process(self) -> BackgroundProcess | None:
        """The process, a new one where the last has ended; None where none can be started, which has been said."""
        try:
            return self._standby.ready()
        except NoProcessError as error:
            if not self._standby.is_stopped:
                logger.error("%s", error)
            return None


def _name(file: QueuedFile) -> str:
    """What a file is called in the log."""
    return f"file {file.analysis}/{file.number}"
