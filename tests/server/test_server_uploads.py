"""What is taken on, what is refused, and that what is refused leaves nothing."""

from __future__ import annotations

import io
import socket
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from server_process import Server

from mammoscope.server import UploadLimits
from readers.dicom_files import mammogram

Idle = Callable[..., TestClient]
Files = list[tuple[str, tuple[str, bytes]]]

ANALYSES = "/api/v1/analyses"


def header() -> bytes:
    """The start of a DICOM image of one study: of which exam it is can be told, but it can never be read."""
    content = io.BytesIO()
    dataset = mammogram(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4", PixelData=None)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


DICOM = header()


def form(*files: tuple[str, bytes]) -> Files:
    return [("files", file) for file in files]


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return content.getvalue()


def encrypted(archive: bytes) -> bytes:
    """The archive with every entry's flag set as a password sets it."""
    changed = bytearray(archive)
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := archive.find(magic, start)) >= 0:
            changed[start + place] |= 1
            start += 4
    return bytes(changed)


def damaged(archive: bytes) -> bytes:
    """The archive with one byte of its first entry's data changed."""
    start = 30 + int.from_bytes(archive[26:28], "little")
    return archive[: start + 200] + bytes([archive[start + 200] ^ 255]) + archive[start + 201 :]


def many_entries(count: int) -> bytes:
    """An end record that announces so many entries."""
    return b"PK\x03\x04" + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, 46 * count, 4, 0)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (form(("a.dcm", DICOM)), ["a.dcm"]),
        (form(("a.dcm", b"")), ["a.dcm"]),
        (form(("C:\\exam\\a.dcm", DICOM), ("exam/b.dcm", DICOM)), ["a.dcm", "b.dcm"]),
        (form(("../../etc/passwd", DICOM)), ["passwd"]),
        (form(("<script>", DICOM), ("Müller\u202e.dcm", DICOM)), ["<script>", "Müller?.dcm"]),
        (form(("x" * 900 + ".dcm", DICOM)), ["x" * 200]),
        (form(("e.zip", zipped(("a/1", DICOM), ("b/1", DICOM)))), ["1", "1"]),
        (form(("a.png", b"x"), ("e", zipped(("x.dcm", DICOM))), ("b.png", b"y")), ["a.png", "x.dcm", "b.png"]),
        (
            form(("e.zip", zipped(("x.png", b"y"), ("x_mask.png", b"z"), ("pgm", b"P5 8 8 255 ")))),
            ["x.png", "pgm"],
        ),
        (form(("e.zip", zipped(("../../../../escaped.dcm", DICOM), ("/abs.dcm", DICOM)))), ["escaped.dcm", "abs.dcm"]),
        (
            form(
                (
                    "e.zip",
                    zipped(
                        ("__MACOSX/._a.dcm", DICOM),
                        ("DICOMDIR", DICOM),
                        ("a.txt", b"hi"),
                        (".b", DICOM),
                        (".hidden/d.dcm", DICOM),
                        ("a.overlay.png", b"\x89PNG\r\n\x1a\n"),
                        ("c", DICOM),
                    ),
                )
            ),
            ["c"],
        ),
    ],
)
def test_what_is_taken_on(idle: Idle, tmp_path: Path, files: Files, names: list[str]) -> None:
    client = idle()
    answer = client.post(ANALYSES, files=files)
    assert answer.status_code == 202, answer.text
    location = answer.headers["location"]
    assert location == f"{ANALYSES}/{answer.json()['id']}"
    status = client.get(location).json()
    assert [file["name"] for file in status["files"]] == names
    assert [file["number"] for file in status["files"]] == list(range(len(names)))
    assert (status["state"], status["progress"]) == ("queued", 0)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    folder = f"data/files/{status['id']}"
    assert [path for path in written if "state.sqlite" not in path and "one-exam" not in path] == [
        f"{folder}/{number}/upload" for number in range(len(names))
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (encrypted(zipped(("a.dcm", DICOM))), "is encrypted"),
        (zipped(("inner.zip", zipped(("a.dcm", DICOM)))), "within a ZIP archive"),
        (zipped(("inner.dcm", zipped(("a.dcm", DICOM)))), "within a ZIP archive"),
        (zipped(("a.dcm", DICOM * 9), method=zipfile.ZIP_BZIP2), "not supported"),
        (damaged(zipped(("a.dcm", bytes(range(256)) * 9), method=zipfile.ZIP_STORED)), "is damaged"),
        (zipped(("a.dcm", DICOM))[:-30], "damaged ZIP archive"),
        (b"PK\x03\x04" + b"no" * 100, "damaged ZIP archive"),
        (zipped(("notes.txt", b"hello")), "expected a file"),
        (zipped(), "expected a file"),
    ],
)
def test_refused_entries_are_named_and_the_others_done(idle: Idle, tmp_path: Path, entry: bytes, problem: str) -> None:
    client = idle()
    alone = client.post(ANALYSES, files=form(("e.zip", entry)))
    assert alone.status_code == 400 and problem in alone.json()["detail"]
    assert not any((tmp_path / "data" / "files").iterdir())
    beside = client.post(ANALYSES, files=form(("e.zip", entry), ("good.dcm", DICOM)))
    files = client.get(beside.headers["location"]).json()["files"]
    assert files[-1]["name"] == "good.dcm" and files[-1]["state"] == "queued"
    if problem != "expected a file":
        assert len(files) == 2 and files[0]["state"] == "failed" and problem in files[0]["error"]


LIMITS = UploadLimits(bytes=3 << 20, files=3)


@pytest.mark.parametrize(
    "files",
    [
        form(*[(f"{number}.dcm", DICOM) for number in range(4)]),
        form(("large.dcm", bytes(5 << 20))),
        form(("a.dcm", bytes(2 << 20)), ("b.dcm", bytes(range(256)) * (6 << 10))),
        form(("four.zip", zipped(*[(f"{number}.dcm", DICOM) for number in range(4)]))),
        form(("four.zip", encrypted(zipped(*[(f"{number}.dcm", DICOM) for number in range(4)])))),
        form(("bomb.zip", zipped(("a.dcm", bytes(2 << 20))))),
        form(("large.zip", zipped(*[(f"{n}.dcm", bytes(1000) + bytes(range(256)) * (6 << 10)) for n in range(3)]))),
        form(("directory.zip", many_entries(20_000))),
    ],
)
def test_limits_hold(idle: Idle, tmp_path: Path, files: Files) -> None:
    answer = idle(limits=LIMITS).post(ANALYSES, files=files)
    assert answer.status_code == 413, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert not any((tmp_path / "data" / "files").iterdir())


def test_bytes_are_counted_where_no_length_is_told(idle: Idle, tmp_path: Path) -> None:
    def body() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\n'
        for _ in range(40):
            yield bytes(1 << 18)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert idle(limits=LIMITS).post(ANALYSES, content=body(), headers=headers).status_code == 413
    assert not any((tmp_path / "data" / "files").iterdir())


PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", PART + b"x\r\n--b--\r\n"),
        ("multipart/form-data; boundary=", PART + b"x\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 500, b""),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b"nonsense"),
        ("multipart/form-data; boundary=b", PART + b"x"),
        ("multipart/form-data; boundary=b", PART.replace(b'"files"', b'"other"') + b"x\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", PART.replace(b'; filename="a.dcm"', b"") + b"x\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", PART.replace(b"a.dcm", b"") + b"\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X-Long: " + b"x" * 100_000),
    ],
)
def test_broken_forms_are_refused(idle: Idle, tmp_path: Path, kind: str, body: bytes) -> None:
    answer = idle().post(ANALYSES, content=body, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert not any((tmp_path / "data" / "files").iterdir())


def test_a_full_queue_asks_to_come_back(idle: Idle, tmp_path: Path) -> None:
    client = idle(queue=3)
    assert client.post(ANALYSES, files=form(("a.dcm", DICOM), ("b.dcm", DICOM))).status_code == 202
    too_many = client.post(ANALYSES, files=form(("a.dcm", DICOM), ("b.dcm", DICOM)))
    assert client.post(f"{ANALYSES}/example").status_code == 429
    assert client.post(ANALYSES, files=form(("a.dcm", DICOM))).status_code == 202
    full = client.post(ANALYSES, files=form(("a.dcm", DICOM)))
    for answer in (too_many, full):
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
    assert client.get("/api/v1/health").json()["queue"] == {"waiting": 3, "limit": 3}
    assert len(list((tmp_path / "data" / "files").iterdir())) == 2


def test_a_full_disk_is_said_before_anything_is_written(idle: Idle, tmp_path: Path) -> None:
    client = idle(reserve=1 << 60)
    for answer in (client.post(ANALYSES, files=form(("a.dcm", DICOM))), client.post(f"{ANALYSES}/example")):
        assert answer.status_code == 507 and "no room" in answer.json()["detail"]
    assert client.get(ANALYSES).json() == [] and not any((tmp_path / "data" / "files").iterdir())


def test_the_newest_comes_first_and_what_is_deleted_is_gone(idle: Idle, tmp_path: Path) -> None:
    client = idle()
    first, second = (client.post(ANALYSES, files=form((name, DICOM))).json()["id"] for name in ("a", "b"))
    assert [one["id"] for one in client.get(ANALYSES).json()] == [second, first]
    assert client.delete(f"{ANALYSES}/{first}").status_code == 204
    assert client.delete(f"{ANALYSES}/{first}").status_code == 404
    assert [one["id"] for one in client.get(ANALYSES).json()] == [second]
    assert [path.name for path in (tmp_path / "data" / "files").iterdir()] == [second]


@pytest.mark.parametrize(
    "path", ["/x", "/x/result", "/x/files/0/original", "/x/files/0/overlay", "/x/files/0/preprocessed"]
)
def test_what_is_not_there_is_404(idle: Idle, path: str) -> None:
    client = idle()
    assert client.get(ANALYSES + path).status_code == 404
    analysis = client.post(ANALYSES, files=form(("a.dcm", DICOM))).json()["id"]
    expected = 200 if path == "/x" else 409
    assert client.get(ANALYSES + path.replace("x", analysis, 1)).status_code == expected
    if "files" in path:
        assert client.get(ANALYSES + path.replace("x", analysis, 1).replace("/0/", "/1/")).status_code == 404


def test_an_upload_that_is_broken_off_leaves_nothing(server: Server) -> None:
    host, port = server.client.base_url.host, server.client.base_url.port
    assert port is not None
    before = {path.name for path in server.temporary.glob("*/files/*")}
    with socket.create_connection((host, port)) as connection:
        head = f"POST {ANALYSES} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 900000\r\n"
        connection.sendall(
            head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + PART + bytes(500_000)
        )
        assert eventually(lambda: {path.name for path in server.temporary.glob("*/files/*")} != before)
    assert eventually(lambda: {path.name for path in server.temporary.glob("*/files/*")} == before)
    assert server.client.get("/health").status_code == 200


def eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()
