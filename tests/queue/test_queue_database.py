"""The states of a queue: kept whole, shared by threads, and refused in one line where they cannot be read."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.queue.database import Database, Schema
from mammoscope.queue.folder import QueueFolder
from mammoscope.queue.process_lock import HeldError, ProcessLock

SCHEMA = Schema(
    3,
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, filler TEXT);",
    at_opening="DELETE FROM counters WHERE name = 'half done'",
)
PRAGMAS = ("synchronous = NORMAL",)


@pytest.fixture
def folder(tmp_path: Path) -> QueueFolder:
    made = QueueFolder(tmp_path / "data", "the counters")
    made.make()
    return made


@pytest.fixture
def database(folder: QueueFolder) -> Iterator[Database]:
    opened = opening(folder)
    yield opened
    opened.close()


def opening(folder: QueueFolder, patience: float = 1) -> Database:
    return Database(folder, SCHEMA, pragmas=PRAGMAS, patience=patience)


def count(database: Database, name: str = "a") -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO counters VALUES (?, 1, '') ON CONFLICT DO UPDATE SET value = value + 1", (name,)
        )


def test_what_was_counted_is_there_when_it_is_opened_again(folder: QueueFolder, database: Database) -> None:
    assert database.rows("SELECT * FROM counters") == [] and database.row("SELECT * FROM counters") is None
    count(database)
    count(database, "half done")
    database.close()
    again = opening(folder)
    assert again.rows("SELECT name, value FROM counters") == [("a", 1)]
    again.close()


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO counters VALUES ('a', 1, '')")
        assert database.row("SELECT value FROM counters") == (1,)
        raise ZeroDivisionError
    assert database.row("SELECT value FROM counters") is None


def test_threads_take_turns(database: Database) -> None:
    def many() -> None:
        for _ in range(50):
            count(database)
            database.rows("SELECT * FROM counters")

    threads = [Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.row("SELECT value FROM counters") == (400,)


@pytest.mark.parametrize("wake", [count, Database.wake])
def test_who_waits_is_woken_when_something_changed(database: Database, wake: object) -> None:
    woken: list[float] = []

    def wait() -> None:
        begun = time.monotonic()
        database.wait(60)
        woken.append(time.monotonic() - begun)

    thread = Thread(target=wait)
    thread.start()
    while thread.is_alive():  # it may not wait yet when it is woken first
        wake(database)  # type: ignore[operator]
        thread.join(0.05)
    assert woken[0] < 30


def test_data_of_another_version_is_left_alone(folder: QueueFolder, database: Database) -> None:
    count(database)
    database.close()
    with pytest.raises(MammoscopeError, match=r"state\.sqlite: is of version 3, expected 4"):
        Database(folder, Schema(4, SCHEMA.tables), pragmas=PRAGMAS, patience=1)
    assert opening(folder).row("SELECT value FROM counters") == (1,)


def test_data_that_another_process_writes_is_refused_after_a_while(folder: QueueFolder) -> None:
    with sqlite3.connect(folder.database) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MammoscopeError, match=r"cannot hold the counters \(another process uses it\)"):
            opening(folder, patience=0.01)
    other.close()


def zeroed(content: bytearray) -> bytearray:
    """A page in the middle is lost, as where a disk lost a block."""
    content[2 * 4096 : 3 * 4096] = bytes(4096)
    return content


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"no database, but a text that somebody put there" * 100,
        lambda content: bytes(len(content)),
        lambda content: content[: len(content) // 2],
        zeroed,
    ],
    ids=["another file", "zeros", "half of it", "a lost page"],
)
def test_a_damaged_file_is_one_line_that_names_it(folder: QueueFolder, spoil: object) -> None:
    database = opening(folder)
    with database.transaction() as connection:
        connection.executemany("INSERT INTO counters VALUES (?, 1, ?)", [(f"n{n}", "x" * 500) for n in range(100)])
    database.empty_log()
    database.close()
    spoilt = bytes(spoil(bytearray(folder.database.read_bytes())))  # type: ignore[operator]
    folder.database.write_bytes(spoilt)
    with pytest.raises(
        MammoscopeError, match=r"state\.sqlite: is damaged \(.*\): restore it, or name another"
    ) as refused:
        opening(folder)
    assert "\n" not in str(refused.value)
    assert folder.database.read_bytes() == spoilt


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(MammoscopeError, match="data: cannot hold the counters"):
        QueueFolder(tmp_path / "data", "the counters").make()


def test_what_nobody_knows_is_removed_and_the_rest_stays(folder: QueueFolder) -> None:
    for name in ("known", "unknown"):
        (folder.files / name).mkdir()
        (folder.files / name / "upload").write_bytes(b"film")
    (folder.files / ".half").write_bytes(b"fi")
    folder.remove_unknown({"known", "not there"})
    assert [path.name for path in folder.files.iterdir()] == ["known"]
    assert (folder.files / "known" / "upload").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_others_on_the_machine_see_nothing(folder: QueueFolder, database: Database) -> None:
    count(database)
    for path in (folder.root, folder.files, *folder.root.glob("state.sqlite*")):
        assert path.stat().st_mode & 0o077 == 0


def test_a_lock_is_held_by_one_and_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "running.sqlite"
    program = (
        "import sys; from pathlib import Path; from mammoscope.queue.process_lock import ProcessLock;"
        f"lock = ProcessLock(Path({str(path)!r})); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    with pytest.raises(HeldError):
        ProcessLock(path)
    other.kill()
    other.communicate()
    lock = ProcessLock(path)
    with pytest.raises(HeldError):
        ProcessLock(path)
    lock.close()
    ProcessLock(path).close()
