"""What a user names as a source: folders, globs, tables and object stores, listed as they are needed."""

from __future__ import annotations

import csv
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archive.images import make_images
from mammoscope.archive.sources.sources import Sources
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.readers.inputs import find_inputs


def listed(*places: object) -> tuple[list[list[str]], list[str]]:
    """Batches of places, and what was refused."""
    refused: list[InputError] = []
    batches = Sources([str(place) for place in places]).batches(refused.append)
    return [[file.place for file in batch] for batch in batches], [str(error) for error in refused]


def names(*places: object) -> list[str]:
    batches, refused = listed(*places)
    assert not refused
    return sorted(place.rpartition("/")[2] for batch in batches for place in batch)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Images in folders of folders, among what is none."""
    one = make_images(tmp_path / "one", 1) / "00" / "00000.png"
    root = tmp_path / "tree"
    for name in ("a.png", "2019/b.png", "2019/x/c.png", "2020/d.png", "2020/x/1.2.840.1", ".hidden/e.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(one.read_bytes())
    for name in ("2019/b_mask.png", "images/f.png", "masks/f.png", "a.overlay.png", "2019/.g.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(one.read_bytes())
    (root / "2020" / "notes.txt").write_text("dear radiologist")
    return root


def test_a_folder_gives_what_it_gives_elsewhere(tree: Path) -> None:
    batches, refused = listed(tree)
    places = sorted(Path(place) for batch in batches for place in batch)
    assert places == sorted(find_inputs([tree])) and len(places) == 6 and not refused
    assert all(len({Path(place).parent for place in batch}) == 1 for batch in batches)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["a.overlay.png", "a.png"]),
        ("*/*.png", ["b.png", "b_mask.png", "d.png", "f.png", "f.png"]),
        ("20??/**/*.png", ["b.png", "b_mask.png", "c.png", "d.png"]),
        ("2020/**", ["1.2.840.1", "d.png"]),
        ("**/x/*", ["1.2.840.1", "c.png"]),
        ("**/[cd].png", ["c.png", "d.png"]),
    ],
)
def test_a_glob_gives_what_matches(tree: Path, pattern: str, found: list[str]) -> None:
    kept = [name for name in found if not name.endswith(".overlay.png")]  # a result
    assert names(tree / pattern) == kept


def test_what_is_not_there_or_empty_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    batches, refused = listed(tmp_path / "gone", tmp_path / "empty", tree / "*.tif", tree / "a.png")
    assert batches == [[str(tree / "a.png")]]
    assert refused == [
        f"{tmp_path}/gone: no such file or folder",
        f"{tmp_path}/empty: holds no DICOM, PNG, JPEG, TIFF or PGM file",
        f"{tree}/*.tif: holds no DICOM, PNG, JPEG, TIFF or PGM file",
    ]


def test_a_file_that_was_replaced_is_another(tree: Path) -> None:
    def key() -> str:
        ((file,),) = Sources([str(tree / "a.png")]).batches(lambda error: None)
        return file.key

    before = key()
    assert key() == before
    os.utime(tree / "a.png", ns=(1, 1))
    assert key() != before


def _table(path: Path, columns: dict[str, list[str]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
        return path
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_paths(tree: Path, suffix: str) -> None:
    paths = ["a.png", str(tree / "2019/b.png"), "2019/x/c.png", "", "2020/d.png"]
    batches, refused = listed(_table(tree / f"list{suffix}", {"path": paths}))
    assert [[Path(place).name for place in batch] for batch in batches] == [["a.png"], ["b.png"], ["c.png"], ["d.png"]]
    assert refused == [f"{tree}/list{suffix}: row 4 has no path or url"]
    columns = {"exam": ["1", "1", "2", "2", "2"], "path": paths}
    batches, _ = listed(_table(tree / f"exams{suffix}", columns))
    assert [[Path(place).name for place in batch] for batch in batches] == [["a.png", "b.png"], ["c.png", "d.png"]]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("list.csv", b"file\na.png\n", "list.csv: has the columns file, expected one of path and url"),
        ("list.csv", b"path\n\xff\n", "list.csv: is no CSV table in UTF-8"),
        ("list.parquet", b"no table", "list.parquet: is no Parquet table"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MammoscopeError, match=problem):
        listed(tmp_path / name)


@pytest.fixture
def bucket(tree: Path) -> Iterator[str]:
    """The same in an object store."""
    store = fsspec.filesystem("memory")
    store.put(str(tree), "/bucket", recursive=True)
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


def test_an_object_store(bucket: str) -> None:
    assert names(bucket) == ["1.2.840.1", "a.png", "b.png", "c.png", "d.png", "f.png"]
    assert names(f"{bucket}/20??/*.png") == ["b.png", "b_mask.png", "d.png"]
    assert names(f"{bucket}/a.png") == ["a.png"]
    fsspec.filesystem("memory").pipe_file("/bucket/list.csv", f"url\n{bucket}/a.png\n2019/b.png\n".encode())
    assert names(f"{bucket}/list.csv") == ["a.png", "b.png"]
    assert listed(f"{bucket}/gone")[1] == ["memory://bucket/gone: no such object or folder"]


def test_an_unknown_store_is_named() -> None:
    with pytest.raises(MammoscopeError, match=r"^nowhere://bucket: cannot be reached"):
        listed("nowhere://bucket")


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    for number in range(2000):
        folder = tmp_path / f"{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.png").touch()

    def peak(places: Sequence[str]) -> int:
        tracemalloc.start()
        assert Sources(places).count() in (20, 2000)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # The least of some: another thread may need memory meanwhile, and Python keeps some at first.
    many, few = (min(peak([str(place)]) for _ in range(3)) for place in (tmp_path, tmp_path / "7"))
    a_file = (many - few) / 1980
    assert a_file < 50  # bytes: its path alone would take more
