"""The Parquet files of an archive: rows to bytes and back, names, and which of them count."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mammoscope import NOTICE, __version__
from mammoscope.archive.rows import Row
from mammoscope.archive.schema import IMAGES, SCHEMA_VERSION, TABLES, check_version, schema_of
from mammoscope.archive.store import Store
from mammoscope.errors import MammoscopeError

MANIFEST = "archive.json"
_PART = re.compile(r"part-(\d{6,})-[0-9a-f]{8}\.parquet")
_PARTITION = re.compile(r"models=([0-9a-f]{12})")
_THRESHOLD = re.compile(r"threshold=([0-9.e-]+)")


@dataclass(frozen=True)
class Partition:
    """What one bundle found at one threshold: the folder of that name in each table.

    Attributes
    ----------
    models
        The first twelve digits of the bundle's hash.
    threshold
        Detection score from which findings are reported.
    """

    models: str
    threshold: str

    @classmethod
    def of(cls, sha256: str, threshold: float) -> Partition:
        """That of a bundle's hash and a threshold."""
        return cls(sha256[:12], repr(float(threshold)))

    def folder(self, table: str) -> str:
        """Its folder of a table."""
        return f"{table}/models={self.models}/threshold={self.threshold}"


def begin(store: Store) -> None:
    """Make an archive where there is none; raises MammoscopeError where there is something else."""
    names = [name for name in store.names() if not name.startswith((".", "_"))]
    if MANIFEST in names:
        check(store)
    elif names:
        raise MammoscopeError(f"{store}: holds {names[0]!r} and is no archive; choose an empty or a new place")
    else:
        about = {"schema_version": SCHEMA_VERSION, "notice": NOTICE, "software": f"mammoscope {__version__}"}
        store.write(MANIFEST, (json.dumps(about, indent=2) + "\n").encode())


def check(store: Store) -> None:
    """Refuse what is no archive of this version."""
    name = f"{store}/{MANIFEST}"
    try:
        with store.open(MANIFEST) as stream:
            version = json.load(stream)["schema_version"]
    except FileNotFoundError:
        raise MammoscopeError(f"{store}: is no archive of mammoscope, it lacks {MANIFEST}") from None
    except NotADirectoryError:
        raise MammoscopeError(f"{store}: is a file, expected the folder of an archive") from None
    except OSError as error:
        raise MammoscopeError(f"{name}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise MammoscopeError(f"{name}: does not state the archive's version") from None
    check_version(name, version)


def partitions(store: Store) -> Iterator[Partition]:
    """All that an archive has."""
    for models in filter(None, map(_PARTITION.fullmatch, store.names(IMAGES))):
        for threshold in filter(None, map(_THRESHOLD.fullmatch, store.names(f"{IMAGES}/{models[0]}"))):
            yield Partition(models[1], threshold[1])


def part_name(number: int, run: str) -> str:
    """The name of a part in each table."""
    return f"part-{number:06}-{run}.parquet"


def parts_of(store: Store, partition: Partition, table: str = IMAGES) -> list[str]:
    """Names of the parts of a table. Those of ``images`` count; those of another table, where ``images`` has them."""
    return [name for name in store.names(partition.folder(table)) if _PART.fullmatch(name)]


def next_number(parts: Sequence[str]) -> int:
    """The number of the part after these."""
    return 1 + max((int(found[1]) for found in map(_PART.fullmatch, parts) if found), default=0)


def remove_unfinished(store: Store, partition: Partition) -> None:
    """Remove what a run left that was killed: temporary files, and parts without their part of ``images``."""
    whole = set(parts_of(store, partition))
    for table in TABLES:
        folder = partition.folder(table)
        for name in store.names(folder):
            if name.startswith(".part-") or (_PART.fullmatch(name) and name not in whole):
                _remove(store, f"{folder}/{name}")


def _remove(store: Store, name: str) -> None:
    try:
        store.remove(name)
    except OSError as error:
        raise MammoscopeError(f"{store}/{name}: cannot be removed ({error.strerror or error})") from None


def encoded(table: str, rows: Sequence[Row]) -> bytes:
    """Rows as a Parquet file."""
    stream = BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema_of(table)), stream, compression="zstd")
    return stream.getvalue()


def read_part(store: Store, name: str, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Some columns of a part, as lists.

    Raises
    ------
    MammoscopeError
        It cannot be read, or is damaged; names it.
    """
    try:
        with store.open(name) as stream:
            found: dict[str, list[Any]] = pq.ParquetFile(stream).read(columns=list(columns)).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise MammoscopeError(f"{store}/{name}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    return found
