"""Answers to STOW-RS: what is stored counts as stored, whatever the answer looks like, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from films import film

from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.errors import FailedError, UncertainError
from mammoscope.peers.stow import StoreAnswer, read_store_answer
from mammoscope.peers.web_server import WebServer

ONE, TWO = "1.2.3", "1.2.4"


def as_json(stored: dict[str, int | None] | None = None, failed: dict[str, int | None] | None = None) -> bytes:
    answer = {}
    for tag, reason_tag, items in (("00081199", "00081196", stored), ("00081198", "00081197", failed)):
        if items is not None:
            answer[tag] = {
                "vr": "SQ",
                "Value": [
                    {"00081155": {"vr": "UI", "Value": [uid]}}
                    | ({} if reason is None else {reason_tag: {"vr": "US", "Value": [reason]}})
                    for uid, reason in items.items()
                ],
            }
    return json.dumps(answer).encode()


def as_xml(
    stored: dict[str, int | None] | None = None,
    failed: dict[str, int | None] | None = None,
    space: str = ' xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"',
) -> bytes:
    def attribute(tag: str, value: object) -> str:
        return f'<DicomAttribute tag="{tag}" vr="UI"><Value number="1">{value}</Value></DicomAttribute>'

    parts = []
    for tag, reason_tag, items in (("00081199", "00081196", stored), ("00081198", "00081197", failed)):
        if items is not None:
            inner = "".join(
                f'<Item number="{number}">{attribute("00081155", uid)}'
                f"{'' if reason is None else attribute(reason_tag, reason)}</Item>"
                for number, (uid, reason) in enumerate(items.items(), start=1)
            )
            parts.append(f'<DicomAttribute tag="{tag}" vr="SQ">{inner}</DicomAttribute>')
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel{space}>{"".join(parts)}</NativeDicomModel>'.encode()
    )


@pytest.mark.parametrize("write", [as_json, as_xml], ids=["JSON", "XML"])
@pytest.mark.parametrize(
    ("stored", "failed", "status", "problem"),
    [
        ({ONE: None, TWO: None}, None, 200, None),
        ({ONE: None, TWO: 0xB000}, None, 202, None),  # coerced
        ({ONE: None, TWO: None}, {}, 200, None),
        ({ONE: None}, {TWO: 0x0111}, 202, None),
        (None, {ONE: 0x0111, TWO: 0x0111}, 409, None),
        (None, {ONE: 0xB00E, TWO: 0xB00E}, 409, None),
        (None, {ONE: 0xB007, TWO: 0xB006}, 409, None),
        ({ONE: None, TWO: None}, {TWO: 0x0111}, 202, None),
        ({f"{ONE} ": None, f"{TWO} ": None}, None, 200, None),  # padded
        ({ONE: None}, {TWO: 0xA700}, 202, "did not store it (failure 0xA700)"),
        (None, {ONE: 0xB00E, TWO: 0xA900}, 409, "did not store it (failure 0xA900)"),
        (None, {ONE: 0x0110, TWO: 0xC000}, 409, "did not store it (failure 0x0110, 0xC000)"),
        (None, {ONE: None, TWO: None}, 409, "did not store it (failure not given)"),
        ({ONE: None}, None, 200, "does not confirm that it stored it"),
        ({"1.2.99": None}, None, 200, "does not confirm that it stored it"),
        (None, None, 202, "does not confirm that it stored it"),
        (None, None, 409, "does not confirm that it stored it"),
        (None, None, 200, None),
    ],
)
def test_what_is_stored_counts(
    write: Any, stored: dict[str, int] | None, failed: dict[str, int] | None, status: int, problem: str | None
) -> None:
    assert read_store_answer(write(stored, failed)).problem([ONE, TWO], status) == problem


STORED = StoreAnswer(frozenset({ONE}), (), lists=True)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", StoreAnswer(frozenset(), (), lists=False)),
        (b" \r\n", StoreAnswer(frozenset(), (), lists=False)),
        (b"{}", StoreAnswer(frozenset(), (), lists=False)),
        (b"\xef\xbb\xbf" + as_json({ONE: None}), STORED),
        (b"[" + as_json({ONE: None}) + b"]", STORED),
        (as_xml({ONE: None}, space=""), STORED),
        (b"\xef\xbb\xbf" + as_xml({ONE: None}), STORED),
        (as_json({ONE: None}).replace(b'"Value": ["1.2.3"]', b'"Value": ["1.2.3\\u0000"]'), STORED),
    ],
)
def test_an_answer_is_read_however_it_is_written(body: bytes, answer: StoreAnswer) -> None:
    assert read_store_answer(body) == answer


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Sign in<br></body></html>",
        b"OK",
        b"\xff\xfe",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b'{"00081199": [1]}',
        b"7",
        b'"stored"',
    ],
)
def test_what_is_no_answer_confirms_nothing(body: bytes) -> None:
    with pytest.raises((ValueError, AttributeError, TypeError)):
        read_store_answer(body)


@contextmanager
def answering(*answers: tuple[int, str | None, bytes]) -> Iterator[tuple[DicomWeb, list[str | None]]]:
    """A server that gives these answers, the last one again and again; and the media types that it was asked for."""
    accepted: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            else:
                self.rfile.read(int(self.headers["Content-Length"]))
            status, media_type, body = answers[min(len(accepted), len(answers) - 1)]
            accepted.append(self.headers.get("Accept"))
            self.send_response(status)
            if media_type is not None:
                self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield DicomWeb(WebServer(f"http://127.0.0.1:{server.server_address[1]}")), accepted
        server.shutdown()


@pytest.mark.parametrize("write", [as_json, as_xml], ids=["JSON", "XML"])
@pytest.mark.parametrize("status", [200, 409])
@pytest.mark.parametrize(
    "media_type",
    ["application/dicom+{}", "application/dicom+{}; charset=utf-8", "application/{};charset=UTF-8", "text/plain", None],
)
def test_what_a_server_has_is_not_sent_again(write: Any, status: int, media_type: str | None) -> None:
    uid = str(film(1).SOPInstanceUID)
    body = write({uid: None}) if status == 200 else write(None, {uid: 0xB00E})
    kind = media_type and media_type.format("json" if write is as_json else "xml")
    with answering((status, kind, body)) as (server, accepted):
        server.store([film(1)])
    assert accepted == ["application/dicom+json"]


def test_a_server_without_json_is_asked_for_xml() -> None:
    body = as_xml({str(film(1).SOPInstanceUID): None})
    with answering((406, None, b""), (200, "application/dicom+xml", body)) as (server, accepted):
        server.store([film(1)])
    assert accepted == ["application/dicom+json", "application/dicom+xml"]


@pytest.mark.parametrize(
    ("status", "body", "error", "problem"),
    [
        (409, as_xml(None, {"1.2": 0xA700}), UncertainError, "did not store it"),  # out of resources: it may pass
        (409, as_xml(None, {"1.2": 0xA900}), FailedError, "did not store it"),
        (409, b"", FailedError, "does not confirm"),
        (200, b"<html>Sign in<br></html>", UncertainError, "gave no valid answer"),
        (400, b"", FailedError, "answers 400"),
        (406, b"", FailedError, "answers 406"),
    ],
)
def test_what_is_not_stored_fails(status: int, body: bytes, error: type[Exception], problem: str) -> None:
    with answering((status, "text/html", body)) as (server, _), pytest.raises(error, match=problem):
        server.store([film(1)])
