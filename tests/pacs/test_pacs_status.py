"""What an engineer is told of a queue, and how long it keeps what is done."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from films import encoded, film, film_uid
from typer.testing import CliRunner

from mammoscope.cli.app import app
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Admission, Image, ImageState
from mammoscope.pacs.rebuild import rebuild
from mammoscope.pacs.settings import Retention

CLASS = film(0).SOPClassUID
DAY = 86_400.0


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[ImageQueue]:
    with closing(ImageQueue(tmp_path / "data", working=True, keep=True)) as opened:
        yield opened


def admitted(queue: ImageQueue, number: int) -> Image:
    queue.admit(film_uid(number), CLASS, encoded(film(number)))
    image = queue.image(film_uid(number))
    assert image is not None
    return image


def made_older(queue: ImageQueue, days: float) -> None:
    """As if all that has happened to the queue had happened so many days before."""
    with closing(sqlite3.connect(queue.folder / "state.sqlite")) as database, database:
        database.execute("UPDATE moments SET arrived = arrived - ?, changed = changed - ?", (days * DAY, days * DAY))


def status(folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    ended = CliRunner().invoke(app, ["pacs", "status", "--json", "--data", str(folder), *options])
    return ended.exit_code, json.loads(ended.stdout)


def test_a_queue_at_rest_is_well(queue: ImageQueue) -> None:
    queue.finish(admitted(queue, 0), ImageState.SENT)
    code, said = status(queue.folder)
    assert (code, said["verdict"], said["problems"], said["running"]) == (0, "well", [], True)
    assert said["images"] == {**dict.fromkeys(map(str, ImageState), 0), "sent": 1}
    assert (said["waiting"], said["oldest_waiting_seconds"], said["dead_letters"]) == (0, None, 0)


def test_what_waits_has_an_age_and_is_stuck_after_a_time(queue: ImageQueue) -> None:
    admitted(queue, 0)
    made_older(queue, 0.5)
    admitted(queue, 1)
    code, said = status(queue.folder)
    assert code == 4 and said["verdict"] == "stuck" and said["waiting"] == 2
    assert said["oldest_waiting_seconds"] == pytest.approx(0.5 * DAY, abs=60)
    assert status(queue.folder, "--longest-wait", str(DAY))[0] == 0


def test_dead_letters_and_studies_set_aside_need_a_person(queue: ImageQueue) -> None:
    queue.fail(admitted(queue, 0), "is no mammogram", final=True)
    queue.memory.set_aside("MG 1.2.3", is_set_aside=True)
    code, said = status(queue.folder)
    assert (code, said["verdict"], said["dead_letters"], said["studies_set_aside"]) == (1, "attention", 1, 1)
    assert len(said["problems"]) == 2  # type: ignore[arg-type]
    shown = CliRunner().invoke(app, ["pacs", "status", "--data", str(queue.folder)])
    assert shown.exit_code == 1 and "dead: 1" in shown.stdout and "1 studies are set aside" in shown.stdout


def test_what_nobody_works_on_is_stuck(queue: ImageQueue) -> None:
    admitted(queue, 0)
    queue.close()
    code, said = status(queue.folder)
    assert code == 4 and said["running"] is False and "neither" in str(said["problems"])


def test_a_retried_dead_letter_waits_anew(queue: ImageQueue) -> None:
    image = admitted(queue, 0)
    queue.fail(image, "refused", final=True)
    made_older(queue, 3)
    queue.revive()
    waited = queue.ages.oldest_waiting()
    assert waited is not None and waited < 60


@pytest.mark.parametrize(
    ("retention", "rows", "files"),
    [
        (Retention(), {"waiting", "sent", "dead", "fresh"}, {"waiting", "sent", "dead", "fresh"}),
        (Retention(file_days=7), {"waiting", "sent", "dead", "fresh"}, {"waiting", "dead", "fresh"}),
        (Retention(row_days=7), {"waiting", "fresh"}, {"waiting", "fresh"}),
        (
            Retention(file_days=30, row_days=30),
            {"waiting", "sent", "dead", "fresh"},
            {"waiting", "sent", "dead", "fresh"},
        ),
    ],
)
def test_what_is_done_is_kept_as_long_as_it_is_said(
    queue: ImageQueue, retention: Retention, rows: set[str], files: set[str]
) -> None:
    names = {name: film_uid(number) for number, name in enumerate(("waiting", "sent", "dead", "fresh"))}
    images = {name: admitted(queue, number) for number, name in enumerate(names)}
    report = queue.folder / "exams" / "one.exam.json"
    report.parent.mkdir()
    report.write_text("{}")
    os.utime(report, (time.time() - 10 * DAY,) * 2)
    queue.finish(images["sent"], ImageState.SENT)
    queue.fail(images["dead"], "is no mammogram", final=True)
    made_older(queue, 10)
    queue.finish(images["fresh"], ImageState.SENT)
    removed = queue.ages.apply(retention)
    assert {name for name, uid in names.items() if queue.image(uid)} == rows
    assert {name for name, uid in names.items() if (queue.folder / "files" / key_of(uid)).exists()} == files
    assert removed == len(names) - len(files) and report.exists() == (retention.file_days != 7)
    assert queue.ages.apply(retention) == 0


def test_a_removed_row_is_not_found_again_but_may_be_sent_again(queue: ImageQueue) -> None:
    queue.find(film_uid(0), CLASS, "1.2", "1.3")
    (image,) = queue.images(ImageState.FOUND)
    queue.finish(image, ImageState.SENT)
    made_older(queue, 2)
    assert queue.ages.apply(Retention(row_days=1)) == 1
    assert not queue.find(film_uid(0), CLASS, "1.2", "1.3") and queue.image(film_uid(0)) is None
    assert queue.admit(film_uid(0), CLASS, encoded(film(0))) is Admission.NEW


def test_ages_survive_a_rebuild(queue: ImageQueue) -> None:
    admitted(queue, 0)
    made_older(queue, 2)
    queue.close()
    rebuild(queue.folder)
    with closing(ImageQueue(queue.folder, working=False)) as rebuilt:
        assert rebuilt.ages.oldest_waiting() == pytest.approx(2 * DAY, abs=60)
