"""Decode in a separate process, so that a file that crashes a codec, or makes it hang or fill memory, fails alone."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from mammoscope.errors import InputError, MammoscopeError
from mammoscope.mammogram import Mammogram
from mammoscope.processes.child import Deadline, start_child
from mammoscope.processes.messages import receive_message, send_message
from mammoscope.readers.identity import Identity
from mammoscope.readers.limits import DEFAULT_LIMITS, Limits
from mammoscope.readers.read import read_mammogram
from mammoscope.readers.stated_image import StatedImage
from mammoscope.readers.wire import checked_exam_key, from_facts, receive_pixels
from mammoscope.readers.worker import Read, setup_message

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_IMPORTS = ("mammoscope.readers.dicom.file", "mammoscope.readers.raster.file")
_PIPE_BYTES = 1 << 20
_START_SECONDS = 120.0


class IsolatedReader:
    """Reads files in a worker process under limits of time and memory; a context manager.

    The worker serves many files and is replaced after one that it did not survive. Calls from several threads wait for
    each other.

    Parameters
    ----------
    limits
        What a file may cost. The memory limit works on Linux; elsewhere only the image's size is limited.
    read
        What reads a file, a function of an importable module.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, read: Read = read_mammogram) -> None:
        self._limits = limits
        self._setup = setup_message(read, limits, _IMPORTS)
        self._worker: _Worker | None = None
        self._is_closed = False
        self._lock = Lock()

    def __enter__(self) -> IsolatedReader:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the worker and return at once; it gets ready in the background."""
        with self._lock:
            self._running_worker()

    def close(self) -> None:
        """End the worker, also where it is busy with a file, for good: later calls raise MammoscopeError."""
        self._is_closed = True
        if (worker := self._worker) is not None:
            worker.kill()
        with self._lock:
            self._end_worker()

    def read(self, path: Path) -> Mammogram:
        """Read one file.

        Raises
        ------
        InputError
            The file cannot be analysed, or the worker crashed on it or exceeded a limit; says which.
        MammoscopeError
            No worker can be started.
        """
        return self._ask(lambda worker: worker.read(Path(path), self._limits))

    def exam_key(self, path: Path) -> str | None:
        """The exam key of a file by its header alone, see ``read_exam_key``; None also where that crashed.

        Raises
        ------
        MammoscopeError
            No worker can be started.
        """
        try:
            return self._ask(lambda worker: worker.exam_key(Path(path), self._limits))
        except InputError:
            return None

    def identity(self, path: Path) -> Identity | None:
        """Whose image it is by its header alone, see ``read_identity``; else as ``exam_key``."""
        try:
            return self._ask(lambda worker: worker.identity(Path(path), self._limits))
        except InputError:
            return None

    def stated_image(self, path: Path) -> StatedImage | None:
        """What results refer to an image by, by its header alone, see ``read_stated_image``; else as ``exam_key``."""
        try:
            return self._ask(lambda worker: worker.stated_image(Path(path), self._limits))
        except InputError:
            return None

    def _ask(self, question: Callable[[_Worker], Answer]) -> Answer:
        with self._lock:
            worker = self._running_worker()
            worker.wait_until_ready()
            try:
                answer = question(worker)
            except InputError:
                if not worker.is_sound:
                    self._end_worker()
                raise
            except BaseException:  # an interrupt leaves half an answer in the pipe
                self._end_worker()
                raise
            if not worker.is_sound:
                self._end_worker()
            return answer

    def _running_worker(self) -> _Worker:
        if self._is_closed:
            raise MammoscopeError("the decoder process was ended, and no file is read any more")
        if self._worker is None or not self._worker.is_running:
            self._end_worker()
            self._worker = _Worker(self._setup)
        return self._worker

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class _Worker:
    """One worker process.

    Attributes
    ----------
    is_sound
        False once the process has died, was killed, or ran out of memory: it must not get another file.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        self.is_sound = True
        self._is_ready = False
        single_threaded = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # for a quick start
        try:
            self._process, self._requests, self._replies = start_child("mammoscope.readers.worker", single_threaded)
        except OSError as error:
            raise MammoscopeError(f"the decoder process cannot be started ({error.strerror})") from None
        _widen(self._replies)
        with suppress(OSError):  # a worker that dies at once is found by wait_until_ready
            send_message(self._requests, setup)

    @property
    def is_running(self) -> bool:
        """Whether the process lives and can take a file."""
        return self.is_sound and self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for the imports of a worker that was just started; they do not count as time for a file."""
        if self._is_ready:
            return
        with Deadline(_START_SECONDS, self._process.kill):
            try:
                receive_message(self._replies)
            except (EOFError, ValueError):
                self.is_sound = False
                code = self._process.wait()
                raise MammoscopeError(f"the decoder process ended as it started (exit code {code})") from None
        self._is_ready = True

    def read(self, path: Path, limits: Limits) -> Mammogram:
        """Have one file read."""
        return self._answered("image", path, limits, lambda reply: self._received(path, reply, limits))

    def exam_key(self, path: Path, limits: Limits) -> str | None:
        """Have the header of one file read."""
        return self._answered("exam key", path, limits, lambda reply: checked_exam_key(reply["exam_key"]))

    def identity(self, path: Path, limits: Limits) -> Identity | None:
        """Have the header of one file read for a reader's eyes."""

        def received(reply: dict[str, Any]) -> Identity | None:
            return None if reply["identity"] is None else Identity.from_message(reply["identity"])

        return self._answered("identity", path, limits, received)

    def stated_image(self, path: Path, limits: Limits) -> StatedImage | None:
        """Have the header of one file read for a reference to the image."""

        def received(reply: dict[str, Any]) -> StatedImage | None:
            return None if reply["stated_image"] is None else StatedImage.from_message(reply["stated_image"])

        return self._answered("stated image", path, limits, received)

    def _answered(self, what: str, path: Path, limits: Limits, receive: Callable[[dict[str, Any]], Answer]) -> Answer:
        """Have something done about one file; ``receive`` takes the answer, and what follows it in the pipe."""
        deadline = Deadline(limits.seconds, self._process.kill)
        try:
            with deadline:
                # The worker keeps the folder that it was started in, the caller may have changed it since.
                send_message(self._requests, {"what": what, "path": os.path.abspath(path)})  # noqa: PTH100
                answer = receive(receive_message(self._replies))
        except InputError:
            self.is_sound = self.is_sound and not deadline.passed
            raise
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            self.is_sound = False
            if deadline.passed:
                raise InputError(path, f"decoding took longer than {limits.seconds:g} s") from None
            raise InputError(path, "the decoder crashed on it") from None
        self.is_sound = not deadline.passed
        return answer

    def kill(self) -> None:
        """Kill the process, from any thread: an idle one has nothing to lose, a busy one may be stuck."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and wait for its end."""
        self.is_sound = False
        self.kill()
        self._process.wait()
        for stream in (self._requests, self._replies):
            with suppress(OSError):
                stream.close()

    def _received(self, path: Path, reply: dict[str, Any], limits: Limits) -> Mammogram:
        if reply.get("out_of_memory"):
            self.is_sound = False
            raise InputError(path, f"needs more than {limits.memory_bytes / 2**30:.3g} GiB to decode")
        if "fault" in reply:
            logger.error("the reader failed with %s", str(reply["fault"])[:200])
            raise InputError(path, f"cannot be read ({str(reply['fault']).split(' ')[0][:80]})")
        if "problem" in reply:
            raise InputError(path, str(reply["problem"]))
        facts = reply["facts"]
        rows, columns = int(facts["rows"]), int(facts["columns"])
        if limits.size_problem(rows, columns):
            raise ValueError(f"an image of {columns} x {rows} pixels")
        return from_facts(facts, receive_pixels(self._replies, rows, columns))


def _widen(pipe: BinaryIO) -> None:
    """Let a pipe hold more, so that pixels take fewer turns; the system may refuse, as where a user has many pipes."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 (not on Windows)

        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
