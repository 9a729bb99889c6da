"""A probe comes through where everything works, and names the link that is broken where something does not."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from orthanc import PLUGINS, PROGRAM, Orthanc, free_port
from pacs_process import PacsProcess
from tls_files import TlsFiles
from typer.testing import CliRunner

from conftest import NEEDS_ORTHANC
from installed import PACKAGES, with_step
from mammoscope.bundle import MANIFEST, Bundle
from mammoscope.cli.app import app
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.probe.exam import PATIENT_ID, new_uid, probe_exam
from mammoscope.pacs.probe.run import Probe, peer_of
from mammoscope.pacs.probe.service import Service
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.settings import Caller, Listening, Node
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer

LINKS = ["search", "connection", "service", "store", "pick-up", "analysis", "store of results", "results"]
NO_REPORTS = "function ReceivedInstanceFilter(dicom)\n  return dicom.Modality ~= 'SR'\nend\n"
KNOWN = {"DicomModalities": {"mammoscope": ["MAMMOSCOPE", "127.0.0.1", 11112]}}  # who may search
ONE_POST = """local posts = 0
function IncomingHttpRequestFilter(method, uri)
  if method == 'POST' and uri == '/dicom-web/studies' then posts = posts + 1 end
  return method ~= 'POST' or posts < 2
end
"""
QUICK = ("--threshold", "0.99", "--pause", "0.1", "--no-seg")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc for all tests here, which leave it empty."""
    if PROGRAM is None or not PLUGINS:
        pytest.skip(NEEDS_ORTHANC)
    folder = tmp_path_factory.mktemp("orthanc")
    with Orthanc(folder) as running:
        running.end()
        running.start(**KNOWN)
        yield running


@pytest.fixture
def changed(archive: Orthanc, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts that Orthanc again with other settings, until the end of the test; removes what it has then."""
    is_changed = False

    def change(script: str = "", **settings: Any) -> None:
        if script:
            path = tmp_path / "filter.lua"
            path.write_text(script)
            settings["LuaScripts"] = [str(path)]
        nonlocal is_changed
        is_changed, settings = True, {**KNOWN, **settings}
        archive.end()
        if users := settings.get("RegisteredUsers"):
            archive.client.auth = next(iter(users.items()))
        archive.start(**settings)

    yield change
    if is_changed:
        archive.end()
        archive.client.auth = None
        archive.start(**KNOWN)
    for study in archive.client.get("/studies").json():
        archive.client.delete(f"/studies/{study}")


@pytest.fixture(scope="module")
def receive(archive: Orthanc, quick_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacsProcess]:
    options = ("--send-to", archive.node, "--port", "0", "--bundle", str(quick_bundle.folder), *QUICK)
    with PacsProcess(tmp_path_factory.mktemp("receive"), "receive", *options) as running:
        yield running


@pytest.fixture(scope="module")
def watch(archive: Orthanc, quick_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacsProcess]:
    options = (archive.web, "--every", "0.5", "--bundle", str(quick_bundle.folder), *QUICK)
    with PacsProcess(tmp_path_factory.mktemp("watch"), "watch", *options, "--monitor", "127.0.0.1:0") as running:
        yield running


def probed(*arguments: object) -> dict[str, Any]:
    """What a probe says; in less than a minute."""
    begun = time.monotonic()
    outcome = CliRunner().invoke(app, ["pacs", "probe", *map(str, arguments), "--json"])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    assert time.monotonic() - begun < 60
    said: dict[str, Any] = json.loads(outcome.stdout)
    assert outcome.exit_code == (0 if said["verdict"] == "well" else 4)
    broken = [said["broken"]["link"]] if said["broken"] else []
    assert sorted([*said["works"], *broken, *said["not_proved"]]) == sorted(LINKS)
    return said


def hastened(archive: Orthanc, service: PacsProcess, target: Node | None = None) -> dict[str, Any]:
    """What a probe says that waits less for what fails to work again."""
    web = peer_of(WebServer(archive.web), "MAMMOSCOPE", None)
    first = web if target is None else peer_of(target, "MAMMOSCOPE", None)
    return Probe(first, web, Service(service.data, None), 120, steady=2, failing=2).run().to_json()


def is_broken(said: dict[str, Any], link: str, problem: str, *, works: int) -> None:
    """The link that is named, why, and how many links were passed before it."""
    assert said["verdict"] == "broken" and said["broken"]["link"] == link, said
    assert problem in said["broken"]["problem"], said
    assert list(said["works"]) == LINKS[:works], said


def test_the_exam_is_marked_as_synthetic_and_is_another_each_time() -> None:
    now = datetime(2026, 1, 31, 12, 30)
    first, second = probe_exam(new_uid(), now), probe_exam(new_uid(), now)
    assert len(first) == 4 and {image.PatientID for image in first} == {PATIENT_ID}
    assert all("SYNTHETIC" in str(image.get(name)) for image in first for name in ("PatientName", "StudyDescription"))
    assert {(image.StudyDate, image.AcquisitionDate) for image in first} == {("20260131", "20260131")}
    uids = [image[name].value for exam in (first, second) for image in exam for name in ("SOPInstanceUID",)]
    assert len(set(uids)) == 8 and len({image.StudyInstanceUID for image in (*first, *second)}) == 2
    assert all(image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID for image in first)


class Around(NamedTuple):
    """What a fault is made of."""

    archive: Orthanc
    receiver: Callable[..., int]  # the port of one that analyses nothing
    tls: TlsFiles
    changed: Callable[..., None]
    folder: Path


def _called(around: Around, title: str = "MAMMOSCOPE", port: int | None = None, **receiver: Any) -> list[object]:
    port = around.receiver(**receiver) if port is None else port
    return [f"{title}@127.0.0.1:{port}", "--results", around.archive.web]


def _with_password(around: Around) -> list[object]:
    around.changed(AuthenticationEnabled=True, RegisteredUsers={"mammoscope": "of the test"})
    return [around.archive.web]


def _no_watcher(around: Around) -> list[object]:
    ImageQueue(around.folder / "queue", working=True).close()
    return [around.archive.web, "--data", around.folder / "queue"]


FAULTS: dict[str, tuple[Callable[[Around], list[object]], str, str, int]] = {
    "no receiver": (lambda it: _called(it, port=free_port()), "connection", "nothing listens there", 1),
    "unknown host": (
        lambda it: ["A@no.such.invalid:104", "--results", it.archive.web],
        "connection",
        "is not known",
        1,
    ),
    "another AE title": (lambda it: _called(it, "WRONG"), "connection", "it has another AE title", 1),
    "calling title not allowed": (
        lambda it: _called(it, callers=(Caller.parse("MODALITY@127.0.0.1"),)),
        "connection",
        "it does not know the calling AE title",
        1,
    ),
    "address not allowed": (
        lambda it: _called(it, callers=(Caller.parse("*@10.0.0.7"),)),
        "connection",
        "it may not allow this address",
        1,
    ),
    "TLS alone": (
        lambda it: _called(it, tls=Tls(it.tls.certificate, it.tls.key)),
        "connection",
        "TLS: it speaks nothing else",
        1,
    ),
    "TLS of an unknown authority": (
        lambda it: [*_called(it, tls=Tls(it.tls.certificate, it.tls.key)), "--tls"],
        "connection",
        "TLS: its certificate is not trusted",
        1,
    ),
    "no TLS": (lambda it: [*_called(it), "--tls", "--tls-ca", it.tls.authority], "connection", "may not speak TLS", 1),
    "receiver's disk full": (lambda it: _called(it, reserve=1 << 60), "store", "its disk is full or fails", 2),
    "no web server": (lambda it: [f"http://127.0.0.1:{free_port()}/d"], "search", "nothing listens there", 0),
    "web server without TLS": (lambda it: [it.archive.web.replace("http", "https")], "search", "may not speak TLS", 0),
    "another root": (lambda it: [f"{it.archive.web}b"], "search", "not the root of its DICOMweb services", 0),
    "no password": (_with_password, "search", "MAMMOSCOPE_PACS_USER", 0),
    "archive that answers no C-FIND": (
        lambda it: [*_called(it)[:1], "--results", f"MAMMOSCOPE@127.0.0.1:{it.receiver()}"],
        "search",
        "does not accept Study Root",
        0,
    ),
    "search not allowed": (
        lambda it: [*_called(it), "--results", it.archive.node, "--title", "STRANGER"],
        "search",
        "does it know STRANGER",
        0,
    ),
    "no watcher": (_no_watcher, "service", "neither 'watch' nor 'receive' runs", 2),
    "a folder that cannot be looked into": (
        lambda it: [it.archive.web, "--data", it.folder / ("x" * 300)],
        "service",
        "cannot be looked into (File name too long)",
        2,
    ),
    "nobody at the monitor": (
        lambda it: [it.archive.web, "--monitor", f"127.0.0.1:{free_port()}"],
        "service",
        "/ready cannot be reached",
        2,
    ),
    "nobody who takes it": (lambda it: [it.archive.web, "--within", "1"], "pick-up", "give --data or --monitor", 2),
}


# Before any service of this module runs, which would take what is sent.
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_before_the_analysis_is_named(
    fault: str, archive: Orthanc, tls: TlsFiles, changed: Callable[..., None], tmp_path: Path
) -> None:
    make, link, problem, works = FAULTS[fault]
    with ExitStack() as stack:

        def receiver(reserve: int = 0, **listening: Any) -> int:
            queue = ImageQueue(tmp_path / f"data-{free_port()}", working=True, reserve=reserve)
            stack.callback(queue.close)
            made = Receiver(Listening(port=0, **listening), queue, 0.0, None)
            threading.Thread(target=made.serve, daemon=True).start()
            stack.callback(made.stop)
            return made.port

        said = probed(*make(Around(archive, receiver, tls, changed, tmp_path)))
    is_broken({**said, "works": {k: v for k, v in said["works"].items() if k != "store"}}, link, problem, works=works)
    assert archive.tags("SOPInstanceUID") == []


def test_a_probe_comes_through_what_is_watched_and_leaves_nothing_there(archive: Orthanc, watch: PacsProcess) -> None:
    monitor = watch.line.rpartition("http://")[2].partition(";")[0]
    said = probed(archive.web, "--data", watch.data, "--monitor", monitor)
    assert said["verdict"] == "well" and list(said["works"]) == LINKS and not said["not_proved"]
    assert "4 structured reports, of 4 images" in said["works"]["results"]
    assert archive.tags("SOPInstanceUID") == [] and len(said["stays"]) == 1


def test_a_probe_comes_through_a_receiver_and_says_what_stays(
    archive: Orthanc, receive: PacsProcess, changed: Callable[..., None]
) -> None:
    said = probed(f"MAMMOSCOPE@127.0.0.1:{receive.port}", "--results", archive.node)
    assert said["verdict"] == "well" and list(said["works"]) == LINKS
    kept = {(study, patient) for study, patient in archive.tags("StudyInstanceUID", "PatientID")}
    assert kept == {(said["study"], "SYNTHETIC-PROBE")}
    assert any(said["study"] in line and archive.node in line for line in said["stays"])


@pytest.mark.parametrize(
    ("settings", "link", "problem"),
    [
        ({"script": NO_REPORTS}, "results", "the service has stored them"),
        ({"DicomAet": "OTHER", "DicomCheckCalledAet": True}, "store of results", "it has another AE title"),
    ],
    ids=["dropped by the archive", "another AE title"],
)
def test_results_that_do_not_come_to_the_archive_are_seen(
    settings: dict[str, Any],
    link: str,
    problem: str,
    archive: Orthanc,
    receive: PacsProcess,
    changed: Callable[..., None],
) -> None:
    changed(**settings)
    target = f"MAMMOSCOPE@127.0.0.1:{receive.port}"
    said = hastened(archive, receive, Node.parse(target))
    is_broken(said, link, problem, works=LINKS.index(link))


def test_results_that_the_watched_server_refuses_are_seen(
    archive: Orthanc, watch: PacsProcess, changed: Callable[..., None]
) -> None:
    changed(ONE_POST)
    said = hastened(archive, watch)
    is_broken(said, "store of results", "answers 403 to 'store'", works=6)


def test_an_analysis_that_fails_is_named(
    archive: Orthanc, changed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGES), *sys.path]))
    bundle = with_step(tmp_path / "bundle", {"name": "deadly", "role": "other", "implementation": "deadly-left"})
    manifest = json.loads((bundle / MANIFEST).read_text())
    # Of single views: an exam that ends its process is tried again, together and apart.
    manifest["steps"] = [step for step in manifest["steps"] if step["implementation"] != "two-views"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    options = ("--send-to", archive.node, "--port", "0", "--bundle", str(bundle), *QUICK, "--attempts", "1")
    with PacsProcess(tmp_path, "receive", *options) as service:
        target = f"MAMMOSCOPE@127.0.0.1:{service.port}"
        said = probed(target, "--results", archive.web, "--data", service.data)
    is_broken(said, "analysis", "an image is a dead letter", works=5)
    assert any("dead letters: see 'mammoscope pacs dead'" in line for line in said["stays"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["MAMMOSCOPE@127.0.0.1:1"], "--results must say where"),
        (["http://127.0.0.1:1/d", "--results", "http://127.0.0.1:1/d"], "--results is for 'receive'"),
        (["nothing"], "is not a DICOM application"),
        (["http://127.0.0.1:1/d", "--monitor", "x"], "is not an address"),
    ],
)
def test_what_cannot_be_probed_is_refused(arguments: list[str], problem: str) -> None:
    assert problem in str(CliRunner().invoke(app, ["pacs", "probe", *arguments]).exception)


def test_the_text_has_a_line_for_each_link_and_the_notice() -> None:
    outcome = CliRunner().invoke(app, ["pacs", "probe", f"http://127.0.0.1:{free_port()}/d"])
    lines = outcome.stdout.splitlines()
    assert outcome.exit_code == 4 and "Not for diagnostic use" in lines[0]
    assert [line.partition(":")[0] for line in lines[2:]] == LINKS
    assert lines[2].startswith("search: BROKEN: ") and set(lines[3:]) == {f"{link}: not proved" for link in LINKS[1:]}
