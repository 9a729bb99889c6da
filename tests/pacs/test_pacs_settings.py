"""What is not safe or not possible is refused, with what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.pacs.settings import Caller, Listening, Node
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer

ALLOWED = (Caller.parse("MODALITY@10.0.0.7"), Caller.parse("*@192.168.1.0/24"), Caller.parse("V6@fd00::/8"))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Node.parse("PACS"), "expected one like 'PACS@10.0.0.5:104'"),
        (lambda: Node.parse("PACS@host:0"), "expected one like"),
        (lambda: Node.parse("PACS@host:70000"), "expected one like"),
        (lambda: Node.parse("@host:104"), "expected one like"),
        (lambda: Node.parse("SEVENTEENLETTERS1@host:104"), "is not an AE title"),
        (lambda: Node.parse("BACK\\SLASH@host:104"), "is not an AE title"),
        (lambda: Caller.parse("10.0.0.7"), "expected one like 'MODALITY@10.0.0.7'"),
        (lambda: Caller.parse("MODALITY@host"), "expected one like"),
        (lambda: Caller.parse("MODALITY@10.0.0.7/24"), "expected one like"),
        (lambda: Listening(host="0.0.0.0"), "say who may call with --allow"),
        (lambda: Listening(host="::"), "say who may call with --allow"),
        (lambda: Listening(host="pacs.example.org"), "is not an address to listen on"),
        (lambda: Listening(title=""), "is not an AE title"),
        (lambda: WebServer("ftp://pacs.example.org"), "expected one like 'https://"),
        (lambda: WebServer("https://"), "expected one like 'https://"),
        (lambda: WebServer("https://pacs:port/"), "expected one like 'https://"),
        (lambda: WebServer("https://me:secret@pacs.example.org"), "set MAMMOSCOPE_PACS_USER"),
        (lambda: Tls(certificate=Path("c.pem")), "needs its key"),
        (lambda: Tls(authority=Path("/nowhere/ca.pem")), "/nowhere/ca.pem: no such file"),
    ],
)
def test_what_is_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(MammoscopeError, match=re.escape(problem)) as refused:
        make()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("callers", "title", "address", "expected"),
    [
        ((), "ANYBODY", "127.0.0.1", True),
        ((), "ANYBODY", "10.0.0.7", False),
        (ALLOWED, "MODALITY", "10.0.0.7", True),
        (ALLOWED, "OTHER", "10.0.0.7", False),
        (ALLOWED, "MODALITY", "10.0.0.8", False),
        (ALLOWED, None, "10.0.0.7", True),
        (ALLOWED, None, "10.0.0.8", False),
        (ALLOWED, "OTHER", "192.168.1.200", True),
        (ALLOWED, "MODALITY", "127.0.0.1", False),
        (ALLOWED, "MODALITY", "::ffff:10.0.0.7", True),
        (ALLOWED, "V6", "fd00::7", True),
        (ALLOWED, "MODALITY", "fd00::7", False),
    ],
)
def test_who_may_call(callers: tuple[Caller, ...], title: str | None, address: str, expected: bool) -> None:
    assert Listening(callers=callers).allows(title, address) is expected


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["receive", "--data", "x", "--send-to", "PACS@h:1", "--host", "0.0.0.0"], "--allow"),
        (["receive", "--data", "x", "--send-to", "PACS@h:1", "--report-to", "A@h:1"], "only --keep offers"),
        (["receive", "--data", "x", "--send-to", "somewhere"], "is not a DICOM application"),
        (["watch", "pacs.example.org", "--data", "x"], "not the URL of a DICOMweb server"),
        (["pull", "http://h/dicom-web", "1.2.x"], "is not a valid UID"),
        (["status", "--data", "/nowhere"], "holds no queue"),
        (["status", "--data", "x" * 300], "cannot be read (File name too long)"),
        (["dead", "--data", "/nowhere"], "holds no queue"),
        (["push", "A@h:1", __file__], "not a DICOM file"),
        (["push", "A@h:1", "/nowhere"], "No such file"),
    ],
)
def test_a_command_refuses_in_one_line(arguments: list[str], problem: str) -> None:
    outcome = CliRunner().invoke(app, ["pacs", *arguments])
    assert isinstance(outcome.exception, MammoscopeError) and problem in str(outcome.exception)
    assert not Path("x").exists()
