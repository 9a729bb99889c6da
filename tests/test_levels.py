"""Tables, counts and percentiles are numpy's to the last bit, whichever way OpenCV allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mammoscope import levels
from mammoscope.levels import count_levels, look_up, percentiles

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 4096, (70, 30_000), dtype=np.uint16)  # more than is counted at once
PICTURES: dict[str, NDArray[Any]] = {
    "one pixel": np.full((1, 1), 7, dtype=np.uint8),
    "two pixels": np.array([[3, 200]], dtype=np.uint8),
    "one level": np.full((40, 30), 255, dtype=np.uint8),
    "bytes": RNG.integers(0, 256, (333, 217), dtype=np.uint8),
    "a cut of bytes": RNG.integers(0, 256, (333, 217), dtype=np.uint8)[10:200, 5:90],
    "mirrored bytes": RNG.integers(0, 256, (33, 21), dtype=np.uint8)[:, ::-1],
    "words": WIDE,
    "a cut of words": WIDE[3:60, 100:20_000],
    "the brightest word": np.array([[0, 65_535]], dtype=np.uint16),
}


@pytest.fixture(params=[True, False], ids=["tables of words", "no tables of words"])
def _opencv(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:  # as OpenCV before version 5
        monkeypatch.setattr(levels, "_looks_up_words", lambda: False)


@pytest.mark.usefixtures("_opencv")
@pytest.mark.parametrize("output", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PICTURES)
def test_a_table_is_looked_up_as_by_numpy(name: str, output: type[np.unsignedinteger[Any]]) -> None:
    picture = PICTURES[name]
    picture.flags.writeable = False  # as the bytes of a file are
    table = RNG.integers(0, np.iinfo(output).max + 1, int(picture.max()) + 1).astype(output)
    found = look_up(table, picture)
    assert found.dtype == output
    np.testing.assert_array_equal(found, table[picture])


@pytest.mark.parametrize("name", PICTURES)
def test_levels_are_counted_as_by_numpy(name: str) -> None:
    picture = PICTURES[name]
    size = int(picture.max()) + 5
    np.testing.assert_array_equal(count_levels(picture, size), np.bincount(picture.ravel(), minlength=size))


@pytest.mark.parametrize("name", [name for name, picture in PICTURES.items() if picture.itemsize == 1])
@pytest.mark.parametrize("wanted", [(0.5, 99.5), (0.0, 100.0), (37.7, 50.0)])
def test_percentiles_are_those_of_numpy(name: str, wanted: tuple[float, float]) -> None:
    assert percentiles(PICTURES[name], wanted) == tuple(np.percentile(PICTURES[name], wanted))
