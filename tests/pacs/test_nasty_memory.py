"""What a process costs under each hostile answer; ``pytest -m load -s`` prints it."""

from __future__ import annotations

import sys

import pytest
from hostile_cost import assert_cheap
from nasty_web import Misbehaviour, WebPeer, bomb, endless, says

pytestmark = [pytest.mark.load, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

PROGRAM = """
import sys
from films import film
from mammoscope.errors import MammoscopeError
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.listing import Days
from mammoscope.peers.web_server import WebServer

server = DicomWeb(WebServer(sys.argv[1]))
one = film(0)
print("ready", flush=True)
sys.stdin.readline()
try:
    if sys.argv[2] == "search":
        list(server.studies(Days(), "MG"))
    elif sys.argv[2] == "fetch":
        with server.fetch("1.2", "1.3", "1.4") as blocks:
            for block in blocks:
                pass
    else:
        server.store([one])
except MammoscopeError as error:
    print(error)
"""
PART = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
RELATED = 'multipart/related; type="application/dicom"; boundary="part"'
FILE_START = PART + bytes(128) + b"DICM"
ITEM = b'{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}, '
TABLE: list[tuple[str, str, Misbehaviour]] = [
    ("endless JSON", "search", endless(ITEM * 2000, b"[")),
    ("an endless text", "search", endless(b"x" * 65536, b'["')),
    ("endless small lists", "search", endless(b"[]," * 20_000, b"[")),
    ("32 MB of small lists", "search", says(200, b"[" + b"[]," * 11_000_000 + b"1]")),
    ("32 MB of deep lists", "search", says(200, b"[" * 33_000_000)),
    ("a bomb of 2 GB", "search", bomb(2000)),
    ("an endless image", "fetch", endless(bytes(65536), FILE_START, RELATED)),
    ("an endless part head", "fetch", endless(b"x" * 65536, b"--part\r\n", RELATED)),
    ("an endless file", "fetch", endless(bytes(65536), bytes(128) + b"DICM", "application/dicom")),
    ("an endless receipt", "store", endless(ITEM * 2000, b"[")),
    ("8 MB of small lists", "store", says(200, b"[" + b"[]," * 2_700_000 + b"1]")),
]


@pytest.mark.parametrize(("name", "call", "answer"), TABLE, ids=[row[0] for row in TABLE])
def test_no_answer_costs_400_mb(name: str, call: str, answer: Misbehaviour) -> None:
    with WebPeer() as peer:
        peer.misbehave["/"] = answer
        assert_cheap(name, PROGRAM, peer.url, call, within=120)
