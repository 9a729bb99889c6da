"""An earlier queue opens as it is: the SQL here is that of version 1 of the tables."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Admission, ImageState
from mammoscope.readers.source import data_set_sha256

VERSION_1 = """
CREATE TABLE images (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance TEXT NOT NULL UNIQUE,
    sop_class TEXT NOT NULL,
    study TEXT,
    series TEXT,
    digest TEXT,
    state TEXT NOT NULL,
    next_state TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    problem TEXT
);
CREATE INDEX images_by_state ON images (state, due, position);
CREATE TABLE results (sop_instance TEXT PRIMARY KEY);
CREATE TABLE presentations (mark TEXT PRIMARY KEY);
CREATE TABLE studies (study TEXT PRIMARY KEY, instances INTEGER NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
CLASS = "1.2.840.10008.5.1.4.1.1.1.2"
FOUND, RECEIVED, ANALYSED, SENT, DEAD = (f"1.2.{number}" for number in range(5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image in each state, two of them with files, and a file that was cut off when the process was killed."""
    folder = tmp_path / "data"
    for sop_instance in (RECEIVED, ANALYSED):
        place = folder / "files" / key_of(sop_instance)
        place.mkdir(parents=True)
        (place / "image.dcm").write_bytes(sop_instance.encode())
    (folder / "files" / ".0123").write_bytes(b"half a fi")
    with sqlite3.connect(folder / "state.sqlite") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(f"BEGIN EXCLUSIVE; {VERSION_1} PRAGMA user_version = 1; COMMIT;")
        digests = {uid: data_set_sha256(uid.encode()) for uid in (RECEIVED, ANALYSED, SENT, DEAD)}
        database.executemany(
            "INSERT INTO images (sop_instance, sop_class, study, series, digest, state, next_state, failures, due, "
            "problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (FOUND, CLASS, "1.3", "1.4", None, "found", None, 2, 1.0, "it was away"),
                (RECEIVED, CLASS, None, None, digests[RECEIVED], "received", None, 0, 2.0, None),
                (ANALYSED, CLASS, None, None, digests[ANALYSED], "analysed", None, 0, time.time() + 1000, None),
                (SENT, CLASS, None, None, digests[SENT], "sent", None, 0, 4.0, None),
                (DEAD, CLASS, "1.3", "1.4", digests[DEAD], "dead", "received", 8, 5.0, "is no mammogram"),
            ],
        )
        database.execute("INSERT INTO results VALUES ('1.9.1')")
        database.execute("INSERT INTO presentations VALUES ('image 1.2.1')")
        database.execute("INSERT INTO studies VALUES ('MG 1.3', 4)")
        database.execute("INSERT INTO notes VALUES ('last look', '2026-11-01')")
    database.close()
    return folder


def test_each_image_is_where_it_was(folder: Path) -> None:
    queue = ImageQueue(folder, working=True)
    found = queue.next(ImageState.FOUND)
    assert found is not None
    assert (found.sop_instance, found.study, found.series, found.failures, found.problem) == (
        FOUND,
        "1.3",
        "1.4",
        2,
        "it was away",
    )
    received = queue.next(ImageState.RECEIVED)
    assert received is not None and received.sop_instance == RECEIVED and queue.is_whole(received)
    assert queue.next(ImageState.ANALYSED) is None and len(queue.images(ImageState.ANALYSED)) == 1  # not due
    assert queue.counts() == {state: int(state is not ImageState.SKIPPED) for state in ImageState}
    assert {path.name for path in (folder / "files").iterdir()} == {key_of(RECEIVED), key_of(ANALYSED)}
    queue.close()


def test_what_it_remembered_is_remembered(folder: Path) -> None:
    queue = ImageQueue(folder, working=True)
    assert queue.memory.is_result("1.9.1") and not queue.memory.is_result("1.9.2")
    assert queue.memory.has_presentation(["image 1.2.9", "image 1.2.1"])
    assert queue.memory.instances_seen("MG 1.3") == 4 and queue.memory.note("last look") == "2026-11-01"
    assert queue.admit(SENT, CLASS, SENT.encode()) is Admission.KNOWN
    assert queue.admit("1.2.99", CLASS, b"new", is_urgent=True) is Admission.NEW
    due = queue.next(ImageState.RECEIVED)
    assert due is not None and due.sop_instance == "1.2.99"  # urgency is new, and goes before
    queue.close()


def test_a_dead_letter_of_before_is_tried_again_from_where_it_was(folder: Path) -> None:
    looker = ImageQueue(folder, working=False)
    (dead,) = looker.images(ImageState.DEAD)
    assert dead.problem == "is no mammogram" and looker.revive([dead.key]) == 1
    assert [image.sop_instance for image in looker.images(ImageState.FOUND)] == [FOUND, DEAD]  # fetched anew
    looker.close()


def test_an_earlier_version_finds_its_own_tables_in_a_new_folder(folder: Path, tmp_path: Path) -> None:
    made = []
    for place in (folder, tmp_path / "new"):
        if place != folder:
            ImageQueue(place, working=True).close()
        with sqlite3.connect(place / "state.sqlite") as database:
            tables = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            made.append((tables, database.execute("PRAGMA user_version").fetchone()))
        database.close()
    assert set(made[0][0]) < set(made[1][0]) and made[0][1] == made[1][1]
    ImageQueue(folder, working=False).close()
    with sqlite3.connect(folder / "state.sqlite") as database:
        assert database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() == made[1][0]
        assert database.execute("SELECT count(*) FROM moments").fetchone() == (5,)
    database.close()


@pytest.mark.parametrize("working", [True, False])
def test_a_damaged_file_is_one_line_that_names_it_and_no_image_is_lost(folder: Path, working: bool) -> None:
    (folder / "state.sqlite").write_bytes(b"not what it was" * 1000)
    for _ in range(2):  # nothing is held by the first try
        with pytest.raises(MammoscopeError, match=r"state\.sqlite: is damaged"):
            ImageQueue(folder, working=working)
    assert len(list((folder / "files").iterdir())) == 3
