"""What Prometheus scrapes of ``watch`` and ``receive``, and what they have seen to work when they are ready."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from archive_peer import ArchivePeer
from films import film
from nasty_web import WebPeer, says
from pacs_process import PacsProcess
from prometheus_client.parser import text_string_to_metric_families
from pydicom.dataset import Dataset
from pynetdicom import AE
from tls_files import TlsFiles

from mammoscope.bundle import Bundle
from mammoscope.errors import MammoscopeError
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.metrics import Chain, readiness
from mammoscope.pacs.monitor import Monitor
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.sender import Sender
from mammoscope.pacs.settings import Address, Caller, Listening, Node
from mammoscope.pacs.transitions import Transition, TransitionThreads
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer
from mammoscope.queue.metrics import Readiness, disk_problem

Receiving = Callable[..., tuple[Receiver, ImageQueue]]


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """Every sample by name and the values of its labels."""
    with urlopen(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(answer.read().decode())
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def ready(url: str) -> tuple[int, dict[str, str]]:
    try:
        with urlopen(f"{url}/ready") as answer:
            return answer.status, json.load(answer)["links"]
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)["links"]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def store(port: int, *datasets: Dataset) -> None:
    entity = AE("MODALITY")
    entity.add_requested_context(film(0).SOPClassUID)
    association = entity.associate("127.0.0.1", port, ae_title="MAMMOSCOPE")
    for dataset in datasets:
        assert association.send_c_store(dataset).Status == 0
    association.release()


def test_a_service_is_scraped_and_is_ready_once_each_link_has_answered(quick_bundle: Bundle, tmp_path: Path) -> None:
    options = ("--port", "0", "--bundle", str(quick_bundle.folder), "--monitor", "127.0.0.1:0", "--attempts", "1")
    with ArchivePeer() as peer, PacsProcess(tmp_path, "receive", "--send-to", peer.node, *options) as service:
        url = service.line.rpartition(" on ")[2].partition(";")[0]
        store(service.port, film(0), film(1, NumberOfFrames=2))
        service.wait(lambda counts: counts[ImageState.SENT] == counts[ImageState.DEAD] == 1)
        assert wait_for(lambda: ready(url)[0] == 200), ready(url)
        assert ready(url)[1] == dict.fromkeys(("store", "analysis", "listener", "disk", "queue"), "ok")
        found = scraped(url)
        assert found["mammoscope_images", "sent"] == found["mammoscope_images", "dead"] == 1
        assert found["mammoscope_images", "received"] == found["mammoscope_oldest_waiting_seconds",] == 0
        assert found["mammoscope_step_seconds_count", "received"] == 1
        assert found["mammoscope_link_successes_total", "store"] >= 1
        assert found["mammoscope_link_paused", "store"] == 0 and found["mammoscope_disk_free_bytes",] > 0
        assert any(name[0] == "mammoscope_info" and quick_bundle.manifest.name in name for name in found)
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}/")


def test_an_idle_link_is_not_ready_once_its_peer_is_gone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        queue = stack.enter_context(closing(ImageQueue(tmp_path / "data", working=True)))
        peer = ArchivePeer()
        node = Node.parse(peer.node)
        sender = Sender(Dimse(node, "MAMMOSCOPE", None), queue)
        transitions = {ImageState.ANALYSED: Transition(sender, Breaker(node, 0.05, 0.2), sender.check)}
        running = TransitionThreads(queue, transitions, 0.05, lambda image, final: None, check_after=0.05)
        chain = Chain().with_transitions(transitions)
        assert readiness(queue, chain).problems == {"store": "has not answered yet", "queue": None}
        running.start()
        stack.callback(running.stop)
        with peer:
            assert wait_for(lambda: readiness(queue, chain).is_ready)
        # A call that was under way as the peer went waits for its answer for 30 s.
        assert wait_for(lambda: readiness(queue, chain).problems["store"] == "fails, and is retried", seconds=60)


def test_a_link_that_was_silent_for_long_is_not_ready(tmp_path: Path) -> None:
    now = 100.0
    breaker = Breaker("the PACS", 1.0, clock=lambda: now)
    breaker.succeeded()
    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        chain = Chain({"search": breaker}, {"search": 1000.0})
        now += 999
        assert readiness(queue, chain).is_ready
        assert not readiness(queue, Chain({"search": breaker})).is_ready
        now += 2
        assert readiness(queue, chain).problems["search"] == "has not answered for 1001 s"


def test_a_queue_that_cannot_be_written_or_has_no_disk_is_not_ready(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True)
    assert disk_problem(queue.folder, 0, "image") is None
    assert "no image is taken" in str(disk_problem(queue.folder, 1 << 60, "image"))
    queue.close()
    assert readiness(queue, Chain()).problems == {"queue": "cannot be written"}


@pytest.mark.parametrize("kind", ["plain", "tls", "others only"])
def test_a_receiver_sees_whether_it_takes_connections(
    kind: str, receiving: Receiving, tls: TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    callers = (Caller.parse("*@10.0.0.7"),) if kind == "others only" else ()
    files = Tls(tls.certificate, tls.key) if kind == "tls" else Tls()
    receiver, _ = receiving(Listening(port=0, callers=callers, tls=files))
    assert receiver.check() is None and receiver.check() is None and not caplog.records
    receiver.stop()
    assert str(receiver.check()).startswith("takes no connection")


@pytest.mark.parametrize(
    ("status", "answers"),
    [(200, True), (204, True), (404, True), (401, False), (403, False), (500, False), (503, False)],
)
def test_a_web_server_that_answers_works(status: int, answers: bool) -> None:
    with WebPeer() as peer:
        peer.misbehave = {"GET": says(status, b"[]" if status == 200 else b"")}
        server = DicomWeb(WebServer(peer.url))
        if answers:
            server.check()
        else:
            with pytest.raises(MammoscopeError):
                server.check()


def test_the_monitor_asks_at_most_every_few_seconds() -> None:
    asked = []

    def see() -> Readiness:
        asked.append(1)
        return Readiness({"store": "fails"})

    monitor = Monitor(Address("127.0.0.1", 0), lambda: b"", see)
    try:
        url = f"http://{monitor.address}"
        assert ready(url) == ready(url) == (503, {"store": "fails"}) and len(asked) == 1
        with pytest.raises(MammoscopeError, match="cannot be listened on"):
            Monitor(monitor.address, lambda: b"", see)
    finally:
        monitor.stop()


@pytest.mark.parametrize("text", ["", "9105", "host", "host:", "host:99999", "http://host:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(MammoscopeError, match="is not an address to listen on"):
        Address.parse(text)
