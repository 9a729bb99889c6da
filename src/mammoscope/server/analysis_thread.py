"""The thread that processes the queue: it gives the analysis process one file, or one exam, at a time."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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

_FILE_SECONDS, _RETRY_SECONDS, _FRESH_SECONDS = 600.0, 5.0, 60.0
_BEGUN, _READ = 0.05, 0.4  # progress of a file that is being read, and of one that was


@dataclass
class Done:
    """What was done since the start: files analysed, the seconds that they took, and files that failed."""

    count: int = 0
    seconds: float = 0.0
    failures: int = 0


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
    together
        Whether the views of an exam are analysed together, since the models look at whole exams; else each file alone.
    ephemeral
        The folder that the worker removes if this process is killed; None: nothing is removed.
    audit
        Where analyses and failures are recorded; None: nowhere.

    Attributes
    ----------
    done
        What was done.
    """

    def __init__(
        self,
        store: AnalysisStore,
        bundle: Path,
        limits: Limits,
        *,
        floor: float,
        together: bool = False,
        ephemeral: Path | None,
        audit: AuditTrail | None = None,
    ) -> None:
        self._store, self._audit, self._together = store, audit, together
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
        self.done = Done()
        self._is_example_expected = self._is_check_wanted = False
        self._answered = -_FRESH_SECONDS  # when the process answered last
        self._current: str | None = None  # the analysis that is worked on
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

    def check(self, seconds: float) -> bool:
        """See whether the process answers: it did within a minute, in whatever it does, or does within some seconds."""
        with self._changed:
            asked = time.monotonic()
            if self._answered > asked - _FRESH_SECONDS:
                return True
            self._is_check_wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered >= asked or self._standby.is_stopped, seconds)
            return self._answered >= asked

    def abandon(self, analysis: str) -> None:
        """Return when no file of an analysis is under way. It must have been forgotten by the store before."""
        with self._changed:
            if self._current == analysis:
                self._standby.kill()
            self._changed.wait_for(lambda: self._current != analysis)

    def _run(self) -> None:
        while True:
            self._ready_process()  # before a file needs it
            with self._changed:
                files: Sequence[QueuedFile] = ()
                while not self._standby.is_stopped and not (files := self._next()):
                    if self._is_example_expected or self._is_check_wanted:
                        break
                    self._changed.wait()
                if self._standby.is_stopped:
                    return
                self._current = files[0].analysis if files else None
            if not files:
                self._work_beside()
                continue
            try:
                with self._given_up_on_error(files):
                    self._do(files)
            finally:
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _next(self) -> Sequence[QueuedFile]:
        """What is done next: one file, or the views of one exam that are analysed together."""
        if self._together:
            return self._store.next_together()
        file = self._store.next_file()
        return () if file is None else (file,)

    def _do(self, files: Sequence[QueuedFile]) -> None:
        process = self._ready_process()
        if process is None:
            self._fail_all(files, "the analysis process cannot be started")
            return
        is_read = files[0].is_read
        state: FileState = "analysing" if is_read else "reading"
        if not all(self._store.update(file, state, _READ if is_read else _BEGUN) for file in files):
            return
        seconds = _FILE_SECONDS * len(files)
        begun = time.monotonic()
        try:
            reply = process.ask(_name(*files), self._request(files), seconds, partial(self._note_share, files))
        except JobFailedError as error:
            if len(files) == 1:
                self._fail_all(files, error.problem, "refused" if error.final else "failed")
                return
            logger.warning("%s: failed together (%s), each is analysed alone", _name(*files), error.problem)
            for file in files:  # so that only the one at fault fails
                self._do([file])
            return
        self._note_answer()
        if is_read:
            self.done.seconds += time.monotonic() - begun
        for file, view in zip(files, reply["done"], strict=True):
            with self._given_up_on_error([file]):
                self._note(file, View.model_validate_json(view))

    def _request(self, files: Sequence[QueuedFile]) -> Message:
        folders = [os.path.abspath(self._store.place(file.analysis, file.number).folder) for file in files]  # noqa: PTH100
        if files[0].is_read:
            return {"task": "examine", "folders": folders}
        return {"task": "read", "folder": folders[0], "name": files[0].name, "example": files[0].example}

    def _note_share(self, files: Sequence[QueuedFile], share: float) -> None:
        """How much of an analysis is done."""
        self._note_answer()
        for file in files:
            self._store.update(file, "analysing", _READ + (1 - _READ) * share)

    def _note(self, file: QueuedFile, view: View) -> None:
        """What was found of a file."""
        if not file.is_read:
            self._store.update(file, "queued", _READ, view=view)
            return
        if self._audit is not None:
            self._audit.record(read_analysis(self._store.place(file.analysis, file.number).analysis))
        self._store.update(file, "done", 1.0, view=view)
        self.done.count += 1
        logger.info("%s: done", _name(file))

    def _work_beside(self) -> None:
        """Where no file waits: draw the example, if it is expected, and see whether the process answers."""
        is_expected, self._is_example_expected, self._is_check_wanted = self._is_example_expected, False, False
        if (process := self._ready_process()) is None:
            return
        with suppress(JobFailedError):  # said where the exam is asked for
            if is_expected:
                process.ask("example", {"task": "draw"}, _FILE_SECONDS)
            else:
                process.ping()
            self._note_answer()

    def _note_answer(self) -> None:
        with self._changed:
            self._answered = time.monotonic()
            self._changed.notify_all()

    @contextmanager
    def _given_up_on_error(self, files: Sequence[QueuedFile]) -> Iterator[None]:
        """A block that, where it fails, costs these files and nothing else."""
        try:
            yield
        except Exception as error:
            logger.exception("%s: %s", _name(*files), type(error).__name__)
            for file in files:
                self._give_up(file)

    def _give_up(self, file: QueuedFile) -> None:
        """Note that the server failed on a file, as soon as that can be written: the disk may be full."""
        while not self._standby.is_stopped:
            try:
                self._fail(file, "the server failed on it")
                return
            except sqlite3.Error:
                with self._changed:
                    self._changed.wait(_RETRY_SECONDS)

    def _fail_all(self, files: Sequence[QueuedFile], problem: str, failure: Failure = "failed") -> None:
        """Note that files failed, unless they were cut off by the end, which is no failure."""
        for file in files if not self._standby.is_stopped else ():
            self._fail(file, problem, failure)

    def _fail(self, file: QueuedFile, problem: str, failure: Failure = "failed") -> None:
        if self._store.update(file, "failed", 1.0, error=problem):
            self.done.failures += 1
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


def _name(*files: QueuedFile) -> str:
    """What a file, or files of one exam, are called in the log."""
    numbers = ",".join(str(file.number) for file in files)
    return f"file{'s' if len(files) > 1 else ''} {files[0].analysis}/{numbers}"
