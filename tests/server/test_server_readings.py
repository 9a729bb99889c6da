"""Readings are kept with their exam: after a restart, for a second tab, until the exam is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from exams.two_women import ANNA, four_views, picture
from mammoscope.errors import MammoscopeError
from mammoscope.server.readings import Readings
from mammoscope.server.record import ReadingDraft

Idle = Callable[..., TestClient]

ANALYSES = "/api/v1/analyses"
RECORD: dict[str, Any] = {
    "threshold": 0.25,
    "impression": "Größer als zuletzt.",
    "verdicts": [],
    "drawn": [{"file": 1, "outline": [[1, 1], [9, 1], [5, 9]]}],
    "lengths": [{"file": 3, "ends": [[1.5, 2], [30, 40]]}],
    "assessments": [{"of": "exam", "birads": "4A", "density": "C"}, {"of": "left", "birads": "4A", "density": None}],
    "reader": "Dr. A",
    "one_woman": False,
}


def _exam(client: TestClient, folder: Path) -> str:
    sent = [("files", (path.name, path.read_bytes())) for path in four_views(folder, ANNA)]
    return f"{ANALYSES}/{client.post(ANALYSES, files=sent).json()['id']}"


def test_a_reading_outlasts_a_restart_and_goes_with_its_exam(idle: Idle, tmp_path: Path) -> None:
    client = idle()
    exam = _exam(client, tmp_path / "anna")
    alone = client.post(ANALYSES, files=[("files", ("a.png", picture(tmp_path / "a.png").read_bytes()))])
    other = f"{ANALYSES}/{alone.json()['id']}"
    assert client.get(f"{exam}/reading").json() == {"revision": 0, "saved": None, "record": None}
    saved = client.put(f"{exam}/reading", json={"revision": 0, "record": RECORD}).json()
    assert saved["revision"] == 1 and saved["record"] == RECORD and saved["saved"].endswith("Z")
    client.app.state.mammoscope.close()  # type: ignore[attr-defined]
    client = idle()
    assert client.get(f"{exam}/reading").json() == saved
    assert client.get(f"{other}/reading").json()["record"] is None
    assert client.delete(exam).status_code == 204
    assert client.get(f"{exam}/reading").status_code == client.put(f"{exam}/reading", json={}).status_code == 404
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and b"zuletzt" in path.read_bytes()]


def test_of_two_readings_made_from_one_the_second_is_refused(idle: Idle, tmp_path: Path) -> None:
    client = idle()
    exam = _exam(client, tmp_path / "anna")
    first = client.put(f"{exam}/reading", json={"revision": 0, "record": RECORD}).json()
    late = client.put(f"{exam}/reading", json={"revision": 0, "record": RECORD | {"impression": "late"}})
    assert late.status_code == 409 and late.json() == {"detail": "another reading of this exam was saved meanwhile"}
    assert client.get(f"{exam}/reading").json() == first
    again = client.put(f"{exam}/reading", json={"revision": 1, "record": RECORD | {"impression": "late"}}).json()
    assert (again["revision"], again["record"]["impression"]) == (2, "late")


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"verdicts": [{"file": 0, "finding": 0, "verdict": "accepted"}]}, "verdicts: file 0 has no finding 0"),
        ({"drawn": [{"file": 4, "outline": [[1, 1], [9, 1], [5, 9]]}]}, "drawn: file 4 is not there"),
        ({"lengths": [{"file": 9, "ends": [[1, 1], [2, 2]]}]}, "lengths: file 9 is not there"),
        ({"lengths": [{"file": 0, "ends": [[1, 1]]}]}, "record.lengths.0.ends"),
        ({"reader": "x" * 101}, "record.reader"),
        ({"threshold": 2}, "record.threshold"),
        ({"assessments": [{"of": "left", "birads": "7"}]}, "record.assessments.0.birads"),
        ({"assessments": [{"of": "left", "birads": "1"}, {"of": "left", "birads": "2"}]}, "names one twice"),
        ({"unknown": 1}, "record.unknown"),
    ],
)
def test_a_reading_that_does_not_fit_its_exam_is_refused(
    idle: Idle, tmp_path: Path, changed: dict[str, Any], detail: str
) -> None:
    client = idle()
    exam = _exam(client, tmp_path / "anna")
    answer = client.put(f"{exam}/reading", json={"revision": 0, "record": RECORD | changed})
    assert answer.status_code == 422 and detail in answer.json()["detail"], answer.text
    assert client.get(f"{exam}/reading").json()["revision"] == 0


def test_a_damaged_reading_is_an_error_that_quotes_nothing_and_is_not_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "reading.json"
    kept.write_text('{"revision": 1, "record": "ZZSECRET"', encoding="utf-8")
    draft = ReadingDraft.model_validate({"revision": 0, "record": RECORD})
    for act in (lambda: Readings().reading(tmp_path), lambda: Readings().save(tmp_path, draft)):
        with pytest.raises(MammoscopeError, match="is no reading that can be read") as error:
            act()
        assert "ZZSECRET" not in str(error.value)
    assert "ZZSECRET" in kept.read_text(encoding="utf-8")
