"""A fresh Python process that runs a given function and talks to this one; if it crashes, this one continues."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from mammoscope.errors import MammoscopeError

_GRACE_SECONDS = 30.0


class Spawned:
    """A process that is started afresh (spawn), so that it shares nothing with this one but a connection.

    It ends with this process, however that ends, and ignores Ctrl-C. Messages on the connection are pickled, so the
    processes must trust each other; see ``messages`` for others.

    Parameters
    ----------
    main
        Runs in the process, a function of an importable module; its first argument is the other end of
        ``connection``, which raises EOFError when this process has closed it.
    *arguments
        The others, which must be picklable.

    Raises
    ------
    MammoscopeError
        The system refuses another process.
    """

    connection: Connection[Any, Any]

    def __init__(self, main: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        try:
            self.connection, theirs = context.Pipe()
        except OSError as error:
            raise MammoscopeError(f"another process cannot be started ({error.strerror})") from None
        # Also as a daemon, so that it ends with this one even if nobody has called ``end``.
        self._process = context.Process(target=_run, args=(theirs, main, arguments), daemon=True)
        try:
            with _interrupts_held_back():
                self._process.start()
        except OSError as error:
            self.connection.close()
            raise MammoscopeError(f"another process cannot be started ({error.strerror})") from None
        finally:
            theirs.close()  # so that reading gives EOFError once the process is gone

    def how_it_ended(self) -> str:
        """Wait for the end of a process that has closed its side, and say how it ended: ``"killed by SIGSEGV"``."""
        self.end()
        code = self._process.exitcode or 0
        return f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"

    def stop(self) -> None:
        """Close the connection: the process ends after what it is doing."""
        self.connection.close()

    def end(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """Stop the process and wait for its end; kill it when ``grace_seconds`` have passed."""
        self.stop()
        self._process.join(grace_seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started meanwhile gets no Ctrl-C until it ignores it; this one gets it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets interrupts through, so not as the process is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(connection: Connection[Any, Any], main: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides when this one ends
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    main(connection, *arguments)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
