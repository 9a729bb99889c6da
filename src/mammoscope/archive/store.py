"""Where an archive lies: a folder, or a place of an object store. Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from mammoscope.archive.places import filesystem_of, is_url, remote_errors
from mammoscope.errors import MammoscopeError
from mammoscope.files import write_durably

_WRITER = "_writer.json"
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})  # an object appears as a whole


class Store(ABC):
    """Files by their names within an archive, such as ``images/part-000001.parquet``; picklable."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all, to the disk; raises MammoscopeError."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file to read; raises OSError."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Names of files and folders in a folder, without the folder's, sorted; empty if there is none."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; raises OSError."""

    @abstractmethod
    def writing(self) -> Any:
        """A context manager of a function that raises MammoscopeError when another run has begun to write here.

        At the start it raises, or the other run will, if both would write.
        """

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        folder, _, file = name.rpartition("/")
        return file in self.names(folder)


def store_at(target: str) -> Store:
    """The store of a folder or URL."""
    return RemoteStore(target.rstrip("/")) if is_url(target) else LocalStore(Path(target))


@dataclass(frozen=True)
class LocalStore(Store):
    """A folder. A lock that ends with its process lets one run at a time write."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def write(self, name: str, content: bytes) -> None:
        write_durably(self.root / name, content)

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")

    def names(self, folder: str = "") -> list[str]:
        try:
            return sorted(os.listdir(self.root / folder))  # noqa: PTH208 (names alone)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise MammoscopeError(f"{self.root / folder}: cannot be listed ({error.strerror})") from None

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            stream = (self.root / ".lock").open("ab")
        except OSError as error:
            raise MammoscopeError(f"{self.root}: cannot be written to ({error.strerror})") from None
        with stream:
            _lock(stream, self.root)
            yield lambda: None


@dataclass(frozen=True)
class RemoteStore(Store):
    """A place that fsspec reaches. The run that began last may write; others find out before their next file."""

    url: str

    def __str__(self) -> str:
        return self.url

    def write(self, name: str, content: bytes) -> None:
        with remote_errors(f"{self.url}/{name}"):
            files, root = filesystem_of(self.url)
            path = f"{root}/{name}"
            if self.url.partition("://")[0] in _ATOMIC:
                files.pipe_file(path, content)
                return
            temporary = f"{root}/_unfinished/{secrets.token_hex(8)}"
            for folder in (f"{root}/_unfinished", path.rpartition("/")[0]):
                files.makedirs(folder, exist_ok=True)
            files.pipe_file(temporary, content)
            files.mv(temporary, path)

    def open(self, name: str) -> BinaryIO:
        files, root = filesystem_of(self.url)
        return cast(BinaryIO, files.open(f"{root}/{name}", "rb"))

    def names(self, folder: str = "") -> list[str]:
        with remote_errors(f"{self.url}/{folder}"):
            files, root = filesystem_of(self.url)
            path = f"{root}/{folder}".rstrip("/")
            files.invalidate_cache(path)
            try:
                found = files.ls(path, detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)

    def remove(self, name: str) -> None:
        files, root = filesystem_of(self.url)
        files.rm_file(f"{root}/{name}")

    @contextmanager
    def writing(self) -> Iterator[Any]:
        token = secrets.token_hex(16)
        self.write(_WRITER, json.dumps({"run": token}).encode())

        def check() -> None:
            with remote_errors(f"{self.url}/{_WRITER}"), self.open(_WRITER) as stream:
                if json.loads(stream.read())["run"] != token:
                    raise MammoscopeError(f"{self.url}: another run has begun to write here, so this one ends")

        yield check


def _lock(stream: BinaryIO, root: Path) -> None:
    """Lock a file for this process, or say that another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 (only there)

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 (not on Windows)

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise MammoscopeError(f"{root}: another run writes to it; wait for its end, or choose another target") from None
