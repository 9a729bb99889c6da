"""What an archive holds, to ask of each file and image whether it is done: on disk, so that memory stays flat."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


class Ledger:
    """Keys of files and hashes of images, in a private temporary database that goes with its connection."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        for name in ("source", "image"):
            self._database.execute(f"CREATE TABLE {name} (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        """Give it up."""
        self._database.close()

    def take_source(self, key: str) -> bool:
        """Note a file; whether it is new."""
        return self._took("source", key)

    def take_image(self, sha256: str) -> bool:
        """Note an image; whether it is new."""
        return self._took("image", sha256)

    def fill(self, sources: Iterable[str], images: Iterable[str]) -> None:
        """Note what is done, all at once."""
        self._database.execute("BEGIN")
        for name, keys in (("source", sources), ("image", images)):
            self._database.executemany(
                f"INSERT OR IGNORE INTO {name} VALUES (?)",  # noqa: S608 (two names, above)
                ((bytes.fromhex(key),) for key in keys),
            )
        self._database.execute("COMMIT")

    @property
    def images(self) -> int:
        """How many different images there are."""
        (count,) = self._database.execute("SELECT count(*) FROM image").fetchone()
        return int(count)

    def _took(self, name: str, key: str) -> bool:
        statement = f"INSERT OR IGNORE INTO {name} VALUES (?)"  # noqa: S608 (two names, above)
        return self._database.execute(statement, (bytes.fromhex(key),)).rowcount == 1
