"""A data folder of an earlier server opens as it is: the SQL here is that of version 1 of the tables, and the JSON is
what that server wrote, of an outline six points."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from test_analysis_store import VIEW

from mammoscope.errors import MammoscopeError
from mammoscope.findings import SCHEMA_VERSION
from mammoscope.server.analysis_store import AnalysisStore, NewAnalysis, NewFile
from mammoscope.server.exam_status import VOUCHED
from mammoscope.server.file_place import FilePlace

VERSION_1 = """
CREATE TABLE analyses (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL);
CREATE TABLE files (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    analysis TEXT NOT NULL REFERENCES analyses (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    example INTEGER NOT NULL,
    state TEXT NOT NULL,
    progress REAL NOT NULL,
    error TEXT,
    view TEXT,
    UNIQUE (analysis, number)
);
CREATE INDEX files_by_state ON files (state, position);
"""
FACTS = """{"name": "phantom-L-MLO", "sha256": "3019f30f2b0a404de1b42f592ff3b344b7b3481ce940985a25e58d103daef7f5",
"file_format": "DICOM", "view": "MLO", "sop_instance_uid": "2.25.158987136989943227113837378508539436956",
"modality": "MG", "manufacturer": "mammoscope", "rows": 3328, "columns": 2560, "bits": 12, "laterality": "LEFT",
"spacing": [0.07, 0.07, "ImagerPixelSpacing"], "pixel_aspect": 1.0,
"warnings": ["This is a quality control image, not a patient's."]}"""
ANALYSIS = """{
  "schema_version": "1.0",
  "notice": "Research use only. Not for diagnostic use.",
  "software": "mammoscope 0.1.0",
  "outcome": "findings",
  "statement": "1 finding at or above the detection threshold of 0.50, 1 of malignant appearance.",
  "input": {"name": "phantom-L-MLO", "sha256": "3019f30f2b0a404de1b42f592ff3b344b7b3481ce940985a25e58d103daef7f5",
    "file_format": "DICOM", "rows": 3328, "columns": 2560, "bits": 12, "laterality": "LEFT", "view": "MLO",
    "spacing": {"row_mm": 0.07, "column_mm": 0.07, "source": "ImagerPixelSpacing"}, "pixel_aspect": 1.0,
    "sop_instance_uid": "2.25.158987136989943227113837378508539436956", "modality": "MG", "manufacturer": "mammoscope"},
  "bundle": {"name": "mammoscope-cbis-ddsm", "version": "0.4.0",
    "sha256": "ee06e84e04d0bea62a909347b983460f903152b854e54857116056a1369cd5af"},
  "thresholds": {"detection": 0.5, "malignancy": 0.5},
  "findings": [{"box": {"x0": 698.71, "y0": 1446.62, "x1": 1000.61, "y1": 1715.35},
    "outline": [[828.63, 1435.9], [933.9, 1473.48], [972.54, 1551.06], [735.0, 1527.41], [718.13, 1503.95],
      [739.06, 1460.76]],
    "detection_score": 0.8418222985980419, "malignancy_score": 0.9755270058881891, "malignancy": "malignant",
    "size": {"area_mm2": 258.4, "longest_diameter_mm": 21.26, "unknown_because": null}}],
  "warnings": ["This is a quality control image, not a patient's."],
  "seconds": {"preprocess": 0.2333, "detect": 3.7129, "segment": 0.5906, "classify": 0.7793}
}
"""
DONE, HALF_DONE, CUT_OFF = "d" * 32, "e" * 32, "f" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two analyses, one of them half done when the server was killed, and an upload that was cut off."""
    folder = tmp_path / "data"
    for analysis in (DONE, HALF_DONE, CUT_OFF):
        (folder / "files" / analysis / "0").mkdir(parents=True)
        (folder / "files" / analysis / "0" / "upload").write_bytes(b"film")
    with sqlite3.connect(folder / "state.sqlite") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(f"BEGIN EXCLUSIVE; {VERSION_1} PRAGMA user_version = 1; COMMIT;")
        database.executemany(
            "INSERT INTO analyses (id, created) VALUES (?, ?)",
            [(DONE, "2026-11-01T08:00:00.000Z"), (HALF_DONE, "2026-11-02T08:00:00.000Z")],
        )
        view = VIEW.model_dump_json()
        database.executemany(
            "INSERT INTO files (analysis, number, name, example, state, progress, error, view) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (DONE, 0, "a.dcm", 0, "done", 1.0, None, view),
                (DONE, 1, "b.dcm", 0, "failed", 1.0, "is no mammogram", None),
                (HALF_DONE, 0, "c.dcm", 0, "analysing", 0.7, None, view),
                (HALF_DONE, 1, "phantom-R-CC.dcm", 1, "queued", 0.0, None, None),
            ],
        )
    database.close()
    return folder


def test_what_was_done_is_done_and_what_was_half_done_waits_again(folder: Path) -> None:
    store = AnalysisStore(folder, queue=8)
    newest, oldest = store.analyses()
    assert (oldest.id, oldest.created, oldest.state) == (DONE, "2026-11-01T08:00:00.000Z", "done")
    assert [(file.name, file.state, file.error, file.view) for file in oldest.files] == [
        ("a.dcm", "done", None, VIEW),
        ("b.dcm", "failed", "is no mammogram", None),
    ]
    assert VOUCHED in oldest.warnings and VOUCHED in newest.warnings  # nobody asked of which exam they are
    assert newest.id == HALF_DONE and newest.state == "queued" and store.waiting() == 2
    first = store.next_file()
    assert first is not None and (first.name, first.example, first.is_read) == ("c.dcm", False, False)
    store.update(first, "done", 1.0)
    second = store.next_file()
    assert second is not None and second.example
    assert {path.name for path in (folder / "files").iterdir()} == {DONE, HALF_DONE}
    assert store.place(DONE, 0).upload == folder / "files" / DONE / "0" / "upload"
    store.close()


def test_it_can_be_added_to_and_forgotten(folder: Path) -> None:
    store = AnalysisStore(folder, queue=8)
    analysis, _ = store.new_folder()
    store.add(NewAnalysis(analysis, (NewFile("new.dcm"),)))
    assert [status.id for status in store.analyses()] == [analysis, HALF_DONE, DONE]
    assert store.forget(DONE) and store.analysis(DONE) is None
    store.close()


def test_an_earlier_server_finds_its_own_tables_in_a_new_folder(folder: Path, tmp_path: Path) -> None:
    AnalysisStore(tmp_path / "new", queue=8).close()
    made = []
    for place in (folder, tmp_path / "new"):
        with sqlite3.connect(place / "state.sqlite") as database:
            tables = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            made.append((tables, database.execute("PRAGMA user_version").fetchone()))
        database.close()
    assert made[0] == made[1]


def test_a_damaged_file_is_one_line_that_names_it_and_no_upload_is_lost(folder: Path) -> None:
    (folder / "state.sqlite").write_bytes(b"not what it was" * 1000)
    with pytest.raises(MammoscopeError, match=r"state\.sqlite: is damaged"):
        AnalysisStore(folder, queue=8)
    assert len(list((folder / "files").iterdir())) == 3


def test_its_results_overlays_and_reports_can_be_had(folder: Path, idle: Callable[..., TestClient]) -> None:
    place = FilePlace(folder / "files" / DONE / "0")
    place.facts.write_text(FACTS)
    place.analysis.write_text(ANALYSIS)
    np.zeros((3328, 2560), "<u2").tofile(place.original)
    client, path = idle(), f"/api/v1/analyses/{DONE}"
    (found,) = client.get(f"{path}/result").json()
    assert (found["schema_version"], found["findings"][0]["kind"]) == (SCHEMA_VERSION, "mass")
    assert client.get(f"{path}/files/0/overlay").content.startswith(b"\x89PNG")
    assert client.post(f"{path}/report", json={"threshold": 0.5}).content.startswith(b"%PDF")
    place.analysis.write_text(ANALYSIS[:-100])
    assert client.get(f"{path}/result").status_code == 404


def test_what_is_done_is_not_analysed_again_with_other_views(folder: Path) -> None:
    with sqlite3.connect(folder / "state.sqlite") as database:
        database.execute("UPDATE files SET state = 'done' WHERE name = 'c.dcm'")
    database.close()
    store = AnalysisStore(folder, queue=8)
    (waiting,) = store.next_together()
    store.update(waiting, "queued", 0.4, view=VIEW)
    assert [(file.name, file.is_read) for file in store.next_together()] == [(waiting.name, True)]
    store.close()
