"""Work in the background: one thread that gives the worker process one file after another."""

from __future__ import annotations

import logging
import os
import sqlite3
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from mammoscope.audit import AuditTrail, Failure
from mammoscope.errors import MammoscopeError
from mammoscope.queue.background import BackgroundProcess
from mammoscope.readers import Limits
from mammoscope.server.analysis_store import Job, Store
from mammoscope.server.models import FileState, View
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

_FILE_SECONDS, _RETRY_SECONDS = 600.0, 5.0
_BEGUN, _READ = 0.05, 0.4  # progress of a file that is being read, and of one that was


class Jobs:
    """Does what is queued in a store, until it is stopped.

    Parameters
    ----------
    store
        Where jobs come from and their states go.
    bundle
        Folder of the bundle.
    limits
        Under which each file is read.
    floor
        Detection score down to which candidates are analysed.
    ephemeral
        The folder that the worker removes should this process be killed; None: nothing is removed.
    audit
        Where analyses and failures are noted; None: nowhere.
    """

    def __init__(
        self,
        store: Store,
        bundle: Path,
        limits: Limits,
        *,
        floor: float,
        ephemeral: Path | None,
        audit: AuditTrail | None = None,
    ) -> None:
        self._store, self._audit = store, audit
        self._start_worker = partial(
            BackgroundProcess,
            "mammoscope.server.analysis_process",
            bundle,
            limits,
            ephemeral,
            floor=floor,
            example=os.path.abspath(store.example_folder),  # noqa: PTH100
        )
        self._is_example_expected = False
        self._worker: BackgroundProcess | None = None
        self._current: Job | None = None
        self._is_stopping = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Start the thread and the worker; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Kill the worker and end the thread; what is under way stays as it is."""
        with self._changed:
            self._is_stopping = True
            self._kill_worker()
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
                self._kill_worker()
            self._changed.wait_for(lambda: self._current is None or self._current.analysis != analysis)

    def _run(self) -> None:
        while True:
            self._ready_worker()  # before a file needs it
            with self._changed:
                job = None
                while not self._is_stopping and (job := self._store.next_job()) is None:
                    if self._is_example_expected:
                        break
                    self._changed.wait()
                if self._is_stopping:
                    return
                self._current = job
            if job is None:
                self._draw_example()
                continue
            try:
                self._do(job)
            except Exception as error:
                logger.exception("file %s/%d: %s", job.analysis, job.number, type(error).__name__)
                self._give_up(job)
            finally:
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _do(self, job: Job) -> None:
        worker = self._ready_worker()
        if worker is None:
            self._fail(job, "the analysis process cannot be started")
            return
        state: FileState = "analysing" if job.is_read else "reading"
        if not self._store.update(job, state, _READ if job.is_read else _BEGUN):
            return
        request = {
            "task": "examine" if job.is_read else "read",
            "folder": os.path.abspath(self._store.place(job.analysis, job.number).folder),  # noqa: PTH100
            "name": job.name,
            "example": job.example,
        }
        try:
            with worker.killed_after(_FILE_SECONDS):
                worker.send(request)
                while "progress" in (reply := worker.receive()):
                    self._store.update(job, "analysing", _READ + (1 - _READ) * reply["progress"])
            self._note(job, reply)
        except (EOFError, OSError, ValueError, KeyError):
            worker.kill()
            if not self._is_stopping:
                self._fail(job, "the analysis process ended on it, or took too long")

    def _note(self, job: Job, reply: dict[str, Any]) -> None:
        """What became of a file."""
        if "fault" in reply:
            logger.error("file %s/%d: %s", job.analysis, job.number, reply["fault"])
        if "problem" in reply:
            self._fail(job, str(reply["problem"]), "refused" if reply.get("final") else "failed")
            return
        view = View.model_validate_json(reply["done"])
        if job.is_read:
            if self._audit is not None:
                self._audit.record(read_analysis(self._store.place(job.analysis, job.number).analysis))
            self._store.update(job, "done", 1.0, view=view)
            logger.info("file %s/%d: done", job.analysis, job.number)
        else:
            self._store.update(job, "queued", _READ, view=view)

    def _draw_example(self) -> None:
        self._is_example_expected = False
        worker = self._ready_worker()
        if worker is not None:
            try:
                with worker.killed_after(_FILE_SECONDS):
                    worker.send({"task": "draw"})
                    worker.receive()
            except (EOFError, OSError, ValueError):
                worker.kill()

    def _give_up(self, job: Job) -> None:
        """Note that the server failed on a file, as soon as that can be written: the disk may be full."""
        while not self._is_stopping:
            try:
                self._fail(job, "the server failed on it")
                return
            except sqlite3.Error:
                with self._changed:
                    self._changed.wait(_RETRY_SECONDS)

    def _fail(self, job: Job, problem: str, failure: Failure = "failed") -> None:
        if self._store.update(job, "failed", 1.0, error=problem):
            if self._audit is not None:
                try:
                    self._audit.record_failure(self._store.place(job.analysis, job.number).upload, failure)
                except MammoscopeError as error:  # the file failed all the same, and there are others
                    logger.error("file %s/%d: not noted: %s", job.analysis, job.number, error)
            logger.info("file %s/%d: failed", job.analysis, job.number)

    def _ready_worker(self) -> BackgroundProcess | None:
        """The worker, a new one where the last has ended; None where none can be started."""
        with self._changed:
            if self._is_stopping:
                return None
            if self._worker is None or not self._worker.is_running:
                self._kill_worker()
                try:
                    self._worker = self._start_worker()
                except OSError as error:
                    logger.error("the analysis process cannot be started (%s)", error.strerror)
                    return None
            worker = self._worker
        try:
            worker.wait_until_ready()
        except MammoscopeError as error:
            if not self._is_stopping:
                logger.error("%s", error)
            return None
        return worker

    def _kill_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
