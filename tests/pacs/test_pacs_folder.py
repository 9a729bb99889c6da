"""What happens to the queue's folder and the machine: clocks, disks, damage."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from films import encoded, film, film_uid
from typer.testing import CliRunner

from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.pacs import image_files
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.transitions import Transition, TransitionThreads

CLASS = film(0).SOPClassUID


def admitted(queue: ImageQueue, number: int) -> Image:
    queue.admit(film_uid(number), CLASS, encoded(film(number)))
    image = queue.image(film_uid(number))
    assert image is not None
    return image


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_changes_nothing(hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, first_pause=1000.0)
    first = admitted(queue, 0)
    queue.fail(first, "the PACS did not store it")  # it waits
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    second = admitted(queue, 1)
    due = queue.next(ImageState.RECEIVED)
    assert due is not None and due.sop_instance == second.sop_instance
    queue.fail(first, "is no mammogram", final=True)
    looker = ImageQueue(queue.folder, working=False)
    assert looker.revive() == 1
    looker.close()
    assert {queue.next(ImageState.RECEIVED).sop_instance} == {film_uid(0)}  # type: ignore[union-attr]
    queue.close()


def test_after_a_start_nothing_waits_longer_than_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)  # of before it was set right
    queue = ImageQueue(tmp_path / "data", working=True)
    admitted(queue, 0)
    queue.close()
    monkeypatch.undo()
    queue = ImageQueue(tmp_path / "data", working=True)
    assert queue.next(ImageState.RECEIVED) is not None
    queue.close()


def test_without_a_reserve_there_is_still_room_for_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, reserve=0)
    usage = image_files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(image_files.shutil, "disk_usage", lambda _: usage._replace(free=64 << 20))
    with pytest.raises(OSError, match="No space left"):
        queue.admit(film_uid(0), CLASS, encoded(film(0)))
    monkeypatch.setattr(image_files.shutil, "disk_usage", lambda _: usage._replace(free=65 << 20))
    admitted(queue, 0)
    queue.close()


def test_a_database_that_others_hold_is_one_line_and_a_pause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mammoscope.pacs.image_queue.PATIENCE_SECONDS", 0.01)
    queue = ImageQueue(tmp_path / "data", working=True)
    admitted(queue, 0)
    step = Transition(lambda image: queue.finish(image, ImageState.SKIPPED), Breaker("nobody", 0.01))
    threads = TransitionThreads(queue, {ImageState.RECEIVED: step}, 0.05, lambda *_: None)
    with sqlite3.connect(queue.folder / "state.sqlite") as other:
        other.execute("BEGIN EXCLUSIVE")
        threads.start()
        time.sleep(1)
        assert caplog.text.count("cannot be used now (database is locked)") == 1
        other.rollback()
    end = time.monotonic() + 20
    while not queue.counts()[ImageState.SKIPPED]:
        assert time.monotonic() < end, caplog.text
        time.sleep(0.02)
    threads.stop()
    assert "Traceback" not in caplog.text
    queue.close()


@pytest.mark.parametrize("command", ["status", "dead"])
def test_commands_say_in_one_line_that_the_states_cannot_be_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = ImageQueue(tmp_path / "data", working=True)
    admitted(queue, 0)
    queue.close()
    content = bytearray((tmp_path / "data" / "state.sqlite").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "data" / "state.sqlite").write_bytes(content)
    outcome = CliRunner().invoke(app, ["pacs", command, "--data", str(tmp_path / "data")])
    assert isinstance(outcome.exception, MammoscopeError)
    assert "is damaged" in str(outcome.exception) and "mammoscope pacs rebuild" in str(outcome.exception)


def test_a_damaged_queue_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    queue = ImageQueue(data, working=True)
    for number in range(3):
        admitted(queue, number)
    queue.analysed(admitted(queue, 1), ["1.9.1"])
    (queue.place(admitted(queue, 2)).image).write_bytes(b"rotten")
    with pytest.raises(MammoscopeError, match="another process works on this queue"):
        CliRunner().invoke(app, ["pacs", "rebuild", "--data", str(data)], catch_exceptions=False)
    queue.close()
    (data / "state.sqlite").write_bytes(b"not what it was" * 1000)
    for suffix in ("-wal", "-shm"):
        (data / f"state.sqlite{suffix}").unlink(missing_ok=True)
    with pytest.raises(MammoscopeError, match="'mammoscope pacs rebuild' makes them anew"):
        ImageQueue(data, working=True)
    rebuilt = CliRunner().invoke(app, ["pacs", "rebuild", "--data", str(data)], catch_exceptions=False)
    assert "2 images without one are analysed again" in rebuilt.stdout and rebuilt.exit_code == 0
    queue = ImageQueue(data, working=True)
    assert [image.sop_instance for image in queue.images(ImageState.RECEIVED)] == sorted(
        (film_uid(0), film_uid(1)),
        key=lambda uid: queue.image(uid).position,  # type: ignore[union-attr]
    )
    assert all(queue.is_whole(image) for image in queue.images(ImageState.RECEIVED))
    assert len(list((data / "unreadable").iterdir())) == 1 and len(list(data.glob("state.sqlite.old-*"))) >= 1
    queue.close()


def test_a_rebuild_keeps_the_states_that_can_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    queue = ImageQueue(data, working=True)
    for number in range(3):
        admitted(queue, number)
    queue.finish(admitted(queue, 0), ImageState.SENT)
    queue.analysed(admitted(queue, 1), ["1.9.1"])
    before = queue.counts()
    queue.close()
    assert CliRunner().invoke(app, ["pacs", "rebuild", "--data", str(data)]).exit_code == 0
    queue = ImageQueue(data, working=True)
    assert queue.counts() == before and queue.memory.is_result("1.9.1")
    queue.close()


def test_images_whose_states_are_gone_are_not_tidied_up(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True)
    admitted(queue, 0)
    queue.close()
    for path in (tmp_path / "data").glob("state.sqlite*"):
        path.unlink()
    with pytest.raises(MammoscopeError, match="are gone: 'mammoscope pacs rebuild'"):
        ImageQueue(tmp_path / "data", working=True)
    assert len(list((tmp_path / "data" / "files").iterdir())) == 1
