"""A worker process that is ready whenever a job needs it, restarted if the one before has died."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from mammoscope.errors import MammoscopeError
from mammoscope.queue.background import BackgroundProcess


class NoProcessError(MammoscopeError):
    """No process can be started, or the standby was stopped."""


class StandbyProcess:
    """A background process, started again if it has died. One thread gives it jobs; any may kill or stop it.

    Parameters
    ----------
    start
        Starts a process.
    """

    def __init__(self, start: Callable[[], BackgroundProcess]) -> None:
        self._start = start
        self._lock = Lock()
        self._process: BackgroundProcess | None = None
        self._is_stopped = False

    @property
    def is_stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._is_stopped

    def ready(self) -> BackgroundProcess:
        """The process, once its models are loaded.

        Raises
        ------
        NoProcessError
            There is none; says why.
        """
        with self._lock:
            if self._is_stopped:
                raise NoProcessError("the analysis process was stopped")
            if self._process is None or not self._process.is_running:
                try:
                    self._process = self._start()
                except OSError as error:
                    raise NoProcessError(f"the analysis process cannot be started ({error.strerror})") from None
            process = self._process
        try:
            process.wait_until_ready()
        except MammoscopeError as error:
            raise NoProcessError(str(error)) from None
        return process

    def kill(self) -> None:
        """Abort the job under way; the next one gets a new process."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def stop(self) -> None:
        """Abort the job under way, and accept no further one."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()
