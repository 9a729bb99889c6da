"""Whose fault a failure is: the peer's, which is paused, or that of one image, which is set aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_peer import ArchivePeer
from films import encoded, film, film_uid
from nasty_web import Misbehaviour, WebPeer, resets, says

from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.sender import Sender, archive_of
from mammoscope.pacs.settings import parse_target
from mammoscope.pacs.transitions import Transition, TransitionThreads
from mammoscope.pacs.watch import Fetcher
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer

FILM = film(0)


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("the PACS", 4.0, 30.0, clock=clock)


def test_a_pause_grows_is_bounded_and_ends_with_the_first_success(breaker: Breaker, clock: Clock) -> None:
    assert breaker.pause_left() == 0
    for failures in range(20):
        breaker.failed("it is away")
        left = breaker.pause_left()
        assert min(2.0 * 2**failures, 15.0) <= left <= 30.0 + 1e-9  # of rounding
        clock.now += left
        assert breaker.pause_left() == 0
    breaker.failed("it is away")
    assert breaker.succeeded() and breaker.pause_left() == 0
    assert not breaker.succeeded()


def test_only_after_several_failures_in_a_row_it_is_the_peer(breaker: Breaker) -> None:
    assert not breaker.doubted("a", "500") and not breaker.doubted("b", "500") and breaker.pause_left() == 0
    breaker.succeeded("c")
    assert not breaker.doubted("d", "500") and not breaker.doubted("e", "500") and breaker.pause_left() == 0
    assert not breaker.doubted("f", "500") and breaker.pause_left() > 0


def test_an_image_is_to_blame_where_others_succeeded_meanwhile(breaker: Breaker) -> None:
    assert not breaker.doubted("a", "500") and not breaker.doubted("a", "500")
    breaker.succeeded("b")
    assert breaker.doubted("a", "500")
    assert not breaker.doubted("a", "500")  # nothing else succeeded since
    breaker.succeeded("a")
    breaker.succeeded("b")
    assert not breaker.doubted("a", "500")


def test_a_peer_that_is_reached_is_reached_by_all_its_services(breaker: Breaker) -> None:
    storing = breaker.for_service()
    storing.failed("it cannot be reached")
    breaker.succeeded()
    assert storing.pause_left() == 0
    for image in "abc":
        storing.doubted(image, "507")  # it takes nothing, but can be asked
    breaker.succeeded()
    assert storing.pause_left() > 0


class Sending:
    """Images whose results wait to be sent, and the thread that sends them."""

    def __init__(self, folder: Path, target: str, images: int) -> None:
        self.queue = ImageQueue(folder, working=True, attempts=3, first_pause=0.02)
        archive = archive_of(parse_target(target, Tls()), "MAMMOSCOPE", None)
        for number in range(images):
            one = film(number)
            self.queue.admit(film_uid(number), one.SOPClassUID, encoded(one))
            image = self.queue.image(film_uid(number))
            assert image is not None
            self.queue.place(image).result("sr").write_bytes(encoded(one))
            self.queue.analysed(image, [])
        self.dead: list[Image] = []
        breaker = Breaker("the PACS", 0.05, 0.4)
        self._threads = TransitionThreads(
            self.queue,
            {ImageState.ANALYSED: Transition(Sender(archive, self.queue), breaker)},
            0.02,
            lambda image, _: self.dead.append(image),
        )
        self._archive = archive

    def __enter__(self) -> Sending:
        self._threads.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._threads.stop(self._archive.interrupt)
        self.queue.close()

    def wait(self, sent: int, dead: int = 0, seconds: float = 20) -> float:
        """Seconds until so many are sent."""
        begun = time.monotonic()
        while (counts := self.queue.counts())[ImageState.SENT] < sent or counts[ImageState.DEAD] < dead:
            assert time.monotonic() < begun + seconds, counts
            time.sleep(0.01)
        return time.monotonic() - begun


def to_one(uid: str, answer: Misbehaviour) -> Misbehaviour:
    """Misbehave where one instance is stored, and store the others."""

    def do(handler: object) -> None:
        assert hasattr(handler, "body")
        answer(handler) if uid.encode() in handler.body else handler._post()  # type: ignore[arg-type, attr-defined]

    return do


FAULTS: list[tuple[str, Misbehaviour]] = [
    ("500", says(500)),
    ("507", says(507)),
    ("503", says(503)),
    ("a reset", resets),
    ("nonsense", says(200, b"[[[")),
    ("a full disk", says(409, b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [42752]}}]}}')),
]


@pytest.mark.parametrize("answer", [row[1] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_of_the_pacs_makes_no_dead_letter_and_what_waits_is_sent_once_it_heals(
    answer: Misbehaviour, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with WebPeer() as peer:
        peer.misbehave["POST"] = answer
        with Sending(tmp_path / "data", peer.url, 5) as sending:
            time.sleep(1.2)
            assert not sending.dead and len(peer.asked) > 5
            peer.misbehave.clear()
            assert sending.wait(5) < 10  # a pause of 0.4 s at most; the rest is for a slow machine
    assert caplog.text.count("retried without limit") == 1
    assert len(peer.stored) == 5


@pytest.mark.parametrize("answer", [says(500), says(503), resets], ids=["500", "503", "a reset"])
def test_a_fault_of_one_image_is_one_images(answer: Misbehaviour, tmp_path: Path) -> None:
    with WebPeer() as peer:
        peer.misbehave["POST"] = to_one(film_uid(1), answer)
        with Sending(tmp_path / "data", peer.url, 8) as sending:
            sending.wait(7)
            assert sorted(peer.stored) == [film_uid(number) for number in range(8) if number != 1]
            assert not sending.dead  # nobody can say yet whose fault it is
            peer.misbehave.clear()
            sending.wait(8)


def test_an_image_that_fails_while_others_succeed_is_given_up(tmp_path: Path) -> None:
    with WebPeer() as peer:
        peer.misbehave["POST"] = to_one(film_uid(0), says(500))
        with Sending(tmp_path / "data", peer.url, 1) as sending:
            for number in range(1, 40):
                one = film(number)
                sending.queue.admit(film_uid(number), one.SOPClassUID, encoded(one))
                image = sending.queue.image(film_uid(number))
                assert image is not None
                sending.queue.place(image).result("sr").write_bytes(encoded(one))
                sending.queue.analysed(image, [])
                sending.wait(number)
                if sending.dead:
                    break
            assert [image.sop_instance for image in sending.dead] == [film_uid(0)]


@pytest.mark.parametrize("status", [0xA700, 0x0110, "abort"])
def test_a_dicom_application_that_fails_and_heals(status: int | str, tmp_path: Path) -> None:
    with ArchivePeer((FILM.SOPClassUID,)) as peer:
        peer.status = status  # type: ignore[assignment]
        with Sending(tmp_path / "data", peer.node, 4) as sending:
            time.sleep(1.5)
            assert not sending.dead and peer.asked > 3
            peer.status = 0x0000
            assert sending.wait(4) < 10
    assert len(set(peer.stored)) == 4


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda content: content[: len(content) // 2], "cut off"),
        (lambda content: encoded(film(7)), "another image"),
        (lambda content: b"\0" * 1000, "no file"),
    ],
    ids=["cut off", "another image", "no file"],
)
def test_what_arrives_damaged_is_fetched_again(spoil: Callable[[bytes], bytes], problem: str, tmp_path: Path) -> None:
    with WebPeer() as peer:
        kept = peer.add(encoded(FILM))
        peer.misbehave["/instances/"] = lambda handler: handler.give(spoil(kept.content), closed=problem != "cut off")
        queue = ImageQueue(tmp_path / "data", working=True, attempts=3, first_pause=0.01)
        queue.find(kept.sop_instance, kept.sop_class, kept.study, kept.series)
        fetcher = Fetcher(DicomWeb(WebServer(peer.url)), queue, 0.0)
        breaker = Breaker("the PACS", 0.01, 0.1)
        threads = TransitionThreads(queue, {ImageState.FOUND: Transition(fetcher, breaker)}, 0.01, lambda *_: None)
        threads.start()
        while len(peer.asked) < 4:
            time.sleep(0.01)
        assert queue.counts()[ImageState.FOUND] == 1 and not list((queue.folder / "files").glob("*/*"))
        peer.misbehave.clear()
        while not queue.counts()[ImageState.RECEIVED]:
            time.sleep(0.01)
        threads.stop(fetcher.interrupt)
        (image,) = queue.images(ImageState.RECEIVED)
        assert queue.place(image).image.read_bytes() == kept.content
        queue.close()


def test_what_cannot_be_analysed_is_fetched_again_until_it_is_the_same(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, attempts=5, first_pause=0.0)
    queue.find("1.2.1", "1.2", "1.3", "1.4")

    def due(state: ImageState) -> Image:
        image = queue.next(state)
        assert image is not None, queue.counts()
        return image

    assert queue.fetched(due(ImageState.FOUND), [b"garb", b"led"])
    assert not queue.fetch_again(due(ImageState.RECEIVED), "its pixel data is too short")
    assert queue.fetched(due(ImageState.FOUND), [b"garbled otherwise"])
    assert not queue.fetch_again(due(ImageState.RECEIVED), "its pixel data is too short")
    found = due(ImageState.FOUND)
    assert not queue.fetched(found, [b"garbled otherwise"])  # the archive has it like that
    queue.fail(found, "its pixel data is too short", final=True)
    assert queue.revive() == 1
    assert queue.fetched(due(ImageState.FOUND), [b"garbled otherwise"])  # a retry by hand analyses it anew
    for _ in range(4):
        queue.fail(due(ImageState.RECEIVED), "the analysis process ended on it")
    queue.fail(due(ImageState.RECEIVED), "the analysis process ended on it", final=True)
    assert queue.revive() == 1 and queue.counts()[ImageState.FOUND] == 1  # and fetches
    queue.close()
