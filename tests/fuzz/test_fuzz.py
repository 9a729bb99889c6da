"""A file that means harm costs one clear error: the corpus, every cut, and a short run of mutations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.corpus import MEAN_FILES, MeanFile
from fuzz.invariant import check_mammogram, check_refusal
from fuzz.mutations import cut_everywhere, mutated
from fuzz.seeds import seeds
from mammoscope.errors import InputError
from mammoscope.readers import IsolatedReader, Limits

LIMITS = Limits()
END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0"


@pytest.fixture(scope="module")
def reader() -> Iterator[IsolatedReader]:
    with IsolatedReader(LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder, "mean.dcm")


def outcome(reader: IsolatedReader, path: Path, data: bytes) -> str:
    """What is said of the file; empty where it is read."""
    path.write_bytes(data)
    try:
        check_mammogram(reader.read(path), LIMITS, data)
    except InputError as error:
        check_refusal(path, error, data)
        return error.problem
    return ""


@pytest.mark.parametrize("mean", MEAN_FILES, ids=lambda mean: mean.name)
def test_a_mean_file_is_told_by_name(reader: IsolatedReader, path: Path, mean: MeanFile) -> None:
    said = outcome(reader, path, mean.make())
    assert re.match(mean.says, said) if mean.says else not said, said


@pytest.mark.parametrize("number", [0, 1, 14])  # explicit, implicit, JPEG 2000; make fuzz does all
def test_a_file_cut_at_any_element_is_refused(reader: IsolatedReader, path: Path, number: int) -> None:
    sound = seeds()[number]
    assert outcome(reader, path, sound) == ""
    # What stands behind the last fragment says only that it was the last.
    whole = len(sound) - 8 if sound[-8:].startswith(END_OF_FRAGMENTS) else len(sound)
    for length in cut_everywhere(sound):
        assert outcome(reader, path, sound[:length]) or length >= whole, f"cut at {length} of {len(sound)} bytes"


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_a_mutated_file_is_read_or_refused(reader: IsolatedReader, path: Path, random: Random) -> None:
    outcome(reader, path, mutated(random))
