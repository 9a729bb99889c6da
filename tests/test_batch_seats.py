"""Results are written while the next file is analysed, and nothing of it is lost."""

from __future__ import annotations

import pickle
from pathlib import Path
from threading import Event, Thread

import pytest

from exams.two_women import picture
from mammoscope.batch import Options, analyze_files, job
from mammoscope.batch.seats import Seats
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.readers import IsolatedReader
from mammoscope.readers.limits import DEFAULT_LIMITS


def test_an_overlay_is_written_while_the_next_file_is_analysed(
    tmp_path: Path, quick_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{name}.png") for name in "ab"]
    examined, write_png, examine_views = Event(), job.write_png, job.examine_views
    views: list[str] = []

    def examining(*arguments: object, **named: object) -> object:
        found = examine_views(*arguments, **named)  # type: ignore[arg-type]
        views.append("examined")
        if len(views) == 2:
            examined.set()
        return found

    def writing(path: Path, *arguments: object) -> None:
        if path.name == "a.overlay.png":
            assert examined.wait(60), "the second file waited for the first one's overlay"
        write_png(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "examine_views", examining)
    monkeypatch.setattr(job, "write_png", writing)
    done = list(analyze_files(paths, tmp_path / "out", quick_bundle, Options()))
    assert [outcome.error for outcome in done] == [None, None]
    assert {path.name for outcome in done for path in outcome.written if path.exists()} == {
        "a.json",
        "a.overlay.png",
        "b.json",
        "b.overlay.png",
    }


def test_a_run_that_is_ended_has_written_what_it_has_analysed(tmp_path: Path, quick_bundle: Bundle) -> None:
    paths = [picture(tmp_path / f"{number}.png") for number in range(3)]
    outcomes = analyze_files(paths, tmp_path / "out", quick_bundle, Options())
    assert next(outcomes).error is None
    outcomes.close()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names and names == {f"{name[0]}{end}" for name in names for end in (".json", ".overlay.png")}


def test_one_seat_is_for_one_worker_at_a_time_and_has_one_decoder(tmp_path: Path) -> None:
    seats, path = Seats(1, DEFAULT_LIMITS), picture(tmp_path / "a.png")
    readers: list[IsolatedReader] = []
    taken = Event()

    def work() -> None:
        with seats.open(), seats.taken() as reader:
            taken.set()
            readers.append(reader)

    with seats.open():
        with seats.taken() as reader:
            other = Thread(target=work)
            other.start()
            assert not taken.wait(0.2)
            assert reader.read(path).name == "a"
        other.join(10)
        assert readers == [reader]
        assert reader.read(path).name == "a", "ended although a worker is left"
    with pytest.raises(MammoscopeError, match="was ended"):
        reader.read(path)


def test_seats_are_opened_anew_after_their_last_worker_and_in_another_process(tmp_path: Path) -> None:
    seats: Seats = pickle.loads(pickle.dumps(Seats(2, DEFAULT_LIMITS)))
    for _ in range(2):
        with seats.open(), seats.taken() as reader, pytest.raises(InputError, match="no such file"):
            reader.read(tmp_path / "absent.png")
