"""States outlive the server, and what is forgotten is gone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.server.store import NewFile, QueueFullError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", queue=4)


def added(store: Store, *files: NewFile) -> str:
    analysis, _ = store.new_folder()
    store.add(analysis, files)
    return analysis


def test_files_are_done_in_the_order_in_which_they_came(store: Store) -> None:
    first = added(store, NewFile("a"), NewFile("b", problem="is encrypted"), NewFile("c"))
    second = added(store, NewFile("d"))
    turns = []
    while (job := store.next_job()) is not None:
        turns.append((job.analysis, job.name))
        store.update(job, "done", 1.0)
    assert turns == [(first, "a"), (first, "c"), (second, "d")]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["queued", "queued"], "queued"),
        (["reading", "queued"], "running"),
        (["done", "queued"], "running"),
        (["failed", "queued"], "queued"),
        (["failed", "analysing"], "running"),
        (["done", "failed"], "done"),
        (["failed", "failed"], "failed"),
    ],
)
def test_the_state_of_the_whole(store: Store, states: list[str], expected: str) -> None:
    analysis = added(store, *(NewFile(str(number)) for number in range(len(states))))
    for state in states:
        job = store.next_job()
        if state != "queued" and job is not None:
            store.update(job, state, 0.5)  # type: ignore[arg-type]
    status = store.analysis(analysis)
    assert status is not None and status.state == expected


def test_what_was_under_way_waits_again(store: Store) -> None:
    analysis = added(store, NewFile("a"), NewFile("b"))
    for state in ("done", "analysing"):
        job = store.next_job()
        assert job is not None
        store.update(job, state, 0.5)  # type: ignore[arg-type]
    store.close()
    again = Store(store.folder, queue=4)
    status = again.analysis(analysis)
    assert status is not None and [file.state for file in status.files] == ["done", "queued"]


def test_a_queue_takes_all_of_an_analysis_or_nothing(store: Store) -> None:
    added(store, NewFile("a"), NewFile("b"), NewFile("c"), NewFile("refused", problem="is encrypted"))
    with pytest.raises(QueueFullError):
        added(store, NewFile("d"), NewFile("e"))
    added(store, NewFile("d"))
    with pytest.raises(QueueFullError):
        store.check_queue()
    assert store.waiting() == 4


def test_no_name_stays_of_what_is_forgotten(store: Store) -> None:
    analysis = added(store, NewFile("ZZSECRET-name"))
    added(store, NewFile("other"))
    job = store.next_job()
    assert job is not None and store.forget(analysis) and not store.forget(analysis)
    assert not store.update(job, "done", 1.0)
    assert not any(b"ZZSECRET" in path.read_bytes() for path in store.folder.glob("state.sqlite*"))


def test_data_of_another_version_is_left_alone(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.folder / "state.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(MammoscopeError, match="version 99, expected 1"):
        Store(store.folder, queue=4)
