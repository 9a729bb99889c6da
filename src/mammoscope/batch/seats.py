"""Decoders for the workers of a batch, and how many files are read and analysed at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from threading import Lock

from mammoscope.readers import IsolatedReader, Limits


class Seats:
    """So many workers of one process read and analyse at a time, each with a decoder of its own; the others write.

    Threads share the seats: one thread more than there are seats writes results while the next file is analysed.
    Another process gets seats of its own.

    Parameters
    ----------
    count
        Of seats.
    limits
        What one file may cost.
    """

    def __init__(self, count: int, limits: Limits) -> None:
        self._count, self._limits = count, limits
        self._lock = Lock()
        self._workers = 0
        self._readers: list[IsolatedReader] = []
        # The last that was free is taken first: its decoder runs.
        self._free: LifoQueue[IsolatedReader] = LifoQueue()

    def __reduce__(self) -> tuple[type[Seats], tuple[int, Limits]]:
        return type(self), (self._count, self._limits)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Of a worker: a decoder starts in the background, if a seat has none yet. The last worker ends them all."""
        with self._lock:
            self._workers += 1
        try:
            self._add_reader()
            yield
        finally:
            with self._lock:
                self._workers -= 1
                ended = [] if self._workers else self._readers
                if ended:
                    self._readers, self._free = [], LifoQueue()
            for reader in ended:
                reader.close()

    def _add_reader(self) -> None:
        with self._lock:
            if len(self._readers) == self._count:
                return
            reader = IsolatedReader(self._limits)
            self._readers.append(reader)
            self._free.put(reader)
            reader.start()

    @contextmanager
    def taken(self) -> Iterator[IsolatedReader]:
        """Wait for a free seat, and hold it."""
        free = self._free
        reader = free.get()
        try:
            yield reader
        finally:
            free.put(reader)
