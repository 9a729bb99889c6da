"""What a process costs under each hostile answer of a DICOM archive; ``pytest -m load -s`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from films import film
from hostile_cost import assert_cheap
from nasty_dimse import DimsePeer, Misbehaviour, floods, sends
from pynetdicom import evt

pytestmark = [pytest.mark.load, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

PROGRAM = """
import sys
from mammoscope.cli.pacs_log import silence_dicom
from films import film
from mammoscope.errors import MammoscopeError
from mammoscope.pacs.dicom_archive import DicomArchive
from mammoscope.pacs.settings import Node

silence_dicom()
archive, one = DicomArchive(Node.parse(sys.argv[1]), "MAMMOSCOPE", None), film(0)
print("ready", flush=True)
sys.stdin.readline()
try:
    if sys.argv[2] == "GET":
        with archive.fetch(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID) as blocks:
            print(sum(map(len, blocks)), "bytes")
    else:
        found, is_whole = archive.instances(one.StudyInstanceUID, "MG")
        print(len(found), "found", is_whole)
except MammoscopeError as error:
    print(error)
"""


def _sends_mebibytes(number: int) -> Misbehaviour:
    """An image of that size, made when it is wanted."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        yield from sends(film(0, PixelData=bytes(number << 20)))(peer, event)

    return answer


TABLE: list[tuple[str, str, Misbehaviour]] = [
    ("tiny matches", "SERIES", floods(2)),
    ("matches of 1 kB", "SERIES", floods(1000)),
    ("matches of 100 kB", "SERIES", floods(100_000)),
    ("matches of 20 MB", "SERIES", floods(20_000_000)),
    ("sub-operations without end", "GET", floods()),
    ("an image of 315 MiB", "GET", _sends_mebibytes(315)),
    ("an image of 400 MiB", "GET", _sends_mebibytes(400)),
]


@pytest.mark.parametrize(("name", "call", "answer"), TABLE, ids=[row[0] for row in TABLE])
def test_no_answer_costs_400_mb(name: str, call: str, answer: Misbehaviour) -> None:
    with DimsePeer() as peer:
        peer.misbehave[call] = answer
        assert_cheap(name, PROGRAM, peer.node, call, within=150)
