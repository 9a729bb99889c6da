"""A full run over files of a patient who stands out: nothing that it writes, prints, logs or answers names her."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pyarrow.dataset as parquet
import pypdf
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from mammoscope.audit import verify_trail
from readers.dicom_files import mammogram, save
from server.server_process import Server

FAMILY, GIVEN, IDENTIFIER, ACCESSION = "Zwirnleitner", "Ottilie", "PID77310X", "ACC90117Y"
PATIENT: dict[str, Any] = {
    "PatientName": f"{FAMILY}^{GIVEN}",
    "PatientID": IDENTIFIER,
    "PatientBirthDate": "19391113",
    "AccessionNumber": ACCESSION,
    "OtherPatientNames": f"{FAMILY}^Born",
    "PatientComments": f"{FAMILY}, {GIVEN}, born 13.11.1939",
    "StudyInstanceUID": "1.2.826.0.1.1",
    "SeriesInstanceUID": "1.2.826.0.1.1.1",
}
WORDS = (FAMILY, GIVEN, IDENTIFIER, ACCESSION, "19391113", "1939-11-13", "13.11.1939")
NEEDLES = {
    text.encode(encoding).lower()
    for word in WORDS
    for text in (word, quote(word))
    for encoding in ("utf-8", "utf-16-le")
}


def films(folder: Path) -> dict[str, Path]:
    """One good film, and bad ones whose errors and warnings would quote her."""
    folder.mkdir()
    tall = mammogram(**PATIENT)
    tall.private_block(0x0029, "UNIT", create=True).add_new(0x10, "LO", FAMILY)
    request = Dataset()
    request.RequestedProcedureDescription = f"for {FAMILY}"
    tall.RequestAttributesSequence = [request]
    variants: dict[str, dict[str, Any]] = {
        "warned": {"Manufacturer": f"{FAMILY} {GIVEN}", "BurnedInAnnotation": "YES", "ViewPosition": FAMILY[:16]},
        "modality": {"Modality": FAMILY},
        "class": {"Modality": "OT", "SOPClassUID": "1.2.77310.1"},
        "colour": {"PhotometricInterpretation": IDENTIFIER},
        "frames": {"NumberOfFrames": "19391113"},
        "spacing": {"ImagerPixelSpacing": None, "BodyPartExamined": GIVEN.upper()},
    }
    paths = {"good": save(folder / "good.dcm", tall)}
    for number, (name, changes) in enumerate(variants.items()):
        film = mammogram(**{**PATIENT, "SOPInstanceUID": f"1.2.826.0.1.1.1.{number}", **changes})
        paths[name] = save(folder / f"{name}.dcm", film)
    paths["cut"] = folder / "cut.dcm"
    paths["cut"].write_bytes(paths["good"].read_bytes()[:700])
    return paths


def leaks(where: str, content: bytes) -> list[str]:
    content = content.lower()
    return [f"{where}: {needle!r}" for needle in sorted(NEEDLES) if needle in content]


def run(*arguments: str | Path) -> bytes:
    """What a command prints over files of which some are bad."""
    command = [sys.executable, "-m", "mammoscope", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 3 and b"Traceback" not in ended.stderr, ended.stderr
    return ended.stdout + ended.stderr


def ask(server: Server, uploads: list[tuple[str, bytes]]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Analyse files, and every address and answer on the way, with headers; pages of a PDF as text."""
    answers: dict[str, bytes] = {}

    def keep(method: str, address: str, **more: Any) -> None:
        answer = server.client.request(method, address, **more)
        headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
        content = answer.content
        if content.startswith(b"%PDF"):
            pages = pypdf.PdfReader(io.BytesIO(content)).pages
            content += "".join(page.extract_text() for page in pages).encode()
        # These say whose exam it is, to who reads it.
        is_naming = address.endswith("/report") or (method == "GET" and address in ("/analyses", f"/analyses/{number}"))
        assert bool(leaks(address, content)) == is_naming, address
        answers[f"{method} {answer.url}"] = headers.encode() + (b"%PDF" if is_naming else content)

    number = server.upload(uploads)
    files = server.wait(number)["files"]
    for address in ("/health", "/analyses", f"/analyses/{number}", f"/analyses/{number}/result"):
        keep("GET", address)
    for file in files:
        for kind in ("original", "preprocessed", "overlay"):
            keep("GET", f"/analyses/{number}/files/{file['number']}/{kind}")
    keep("POST", f"/analyses/{number}/report", json={"threshold": 0.1, "verdicts": [], "drawn": [], "impression": ""})
    return files, answers


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.skipif(sys.platform == "win32", reason="ends the server by a signal")
class _Refusing(BaseHTTPRequestHandler):
    """An archive that takes what it is sent, and nothing in."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def test_no_library_says_what_a_header_holds(tmp_path: Path) -> None:
    """pydicom warns of values that are wrong for their kind, and quotes them."""
    path = save(tmp_path / "film.dcm", mammogram())
    uid = dcmread(path).SOPInstanceUID
    path.write_bytes(path.read_bytes().replace(uid.encode(), f"{FAMILY:x<{len(uid)}}".encode()))
    with HTTPServer(("127.0.0.1", 0), _Refusing) as archive:
        Thread(target=archive.serve_forever, daemon=True).start()
        target = f"http://127.0.0.1:{archive.server_port}"
        command = [sys.executable, "-m", "mammoscope", "pacs", "push", target, str(path)]
        ended = subprocess.run(command, capture_output=True, check=False)
        archive.shutdown()
    assert ended.returncode == 2 and ended.stderr.startswith(b"error: ") and ended.stderr.count(b"\n") == 1
    assert leaks("push", ended.stdout + ended.stderr) == []


def test_nothing_names_the_patient(tmp_path: Path) -> None:
    inputs = films(tmp_path / "inputs")
    assert leaks("good.dcm", inputs["good"].read_bytes())  # or there is nothing to find
    out, trail, data = tmp_path / "results", tmp_path / "trail", tmp_path / "data"
    said = {
        "analyze": run("analyze", inputs["good"].parent, "--out", out, "--save-preprocessed", "--audit", trail),
        "archive": run("analyze", inputs["good"].parent, "--out", tmp_path / "archive.parquet"),
        "deidentify": run("deidentify", inputs["good"].parent, "--out", tmp_path / "deidentified"),
    }
    assert b"3 of 8 analysed, 5 failed" in said["analyze"] and b"3 of 8 de-identified" in said["deidentify"]
    for table in ("images", "findings", "exams", "errors"):
        content = parquet.dataset(tmp_path / "archive.parquet" / table).to_table().to_pylist()
        assert table == "findings" or content
        said[table] = json.dumps(content, ensure_ascii=False).encode()
    with Server(tmp_path / "server", "--data", str(data), "--audit", str(trail)) as server:
        files, answers = ask(server, [(path.name, path.read_bytes()) for path in inputs.values()])
        said["log"] = server.log.encode()
        for path in server.temporary.rglob("*"):  # while it runs
            said[str(path)] = path.read_bytes() if path.is_file() else b""
    assert sum(file["state"] == "done" for file in files) == 3
    assert any(b"%PDF" in content for content in answers.values())
    said |= answers
    written = [path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "inputs")]
    assert {".json", ".png", ".jsonl", ".sqlite", ".dcm", ".u16", ".txt"} <= {path.suffix for path in written}
    for path in written:
        # The server keeps what was uploaded as it came, and whose it is, until it is deleted: docs/privacy.md says so.
        if path.is_file() and path.name not in ("upload", "identity.json"):
            said[str(path)] = path.read_bytes()
    found = [leak for where, content in said.items() for leak in leaks(where, where.encode() + content)]
    assert not found, "\n".join(found)
    verified = verify_trail(trail)
    assert verified.broken is None and verified.entries == 16
    entries = [json.loads(line) for line in (trail / "audit-000001.jsonl").read_text().splitlines()[1:]]
    outcomes = [(entry["source"], entry["outcome"] == "refused") for entry in entries]
    for source in ("analyze", "serve"):
        assert outcomes.count((source, True)) == 5 and outcomes.count((source, False)) == 3
