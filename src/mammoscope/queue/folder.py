"""The folder of one queue: a database of states, and the files that they belong to."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mammoscope.errors import MammoscopeError


@dataclass(frozen=True)
class QueueFolder:
    """The folder of a queue, readable only by its owner.

    Attributes
    ----------
    root
        Holds ``state.sqlite`` and ``files/``.
    holds
        What the folder holds, for messages: ``"the server's data"``.
    """

    root: Path
    holds: str

    @property
    def database(self) -> Path:
        """The states."""
        return self.root / "state.sqlite"

    @property
    def files(self) -> Path:
        """The files, in one folder for each item of the queue."""
        return self.root / "files"

    def make(self) -> None:
        """Make what is missing.

        Raises
        ------
        MammoscopeError
            It cannot be made; says why.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.mkdir(mode=0o700, exist_ok=True)
            self.database.touch(mode=0o600)
        except OSError as error:
            raise MammoscopeError(f"{self.root}: cannot hold {self.holds} ({error})") from None

    def remove_unknown(self, known: Collection[str]) -> None:
        """Remove everything in ``files/`` except these names: leftovers of a killed process."""
        for path in self.files.iterdir():
            if path.name in known:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
