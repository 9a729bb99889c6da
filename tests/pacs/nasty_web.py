"""A DICOMweb server of the tests' own that behaves, until a test tells it to misbehave."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock, Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom

from pacs.kept import Kept

Misbehaviour = Callable[["Handler"], None]
_PATH = re.compile(r"/dicom-web/studies(?:/(?P<study>[\d.]+))?(?:/series/(?P<series>[\d.]+))?(?P<rest>/.*)?")
_BOUNDARY = "part"


class WebPeer:
    """Listens on a port of its own; a context manager.

    ``misbehave`` maps a part of ``METHOD PATH?QUERY`` to what is done instead of answering. ``asked`` lists the
    requests in the same form, ``stored`` the UIDs of what was stored. ``paging`` says what becomes of limit and offset:
    ``"right"``, ``"no offset"`` (the second page is empty), ``"same page"`` (offset ignored), ``"capped"`` (10 at most,
    whatever was asked for), or ``"filtered"`` (no second page to a search with ModalitiesInStudy, as Orthanc 1.10).
    """

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.misbehave: dict[str, Misbehaviour] = {}
        self.asked: list[str] = []
        self.stored: list[str] = []
        self.bodies: list[bytes] = []
        self.paging = "right"
        self.lock = Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.peer = self
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"

    def __enter__(self) -> WebPeer:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, content: bytes, **changed: str) -> Kept:
        """Keep a DICOM file; ``changed`` is what the server says of it instead of what it holds."""
        kept = Kept.of(content, **changed)
        self.kept[kept.sop_instance] = kept
        return kept


class _Server(ThreadingHTTPServer):
    peer: WebPeer
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone; that is what it should do."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: _Server
    body: bytes

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (its name there)
        """Nothing."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self.body = self._read_body()
        self._answer(self._post)

    def send(self, status: int, body: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """End the connection without a word, as a process that was killed does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def cut(self, part: bytes) -> None:
        """Send this, and end the connection."""
        self.wfile.write(part)
        self.close_connection = True

    def _answer(self, right: Callable[[], None]) -> None:
        peer, asked = self.server.peer, f"{self.command} {self.path}"
        with peer.lock:
            peer.asked.append(asked)
            wrong = next((what for part, what in peer.misbehave.items() if part in asked), None)
        with suppress(OSError, ValueError):  # whoever asked may have gone
            right() if wrong is None else wrong(self)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _get(self) -> None:
        parts, peer = urlsplit(self.path), self.server.peer
        found, query = _PATH.fullmatch(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert found is not None, self.path
        with peer.lock:
            kept = [one for one in peer.kept.values() if found["study"] in (None, one.study)]
        kept = [one for one in kept if found["series"] in (None, one.series)]
        rest = found["rest"]
        if rest is None:
            self._search(_studies(kept, query), query)
        elif rest in ("/instances", "/series"):
            wanted = [one for one in kept if query.get("Modality") in (None, one.modality)]
            self._search([_instance(one) for one in wanted], query)
        else:
            one = peer.kept.get(rest.removeprefix("/instances/"))
            self.send(404) if one is None else self.give(one.content)

    def give(self, content: bytes, *, closed: bool = True) -> None:
        """One file, as WADO-RS gives it."""
        head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        end = f"\r\n--{_BOUNDARY}--\r\n".encode() if closed else b""
        self.send(200, head + content + end, f'multipart/related; type="application/dicom"; boundary="{_BOUNDARY}"')

    def _search(self, items: list[dict[str, Any]], query: dict[str, str]) -> None:
        limit, offset, paging = int(query.get("limit", 10**6)), int(query.get("offset", 0)), self.server.peer.paging
        if paging == "capped":
            limit = min(limit, 10)
        if offset and (paging == "no offset" or (paging == "filtered" and "ModalitiesInStudy" in query)):
            items = []
        start = 0 if paging == "same page" else offset
        self.send(200, json.dumps(items[start : start + limit]).encode())

    def _post(self) -> None:
        kind = self.headers["Content-Type"].encode()
        message = BytesParser().parsebytes(b"Content-Type: " + kind + b"\r\n\r\n" + self.body)
        items = []
        for part in message.get_payload():
            assert not isinstance(part, str)
            head = pydicom.dcmread(BytesIO(part.get_payload(decode=True)), stop_before_pixels=True)  # type: ignore[arg-type, union-attr]
            self.server.peer.stored.append(str(head.SOPInstanceUID))
            items.append(
                {"00081150": _element("UI", head.SOPClassUID), "00081155": _element("UI", head.SOPInstanceUID)}
            )
        self.send(200, json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode())


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values and values[0] != "" else {"vr": vr}


def _studies(kept: list[Kept], query: dict[str, str]) -> list[dict[str, Any]]:
    first, dash, last = query.get("StudyDate", "").partition("-")
    if first and not dash:
        last = first
    studies: dict[str, list[Kept]] = {}
    for one in kept:
        in_range = not (first or last) or (one.day and (first or "0") <= one.day <= (last or "9"))
        if in_range and query.get("ModalitiesInStudy") in (None, one.modality):
            studies.setdefault(one.study, []).append(one)
    return [
        {
            "0020000D": _element("UI", uid),
            "00080020": _element("DA", members[0].day),
            "00080061": _element("CS", *{one.modality for one in members}),
            "00201208": _element("IS", len(members)),
        }
        for uid, members in studies.items()
    ]


def _instance(one: Kept) -> dict[str, Any]:
    return {
        "00080016": _element("UI", one.sop_class),
        "00080018": _element("UI", one.sop_instance),
        "00080060": _element("CS", one.modality),
        "0020000D": _element("UI", one.study),
        "0020000E": _element("UI", one.series),
    }


# What a server does instead of answering.


def says(status: int, body: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> Misbehaviour:
    return lambda handler: handler.send(status, body, kind, **headers)


def resets(handler: Handler) -> None:
    handler.reset()


def endless(piece: bytes, start: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> Misbehaviour:
    """A piece after the other, until whoever asked has had enough."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(start)
        while True:
            handler.wfile.write(piece)

    return answer


def bomb(megabytes: int) -> Misbehaviour:
    """Blanks without end, compressed a thousandfold, as many members of one gzip file."""
    packed = gzip.compress(b"[") + gzip.compress(b" " * (1 << 20)) * megabytes
    return lambda handler: handler.send(200, packed, Content_Encoding="gzip")


def drips(seconds: float, *, in_head: bool = False) -> Misbehaviour:
    """A byte at a time, so that no wait for the next one is ever long."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        if not in_head:
            handler.wfile.write(b"Content-Type: application/dicom+json\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            handler.wfile.write(b"X")
            time.sleep(seconds)

    return answer


def redirects(url: str, status: int = 307) -> Misbehaviour:
    return lambda handler: handler.send(status, Location=url)
