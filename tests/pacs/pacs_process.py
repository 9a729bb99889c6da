"""``mammoscope pacs watch`` and ``receive`` in a process of their own, as a user starts them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState


class PacsProcess:
    """Starts a command and waits for its first line; a context manager that ends it. ``log`` is what it wrote.

    Exams do not wait to be whole unless ``--exam-wait`` is given: most tests send single images. Where no ``--bundle``
    is given, ``models`` are used.
    """

    models: ClassVar[Path | None] = None

    def __init__(self, folder: Path, command: str, *arguments: str) -> None:
        self.data, self._log = folder / "data", folder / "log.txt"
        folder.mkdir(parents=True, exist_ok=True)
        more = [] if "--exam-wait" in arguments else ["--exam-wait", "0"]
        if self.models is not None and "--bundle" not in arguments:
            more += ["--bundle", str(self.models)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mammoscope", "pacs", command, *arguments, *more, "--data", str(self.data)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.notice, self.line = self.process.stdout.readline().strip(), self.process.stdout.readline().strip()
        assert self.line, self.log

    def __enter__(self) -> PacsProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGKILL)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        """Where a receiver listens."""
        found = re.search(r":(\d+), results", self.line)
        assert found, self.line
        return int(found[1])

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)

    def kill_worker(self) -> bool:
        """Kill the process that analyses, with its decoder; False where there is none."""
        found = children(self.process.pid)
        for child in found:
            with suppress(ProcessLookupError):  # it has just ended, or has no group of its own yet
                os.killpg(child, signal.SIGKILL)
        return bool(found)

    def counts(self) -> dict[ImageState, int]:
        queue = ImageQueue(self.data, working=False)
        try:
            return queue.counts()
        finally:
            queue.close()

    def wait(self, condition: Callable[[dict[ImageState, int]], bool], seconds: float = 240) -> dict[ImageState, int]:
        """The counts once they are as they should be."""
        end = time.monotonic() + seconds
        while not condition(counts := self.counts()):
            assert time.monotonic() < end, f"{counts} after {seconds} s\n{self.log}"
            assert self.process.poll() is None, self.log
            time.sleep(0.1)
        return counts


def children(process: int) -> list[int]:
    """Ids of the processes that a process started."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]
