"""What a process costs under each hostile answer; ``pytest -m load -s`` prints it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
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
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, peer.url, call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            idle, most, begun = resident(process.pid), 0.0, time.monotonic()
            process.stdin.write("go\n")
            process.stdin.flush()
            while process.poll() is None and time.monotonic() < begun + 120:
                most = max(most, resident(process.pid))
                time.sleep(0.01)
            seconds = time.monotonic() - begun
            process.kill()
            said = process.stdout.read().strip()
    sys.stdout.write(f"\n{name}: {max(0, most - idle):.0f} MB above the idle {idle:.0f} MB, {seconds:.1f} s: {said}\n")
    assert said and most - idle < 400


def resident(process: int) -> float:
    """Its RSS in MB; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0
