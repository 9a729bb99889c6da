"""States outlive the server, and what is forgotten is gone."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.readers import Limits
from mammoscope.server.analysis_store import AnalysisStore, NewAnalysis, NewFile, QueueFullError
from mammoscope.server.analysis_thread import AnalysisThread
from mammoscope.server.models import View, Window

VIEW = View(
    rows=1,
    columns=1,
    pixel_aspect=1,
    laterality=None,
    view=None,
    spacing=None,
    window=Window(center=0, width=1),
    preprocessed=None,
    warnings=(),
)


@pytest.fixture
def store(tmp_path: Path) -> AnalysisStore:
    return AnalysisStore(tmp_path / "data", queue=8)


def added(store: AnalysisStore, *files: NewFile) -> str:
    analysis, _ = store.new_folder()
    store.add(NewAnalysis(analysis, files))
    return analysis


def test_files_are_done_in_the_order_in_which_they_came(store: AnalysisStore) -> None:
    first = added(store, NewFile("a"), NewFile("b", problem="is encrypted"), NewFile("c"))
    second = added(store, NewFile("d"))
    turns = []
    while (file := store.next_file()) is not None:
        turns.append((file.analysis, file.name))
        store.update(file, "done", 1.0)
    assert turns == [(first, "a"), (first, "c"), (second, "d")]


def test_a_screen_of_views_is_read_before_the_first_is_analysed(store: AnalysisStore) -> None:
    added(store, *(NewFile(name) for name in "abcdef"))
    turns = []
    while (file := store.next_file()) is not None:
        turns.append(f"analyse {file.name}" if file.is_read else file.name)
        store.update(file, *(("done", 1.0) if file.is_read else ("queued", 0.4)), view=VIEW)  # type: ignore[arg-type]
        if turns[-1] == "analyse a":
            added(store, NewFile("new"))
    analyses = [f"analyse {name}" for name in ("a", "b", "c", "d", "e", "f", "new")]
    assert turns == ["a", "b", "c", "d", *analyses[:1], "e", *analyses[1:2], "f", *analyses[2:3], "new", *analyses[3:]]


def test_an_exam_is_analysed_once_each_of_its_files_was_read_or_failed(store: AnalysisStore) -> None:
    added(store, *(NewFile(name) for name in "abcdef"), NewFile("z", problem="is encrypted"))
    added(store, NewFile("g"), NewFile("h"))
    turns = []
    while files := store.next_together():
        turns.append(" ".join(file.name for file in files))
        for file in files:
            if file.name == "h" and not file.is_read:
                store.update(file, "failed", 1.0)
            else:
                store.update(file, *(("done", 1.0) if file.is_read else ("queued", 0.4)), view=VIEW)  # type: ignore[arg-type]
    assert turns == ["a", "b", "c", "d", "e", "f", "a b c d e f", "g", "h", "g"]


def test_a_view_that_was_analysed_before_the_others_is_analysed_again_with_them(store: AnalysisStore) -> None:
    added(store, NewFile("a"), NewFile("b"))
    first = store.next_file()
    assert first is not None
    store.update(first, "done", 1.0, view=VIEW)
    (second,) = store.next_together()
    store.update(second, "queued", 0.4, view=VIEW)
    assert [(file.name, file.is_read) for file in store.next_together()] == [("a", True), ("b", True)]


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
def test_the_state_of_the_whole(store: AnalysisStore, states: list[str], expected: str) -> None:
    analysis = added(store, *(NewFile(str(number)) for number in range(len(states))))
    for state in states:
        file = store.next_file()
        if state != "queued" and file is not None:
            store.update(file, state, 0.5)  # type: ignore[arg-type]
    status = store.analysis(analysis)
    assert status is not None and status.state == expected


def test_what_was_under_way_waits_again(store: AnalysisStore) -> None:
    analysis = added(store, NewFile("a"), NewFile("b"), NewFile("c"))
    for state in ("done", "analysing", "queued"):
        file = store.next_file()
        assert file is not None
        store.update(file, state, 0.5, view=VIEW)  # type: ignore[arg-type]
    status = store.analysis(analysis)
    assert status is not None and status.state == "running"
    store.close()
    again = AnalysisStore(store.folder, queue=4)
    status = again.analysis(analysis)
    assert status is not None and [(file.state, file.view) for file in status.files] == [
        ("done", VIEW),
        ("queued", None),
        ("queued", None),
    ]


def test_a_queue_takes_all_of_an_analysis_or_nothing(store: AnalysisStore) -> None:
    store = AnalysisStore(store.folder.with_name("small"), queue=4)
    added(store, NewFile("a"), NewFile("b"), NewFile("c"), NewFile("refused", problem="is encrypted"))
    with pytest.raises(QueueFullError):
        added(store, NewFile("d"), NewFile("e"))
    added(store, NewFile("d"))
    with pytest.raises(QueueFullError):
        store.check_queue()
    assert store.waiting() == 4


def test_no_name_stays_of_what_is_forgotten(store: AnalysisStore) -> None:
    analysis = added(store, NewFile("ZZSECRET-name"))
    added(store, NewFile("other"))
    file = store.next_file()
    assert file is not None and store.forget(analysis) and not store.forget(analysis)
    assert not store.update(file, "done", 1.0)
    assert not any(b"ZZSECRET" in path.read_bytes() for path in store.folder.glob("state.sqlite*"))


def test_jobs_outlive_a_disk_that_was_full(store: AnalysisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = added(store, NewFile("a"))
    full = iter([True, True])
    update = store.update

    def failing(*given: Any, **named: Any) -> bool:
        if next(full, False):
            raise sqlite3.OperationalError("database or disk is full")
        return update(*given, **named)

    monkeypatch.setattr(store, "update", failing)
    thread = AnalysisThread(
        store, store.folder, Limits(), floor=0.1, ephemeral=None
    )  # no bundle: its worker ends at once
    thread.start()
    try:
        end = time.monotonic() + 60
        while (status := store.analysis(analysis)) is not None and status.state == "queued":
            assert time.monotonic() < end
            thread.wake()  # or it would be tried again after some seconds
            time.sleep(0.02)
        assert status is not None and status.files[0].error == "the server failed on it"
    finally:
        thread.stop()


def test_two_servers_cannot_share_a_folder(store: AnalysisStore) -> None:
    with pytest.raises(MammoscopeError, match="another server uses it"):
        AnalysisStore(store.folder, queue=4)


def test_data_of_another_version_is_left_alone(store: AnalysisStore) -> None:
    store.close()
    with sqlite3.connect(store.folder / "state.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(MammoscopeError, match="version 99, expected 1"):
        AnalysisStore(store.folder, queue=4)
