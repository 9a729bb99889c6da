"""A DICOMweb server that answers anything at all: each answer is refused in bounds, with one line that says why."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from films import NAME, encoded, film, film_uid
from nasty_web import Misbehaviour, WebPeer, bomb, drips, endless, redirects, resets, says
from tls_files import TlsFiles
from typer.testing import CliRunner

from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.peers import dicomweb
from mammoscope.peers.bounds import Bounds
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.peers.json_answers import items_of
from mammoscope.peers.listing import Days
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer

PART = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
RELATED = 'multipart/related; type="application/dicom"; boundary="part"'
FILE = encoded(film(0))
BOUNDS = {"search": Bounds(1 << 20, 0.5), "fetch": Bounds(1 << 20, 0.5), "store": Bounds(1 << 20, 0.5)}


def search(server: DicomWeb) -> object:
    return list(server.studies(Days(), "MG"))


def look_into(server: DicomWeb) -> object:
    return server.instances("1.2.3", "MG")


def fetch(server: DicomWeb) -> object:
    one = film(0)
    with server.fetch(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID) as blocks:
        return b"".join(blocks)


def store(server: DicomWeb) -> object:
    return server.store([film(0)])


TABLE: list[tuple[str, Callable[[DicomWeb], object], Misbehaviour, type[Exception], str]] = [
    ("null", search, says(200, b"[null]"), UncertainError, "no valid answer"),
    ("numbers", search, says(200, b"[1, 2.5, true]"), UncertainError, "no valid answer"),
    ("a scalar", search, says(200, b"17"), UncertainError, "no valid answer"),
    ("an object", search, says(200, b"{}"), UncertainError, "no valid answer"),
    ("a page in HTML", search, says(200, b"<html>sign in</html>", "text/html"), UncertainError, "no valid answer"),
    ("not UTF-8", search, says(200, b'[{"\xff": 1}]'), UncertainError, "no valid answer"),
    ("cut off", search, says(200, b'[{"0020000D": {"vr": "UI", "Va'), UncertainError, "no valid answer"),
    ("deep lists", search, says(200, b"[" * 500_000), UncertainError, "no valid answer"),
    ("deep objects", search, says(200, b'[{"a":' + b'{"a":' * 100_000), UncertainError, "no valid answer"),
    ("a large item", search, says(200, b'[{"a": "' + b"x" * 1_040_000 + b'"}]'), UncertainError, "no valid answer"),
    ("endless items", search, endless(b'{"0020000D": {}}, ' * 1000, b"["), UncertainError, "more than 1 MiB"),
    ("a bomb", search, bomb(30), UncertainError, "more than 1 MiB"),
    ("a drip", search, drips(0.05), UncertainError, "took more than 0.5 s"),
    ("a dripping head", search, drips(0.05, in_head=True), UncertainError, "took more than 0.5 s"),
    ("less than said", search, says(200, b"[]", Content_Length="99", Connection="close"), UncertainError, "ended the"),
    ("half a head", search, lambda handler: handler.cut(b"HTTP/1.1 200 OK\r\nContent-Ty"), UncertainError, "ended the"),
    ("another host", search, redirects("http://127.0.0.2:1/dicom-web/studies"), UncertainError, "another address"),
    ("another port", look_into, redirects("http://127.0.0.1:1/"), UncertainError, "another address"),
    ("another scheme", fetch, redirects("file:///etc/passwd"), UncertainError, "another address"),
    ("in circles", search, redirects("/dicom-web/studies"), UncertainError, "points elsewhere more than 5 times"),
    ("no page", look_into, says(404), UnavailableError, "answers 404 to 'search'"),
    ("no account", search, says(401), UnavailableError, "answers 401"),
    ("forbidden", fetch, says(403), UncertainError, "answers 403"),
    ("gone", fetch, says(404), FailedError, "answers 404"),
    ("overloaded", fetch, says(503), UncertainError, "answers 503"),
    ("a reset", fetch, resets, UncertainError, "ended the connection"),
    ("cut off", fetch, lambda handler: handler.give(FILE[:50_000], closed=False), UncertainError, "no valid answer"),
    ("another image", fetch, lambda handler: handler.give(encoded(film(1))), UncertainError, "no valid answer"),
    ("no image", fetch, lambda handler: handler.give(b"\0" * 5000), UncertainError, "no valid answer"),
    ("an empty part", fetch, lambda handler: handler.give(b""), UncertainError, "no valid answer"),
    ("two parts", fetch, lambda handler: handler.give(FILE + b"\r\n" + PART + FILE), UncertainError, "no valid answer"),
    ("an error page", fetch, says(200, b"<html>", "text/html"), UncertainError, "no valid answer"),
    ("endless", fetch, endless(b"\0" * 65536, PART + FILE, RELATED), UncertainError, "more than 1 MiB"),
    ("an endless part head", fetch, endless(b"x" * 65536, b"--part\r\n", RELATED), UncertainError, "no valid answer"),
    ("full", store, says(507), UncertainError, "answers 507"),
    ("broken", store, says(500, NAME.encode()), UncertainError, "answers 500 to 'store'"),
    ("a reset", store, resets, UncertainError, "ended the connection"),
    ("elsewhere", store, redirects("http://127.0.0.2:1/studies"), UncertainError, "another address"),
    ("only to look", store, redirects("/dicom-web/studies", 302), UncertainError, "would store nothing"),
    ("unconfirmed", store, says(202, b"{}"), FailedError, "does not confirm"),
    ("null", store, says(200, b"[null]"), UncertainError, "no valid answer"),
    ("endless", store, endless(b'{"a": 1}, ' * 1000, b"["), UncertainError, "more than 1 MiB"),
    ("no XML", store, says(200, b"<a", "application/dicom+xml"), UncertainError, "no valid answer"),
]


@pytest.mark.parametrize(("call", "answer", "error", "problem"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_an_answer_that_is_refused(
    call: Callable[[DicomWeb], object],
    answer: Misbehaviour,
    error: type[Exception],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dicomweb, "_BOUNDS", BOUNDS)
    begun = time.monotonic()
    with WebPeer() as peer:
        peer.misbehave["/"] = answer
        with pytest.raises(error, match=problem) as refused:
            call(DicomWeb(WebServer(peer.url)))
    assert time.monotonic() - begun < 10 and NAME not in str(refused.value)


@pytest.mark.parametrize("call", [search, look_into, fetch, store])
def test_what_is_right_is_taken(call: Callable[[DicomWeb], object]) -> None:
    with WebPeer() as peer:
        peer.add(FILE)
        server = DicomWeb(WebServer(peer.url))
        assert call(server) == {fetch: FILE, store: None}.get(call) or call in (search, look_into)
        peer.misbehave["GET /dicom-web/studies?"] = redirects("/moved/dicom-web/studies")  # of the same origin
        peer.misbehave["GET /moved"] = says(200, b'[{"0020000D": {"Value": ["1.2"]}}, null]')
        assert [study.uid for study in server.studies(Days(), None)] == ["1.2"]


def test_a_bare_file_and_an_empty_answer_are_taken() -> None:
    with WebPeer() as peer:
        peer.misbehave["/instances/"] = says(200, FILE, "application/dicom")
        peer.misbehave["/studies?"] = says(204)
        server = DicomWeb(WebServer(peer.url))
        assert fetch(server) == FILE and search(server) == []


def test_credentials_and_patients_go_nowhere_else() -> None:
    with WebPeer() as peer, WebPeer() as other:
        peer.misbehave["/"] = redirects(f"{other.url}/studies", 308)
        server = DicomWeb(WebServer(peer.url, "me", "secret"))
        for call in (search, fetch, store):
            with pytest.raises(UncertainError, match="points to another address, which is not followed"):
                call(server)
        assert not other.asked


def test_a_call_ends_when_it_is_interrupted() -> None:
    with WebPeer() as peer:
        peer.misbehave["/"] = drips(0.05)
        server = DicomWeb(WebServer(peer.url))
        failures: list[Exception] = []

        def call() -> None:
            try:
                search(server)
            except MammoscopeError as error:
                failures.append(error)

        thread = Thread(target=call)
        thread.start()
        while not peer.asked:
            time.sleep(0.01)
        begun = time.monotonic()
        server.interrupt()
        thread.join(10)
        assert failures and time.monotonic() - begun < 5
        with pytest.raises(MammoscopeError):
            fetch(server)


def test_a_certificate_for_another_host_is_named_as_such(tls: TlsFiles) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    with WebPeer() as peer:
        peer._server.socket = context.wrap_socket(peer._server.socket, server_side=True)
        trusting = Tls(authority=tls.authority)
        assert search(DicomWeb(WebServer(peer.url.replace("http", "https", 1), tls=trusting))) == []
        elsewhere = peer.url.replace("http", "https", 1).replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(UnavailableError, match="cannot be reached"):
            search(DicomWeb(WebServer(elsewhere, tls=trusting)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n[]", []),
        ('[{"a": {"Value": ["1"]}} , null, {}]', [["1"], None, []]),
        ('[{"a": 5}, {"a": {"Value": 5}}, {"a": {}}]', [[], [], []]),
        ('[{"a": {"Value": ["' + "x" * 20_000 + '"]}}, 1]', [["x" * 20_000], None]),
    ],
)
def test_items_of_an_answer(text: str, expected: list[list[object] | None]) -> None:
    assert [None if item is None else item.values("a") for item in items_of(text.encode())] == expected


@pytest.mark.parametrize(
    ("value", "count"), [(3, 3), ("3 ", 3), (-1, None), (1e400, None), (True, None), ("x", None), (2**40, None)]
)
def test_a_count_is_a_number_of_things(value: object, count: int | None) -> None:
    import json

    (item,) = items_of(json.dumps([{"00201208": {"Value": [value]}}]).encode())
    assert item is not None and item.count("00201208") == count


def test_pull_writes_whole_images_or_none(tmp_path: Path) -> None:
    with WebPeer() as peer:
        peer.add(FILE)
        arguments = ["pacs", "pull", peer.url, str(film(0).StudyInstanceUID), "--out", str(tmp_path)]
        peer.misbehave["/instances/"] = lambda handler: handler.give(FILE[:50_000], closed=False)
        assert isinstance(CliRunner().invoke(app, arguments).exception, UncertainError)
        assert not list(tmp_path.iterdir())
        peer.misbehave.clear()
        assert CliRunner().invoke(app, arguments).exit_code == 0
        (path,) = tmp_path.iterdir()
        assert path.read_bytes() == FILE and film_uid(0) not in path.name
