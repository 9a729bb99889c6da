"""From C-STORE to C-STORE: what comes in is analysed and sent on, or becomes a dead letter that says why."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from archive_peer import ArchivePeer
from films import encoded, film, film_uid
from orthanc import Orthanc, sources
from pacs_process import PacsProcess, children
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]
from test_pacs_receive import associate, storescu
from tls_files import TlsFiles
from typer.testing import CliRunner

from mammoscope.bundle import Bundle
from mammoscope.cli.app import app
from mammoscope.pacs.analyser import Analyser
from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.receiver import OUT_OF_RESOURCES, SUCCESS, Receiver
from mammoscope.pacs.settings import Listening, Node
from mammoscope.peers.errors import FailedError, UnavailableError
from mammoscope.peers.tls import Tls

QUICK = ("--port", "0", "--pause", "0.1", "--threshold", "0.99")
Receiving = Callable[..., tuple[Receiver, ImageQueue]]


@pytest.mark.usefixtures("dcmtk")
@pytest.mark.parametrize("by_web", [False, True])
def test_what_is_received_is_analysed_and_sent_on(orthanc: Orthanc, tmp_path: Path, by_web: bool) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(2)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(film(number)))
    target = orthanc.web if by_web else orthanc.node
    with PacsProcess(tmp_path, "receive", "--send-to", target, *QUICK) as receiving:
        assert storescu(receiving.port, paths[0]).returncode == 0
        receiving.end(signal.SIGKILL)
    with PacsProcess(tmp_path, "receive", "--send-to", target, *QUICK) as receiving:
        assert storescu(receiving.port, *paths).returncode == 0  # the first one again
        receiving.wait(lambda counts: counts[ImageState.SENT] == 2)
        assert storescu(receiving.port, *paths).returncode == 0
        assert receiving.end() == 0
        assert sum(receiving.counts().values()) == 2
    results = [("SR", film_uid(number)) for number in range(2)]
    assert sources(orthanc) == results
    if by_web:  # a watcher that gets the same images another way makes the same objects
        for path in paths:
            orthanc.add(path.read_bytes())
        options = ("--since", "2000-01-01", "--threshold", "0.99")
        with PacsProcess(tmp_path / "watch", "watch", orthanc.web, *options) as watching:
            watching.wait(lambda counts: counts[ImageState.SENT] == 2)
        assert sources(orthanc) == results


def test_what_fails_becomes_a_dead_letter_and_can_be_tried_again(tmp_path: Path) -> None:
    with (
        ArchivePeer() as peer,
        PacsProcess(tmp_path, "receive", "--send-to", peer.node, *QUICK, "--attempts", "3") as receiving,
    ):
        peer.status = 0xC000
        entity = AE("MODALITY")
        entity.add_requested_context(film(0).SOPClassUID)
        association = entity.associate("127.0.0.1", receiving.port, ae_title="MAMMOSCOPE")
        assert association.send_c_store(film(0)).Status == SUCCESS
        assert association.send_c_store(film(1, NumberOfFrames=2)).Status == SUCCESS
        association.release()
        receiving.wait(lambda counts: counts[ImageState.DEAD] == 2)
        assert peer.asked == 3
        assert receiving.log.count("it is tried again") == 2  # the film with two frames would always fail
        data = ("--data", str(receiving.data))
        listed = CliRunner().invoke(app, ["pacs", "dead", *data]).stdout
        assert re.search(rf"{film_uid(0)}  PEER@127.0.0.1:\d+ did not store it \(status 0xC000\)", listed)
        assert re.search(rf"{film_uid(1)}  NumberOfFrames \(0028,0008\) is '?2", listed)
        assert "dead: 2" in CliRunner().invoke(app, ["pacs", "status", *data]).stdout
        peer.status = SUCCESS
        chosen = listed.split()[0]
        retried = CliRunner().invoke(app, ["pacs", "dead", "--retry", *data, "--key", chosen])
        assert "1 are tried again" in retried.stdout
        receiving.wait(lambda counts: counts[ImageState.SENT] == 1)
        assert receiving.log.count(": analysed, ") == 1 and len(peer.stored) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find the worker")
def test_a_worker_that_dies_of_an_image_costs_an_attempt(bundle: Bundle, tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, attempts=2, first_pause=0.0)
    for number in range(2):
        queue.admit(film_uid(number), film(0).SOPClassUID, encoded(film(number)))
    finished: list[tuple[str, str]] = []

    def note(image: Image, outcome: str, exam_key: str | None) -> None:
        finished.append((image.sop_instance, outcome))

    analyser = Analyser(queue, bundle.folder, 0.99, ("sr",), None, note)
    before = set(children(os.getpid()))
    first, second = queue.images(ImageState.RECEIVED)
    with closing(queue), ThreadPoolExecutor(1) as other:
        analyser(first)
        (worker,) = set(children(os.getpid())) - before
        os.kill(worker, signal.SIGSTOP)
        under_way = other.submit(analyser, second)
        time.sleep(0.2)
        os.killpg(worker, signal.SIGKILL)
        with pytest.raises(FailedError, match="the analysis process ended on it"):
            under_way.result(20)
        analyser(second)
        analyser.stop()
        assert [image.state for image in queue.images(ImageState.ANALYSED)] == [ImageState.ANALYSED] * 2
    assert finished == [(film_uid(number), "no_finding") for number in range(2)]


@pytest.mark.parametrize(
    ("node", "error", "problem"),
    [
        ("PEER@127.0.0.1:1", UnavailableError, "cannot be reached"),
        ("PEER@no.such.invalid:104", UnavailableError, "cannot be reached: its name is not known"),
        ("STRANGER@{address}", UnavailableError, r"rejects the association \(it has another AE title\)"),
        ("MAMMOSCOPE@{address}", FailedError, "does not accept Study Root"),
    ],
)
def test_who_cannot_store(receiving: Receiving, node: str, error: type[Exception], problem: str) -> None:
    receiver, _ = receiving()
    other = film(0, SOPClassUID=StudyRootQueryRetrieveInformationModelFind)
    with pytest.raises(error, match=problem):
        Dimse(Node.parse(node.format(address=f"127.0.0.1:{receiver.port}")), "US", None).store([other])


def test_results_go_out_by_tls_to_whom_the_authority_vouches_for(receiving: Receiving, tls: TlsFiles) -> None:
    ours = Tls(tls.certificate, tls.key, tls.authority)
    receiver, queue = receiving(Listening(port=0, tls=ours))
    node = Node("MAMMOSCOPE", "127.0.0.1", receiver.port)
    for context in (None, Tls().for_calling(), Tls(authority=tls.authority).for_calling()):
        with pytest.raises(UnavailableError):
            Dimse(node, "US", context).store([film(0)])
    Dimse(node, "US", ours.for_calling()).store([film(0)])
    assert len(queue.images(ImageState.RECEIVED)) == 1


def test_a_disk_that_fails_in_the_middle_of_a_file(receiving: Receiving) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # an image has more
    try:
        assert association.send_c_store(film(0)).Status == OUT_OF_RESOURCES
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((queue.folder / "files").iterdir()) and not any(queue.counts().values())
    assert association.send_c_store(film(0)).Status == SUCCESS
    association.release()
