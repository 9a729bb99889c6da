"""Analyses in the background: one thread that gives the worker process one file after another."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Condition, Thread, Timer
from typing import Any, BinaryIO, cast

from mammoscope.errors import MammoscopeError
from mammoscope.readers import Limits
from mammoscope.readers.wire import receive_message, send_message
from mammoscope.server.models import View
from mammoscope.server.store import Job, Store

logger = logging.getLogger(__name__)

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from mammoscope.server.worker import main; main()"
_START_SECONDS = 120.0
_FILE_SECONDS = 600.0


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
    """

    def __init__(self, store: Store, bundle: Path, limits: Limits, *, floor: float, ephemeral: Path | None) -> None:
        self._store = store
        self._setup = {
            "bundle": os.path.abspath(bundle),  # noqa: PTH100
            "limits": asdict(limits),
            "floor": floor,
            "ephemeral": None if ephemeral is None else str(ephemeral),
        }
        self._worker: _Worker | None = None
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
                while not self._is_stopping and (job := self._store.next_job()) is None:
                    self._changed.wait()
                if self._is_stopping:
                    return
                assert job is not None
                self._current = job
            try:
                self._do(job)
            except Exception as error:
                logger.exception("file %s/%d: %s", job.analysis, job.number, type(error).__name__)
                self._store.update(job, "failed", 1.0, error="the server failed on it")
            finally:
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _do(self, job: Job) -> None:
        worker = self._ready_worker()
        if worker is None:
            self._fail(job, "the analysis process cannot be started")
            return
        if not self._store.update(job, "reading", 0.05):
            return
        place = self._store.place(job.analysis, job.number)
        request = {"folder": os.path.abspath(place.folder), "name": job.name, "example": job.example}  # noqa: PTH100
        deadline = Timer(_FILE_SECONDS, worker.kill)
        deadline.daemon = True
        deadline.start()
        try:
            worker.send(request)
            while True:
                reply = worker.receive()
                if "fault" in reply:
                    logger.error("file %s/%d: %s", job.analysis, job.number, reply["fault"])
                if "problem" in reply:
                    self._fail(job, str(reply["problem"]))
                    return
                if "done" in reply:
                    self._store.update(job, "done", 1.0, view=View.model_validate_json(reply["done"]))
                    logger.info("file %s/%d: done", job.analysis, job.number)
                    return
                self._store.update(job, "analysing", 0.4, view=View.model_validate_json(reply["view"]))
        except (EOFError, OSError, ValueError, KeyError):
            worker.kill()
            if not self._is_stopping:
                self._fail(job, "the analysis process ended on it, or took too long")
        finally:
            deadline.cancel()

    def _fail(self, job: Job, problem: str) -> None:
        if self._store.update(job, "failed", 1.0, error=problem):
            logger.info("file %s/%d: failed", job.analysis, job.number)

    def _ready_worker(self) -> _Worker | None:
        """The worker, a new one where the last has ended; None where none can be started."""
        with self._changed:
            if self._is_stopping:
                return None
            if self._worker is None or not self._worker.is_running:
                self._kill_worker()
                try:
                    self._worker = _Worker(self._setup)
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


def _environment(ephemeral: str | None) -> dict[str, str]:
    """The worker's environment: what its libraries leave behind goes with the folder."""
    return {**os.environ} if ephemeral is None else {**os.environ, "TMPDIR": ephemeral}


class _Worker:
    """One worker process, with the decoder that it starts."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._is_ready = False
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter, nothing of the user's)
            [sys.executable, "-c", _PROGRAM, *(os.path.abspath(place) for place in sys.path)],  # noqa: PTH100
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # one group with the decoder, so that both can be killed together
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            env=_environment(setup["ephemeral"]),
        )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._replies = cast(BinaryIO, self._process.stdout)
        with suppress(OSError):  # a worker that dies at once is found by wait_until_ready
            self.send(setup)

    @property
    def is_running(self) -> bool:
        """Whether the process can take a job."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until the models are loaded."""
        if self._is_ready:
            return
        deadline = Timer(_START_SECONDS, self.kill)
        deadline.daemon = True
        deadline.start()
        try:
            reply = self.receive()
        except (EOFError, OSError, ValueError):
            reply = {}
        finally:
            deadline.cancel()
        if "ready" not in reply:
            self.kill()
            raise MammoscopeError(f"the analysis process ended as it started ({reply.get('fault', 'no reason given')})")
        self._is_ready = True

    def send(self, message: dict[str, Any]) -> None:
        """Ask for something."""
        send_message(self._requests, message)

    def receive(self) -> dict[str, Any]:
        """Wait for an answer; EOFError where the process has ended."""
        return receive_message(self._replies)

    def kill(self) -> None:
        """Kill the process and its decoder; harmless where they have ended."""
        if self._process.poll() is None:
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
