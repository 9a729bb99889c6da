"""A server in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

Upload = tuple[str, bytes]

SERVE = (sys.executable, "-m", "mammoscope", "serve", "--port", "0")


class Server:
    """Starts ``mammoscope serve`` on a free port; a context manager that ends it with SIGTERM.

    ``temporary`` is its folder for temporary files, ``log`` what it wrote.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.temporary, self._log = folder / "tmp", folder / "log.txt"
        self.temporary.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*SERVE, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "TMPDIR": str(self.temporary)},
            )
        assert self.process.stdout is not None
        said = [self.process.stdout.readline() for _ in range(2)]
        address = re.search(r"http://[^?\s]+", "".join(said))
        assert address, (said, self.log)
        self.client = httpx.Client(base_url=f"{address.group()}api/v1", timeout=60)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self, how: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)

    def upload(self, uploads: Iterable[Upload]) -> str:
        """The id of a new analysis."""
        answer = self.client.post("/analyses", files=[("files", upload) for upload in uploads])
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def status(self, analysis: str) -> dict[str, Any]:
        return dict(self.client.get(f"/analyses/{analysis}").raise_for_status().json())

    def wait(self, analysis: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        """The status once it is one of these, or has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.status(analysis)
            if status["state"] in (states or ("done", "failed")):
                return status
            time.sleep(0.05)
        raise AssertionError(f"not {states} after {seconds} s: {status}\n{self.log}")

    def wait_for_file(self, analysis: str, number: int, *states: str, seconds: float = 60) -> dict[str, Any]:
        """The file's part of the status once its state is one of these."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            file = self.status(analysis)["files"][number]
            if file["state"] in states:
                return dict(file)
            time.sleep(0.01)
        raise AssertionError(f"not {states} after {seconds} s: {file}\n{self.log}")
