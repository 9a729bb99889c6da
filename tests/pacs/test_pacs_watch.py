"""Watching a real Orthanc: each mammogram analysed once, results stored once, through restarts and outages."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from films import BIRTH_DATE, NAME, PATIENT_ID, encoded, film, film_uid
from orthanc import Orthanc, sources
from pacs_process import PacsProcess
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing as ForProcessing
from typer.testing import CliRunner

from mammoscope import NOTICE
from mammoscope.audit import verify_trail
from mammoscope.cli.app import app
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.errors import UnavailableError
from mammoscope.peers.listing import Days
from mammoscope.peers.web_server import WebServer

QUICK = ("--every", "0.3", "--since", "2000-01-01", "--pause", "0.1")
NO_FINDING = ("--threshold", "0.99")  # only the detector runs
SECRETS = (*NAME.split("^"), PATIENT_ID, BIRTH_DATE)


def all_sent(count: int) -> Callable[[dict[ImageState, int]], bool]:
    return lambda counts: counts[ImageState.SENT] == count


def test_results_come_back_once_and_are_not_analysed_themselves(orthanc: Orthanc, tmp_path: Path) -> None:
    for number in range(2):
        orthanc.add(encoded(film(number, StudyInstanceUID="2.25.4712")))
    trail = tmp_path / "trail"
    kinds = ("--sc", "--gsps", "--cad")
    options = (*QUICK, *kinds, "--threshold", "0.3", "--modality", "MG", "--modality", "OT", "--audit", str(trail))
    with PacsProcess(tmp_path, "watch", orthanc.web, *options) as watching:
        assert watching.notice == NOTICE
        watching.wait(all_sent(2))
        first = orthanc.tags("SOPInstanceUID", "Modality", "StudyInstanceUID", "PatientID")
        orthanc.add(encoded(film(2)))
        counts = watching.wait(all_sent(3))
        new = sum(map(int, re.findall(r"(\d+) new images", watching.log)))  # found by looks and the sweep beside them
        assert watching.end() == 0
    made = ("OT", "PR", "SEG", "SR", "SR")  # the report for CAD stations is an SR too
    expected = sorted((modality, film_uid(number)) for modality in made for number in range(3))
    assert sources(orthanc) == expected
    assert {tags[2:] for tags in first} == {("2.25.4712", PATIENT_ID)} and len(first) == 2 * (1 + len(made))
    assert sum(counts.values()) == new == 3
    assert not list((tmp_path / "data" / "files").iterdir())
    noted = verify_trail(trail)
    assert (noted.entries, noted.broken) == (3, None)
    lines = "".join(path.read_text() for path in trail.glob("*.jsonl"))
    assert lines.count('"source":"pacs"') == lines.count('"outcome":"') == 3
    seen = " ".join([watching.log, lines, *map(str, tmp_path.rglob("data/**/*"))])
    databases = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("*.sqlite*")).decode("latin-1")
    assert not [secret for secret in SECRETS if secret in seen or secret in databases]

    # A restart knows what is done; a watcher that has lost its memory makes the same objects again.
    everything = orthanc.tags("SOPInstanceUID")
    with PacsProcess(tmp_path, "watch", orthanc.web, *options) as again:
        time.sleep(1.5)
        assert again.counts()[ImageState.SENT] == 3 and "analysed" not in again.log.removeprefix(watching.log)
    with PacsProcess(tmp_path / "new", "watch", orthanc.web, *options) as forgetful:
        counts = forgetful.wait(all_sent(3))
        time.sleep(1)
        assert sum(forgetful.counts().values()) == 3 + forgetful.counts()[ImageState.SKIPPED]
    assert orthanc.tags("SOPInstanceUID") == everything


def test_an_outage_of_the_pacs_costs_time_only(orthanc: Orthanc, tmp_path: Path) -> None:
    for number in range(4):
        orthanc.add(encoded(film(number)))
    orthanc.end()
    with PacsProcess(tmp_path, "watch", orthanc.web, *QUICK, *NO_FINDING, "--attempts", "2") as watching:
        time.sleep(1.5)  # more looks than attempts
        orthanc.start()
        watching.wait(lambda counts: counts[ImageState.FOUND] + counts[ImageState.RECEIVED] > 0)
        orthanc.end(signal.SIGKILL)
        watching.wait(lambda counts: counts[ImageState.RECEIVED] == 0)
        time.sleep(1)
        orthanc.start()
        counts = watching.wait(all_sent(4))
        assert counts[ImageState.DEAD] == 0 and "retried without limit" in watching.log
        assert "Traceback" not in watching.log
    assert sources(orthanc) == [("SR", film_uid(number)) for number in range(4)]


@pytest.mark.parametrize("seed", [0])
def test_killed_at_any_moment_it_loses_and_doubles_nothing(orthanc: Orthanc, tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    for number in range(4):
        orthanc.add(encoded(film(number)))
    for _ in range(4):
        with PacsProcess(tmp_path, "watch", orthanc.web, *QUICK, *NO_FINDING) as watching:
            time.sleep(moments.uniform(0, 3))
            watching.end(signal.SIGKILL)
    with PacsProcess(tmp_path, "watch", orthanc.web, *QUICK, *NO_FINDING) as watching:
        counts = watching.wait(all_sent(4))
    assert sum(counts.values()) == 4
    assert sources(orthanc) == [("SR", film_uid(number)) for number in range(4)]


def test_for_presentation_is_preferred_to_its_twin(orthanc: Orthanc, tmp_path: Path) -> None:
    def refers_to(number: int) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ForProcessing, film_uid(number)
        return item

    one = {"StudyInstanceUID": "2.25.4712"}
    raw = {"SOPClassUID": ForProcessing, "PresentationIntentType": "FOR PROCESSING"}
    films = (
        film(0, **one, **raw),  # the same exposure as 1, by study, breast, view and moment
        film(1, **one),
        film(2, **one, **raw, AcquisitionTime="130000"),  # alone
        film(3, **one, **raw, AcquisitionTime="140000"),  # the source of 4, which says so
        film(4, **one, AcquisitionTime="", SourceImageSequence=[refers_to(3)]),
    )
    for one_film in films:
        orthanc.add(encoded(one_film))
    with PacsProcess(tmp_path, "watch", orthanc.web, *QUICK, *NO_FINDING, "--hold", "2") as watching:
        counts = watching.wait(lambda counts: counts[ImageState.SENT] + counts[ImageState.SKIPPED] == 5)
        assert watching.log.count("has arrived For Presentation") == 2
    assert (counts[ImageState.SENT], counts[ImageState.SKIPPED]) == (3, 2)
    assert sources(orthanc) == [("SR", film_uid(number)) for number in (1, 2, 4)]


def test_a_pacs_that_asks_for_a_password(tmp_path: Path, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc.end()
    orthanc.client.auth = ("me", "right")
    orthanc.start(AuthenticationEnabled=True, RegisteredUsers={"me": "right"})
    orthanc.add(encoded(film(0)))
    for password in (None, "wrong"):
        with pytest.raises(UnavailableError, match="answers 401"):
            list(DicomWeb(WebServer(orthanc.web, "me", password)).studies(Days(), "MG"))
    monkeypatch.setenv("MAMMOSCOPE_PACS_USER", "me")
    monkeypatch.setenv("MAMMOSCOPE_PACS_PASSWORD", "right")
    out = tmp_path / "out"
    study = film(0).StudyInstanceUID
    pulled = CliRunner().invoke(app, ["pacs", "pull", orthanc.web, study, "--out", str(out)])
    (path,) = out.iterdir()
    assert pulled.stdout.strip() == str(path) and not [secret for secret in SECRETS if secret in path.name]
    assert pydicom.dcmread(path).pixel_array.shape == film(0).pixel_array.shape
    for number, target in ((1, orthanc.web), (2, orthanc.node)):
        sent = tmp_path / f"{number}.dcm"
        sent.write_bytes(encoded(film(number)))
        assert "stored" in CliRunner().invoke(app, ["pacs", "push", target, str(sent)]).stdout
    assert len(orthanc.tags("SOPInstanceUID")) == 3


def test_a_look_starts_where_the_last_good_one_was(orthanc: Orthanc, tmp_path: Path) -> None:
    from datetime import UTC, date, datetime, timedelta

    from mammoscope.pacs.watch import Watch

    today = datetime.now(UTC).date()

    def dated(number: int, day: date) -> None:
        orthanc.add(encoded(film(number, StudyDate=f"{day:%Y%m%d}")))

    queue, server = ImageQueue(tmp_path / "data", working=True), DicomWeb(WebServer(orthanc.web))
    dated(0, today)
    dated(1, today - timedelta(days=5))
    breaker = Breaker("the PACS", 0.1)
    assert Watch(server, queue, ("MG",), None, breaker).look() == 1
    queue.memory.write_note("last look", (today - timedelta(days=9)).isoformat())  # it was away since then
    watch = Watch(server, queue, ("MG",), None, breaker)
    assert watch.look() == 1 and watch.look() == 0
    dated(2, today - timedelta(days=5))
    assert watch.look() == 0
    assert Watch(server, queue, ("MG",), date(2000, 1, 1), breaker).look() == 1
    orthanc.add(encoded(film(3, StudyInstanceUID=film(0).StudyInstanceUID, StudyDate=f"{today:%Y%m%d}")))
    assert watch.look() == 1  # a study that has grown
