"""Put the parts together and run until stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from threading import Event, Thread

from mammoscope.audit import AuditTrail
from mammoscope.bundle import load_bundle
from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.analyser import Analyser
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.commitment import Commitments
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.committed_archive import CommittedArchive
from mammoscope.pacs.earlier_reports import EarlierReports
from mammoscope.pacs.exam_reports import ExamReports
from mammoscope.pacs.image_archive import ImageArchive
from mammoscope.pacs.image_files import LEAST_RESERVE
from mammoscope.pacs.image_place import REPORT, SELECTION
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.metrics import CHECK_SECONDS, Chain, PacsMetrics, readiness
from mammoscope.pacs.monitor import Monitor
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.sender import Archive, Sender, archive_of
from mammoscope.pacs.settings import Listening, Node, QueueSettings, Retention, Target
from mammoscope.pacs.transitions import Transition, TransitionThreads
from mammoscope.pacs.watch import Fetcher, Watch
from mammoscope.pacs.whole_exams import WholeExams
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.found import Source
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer
from mammoscope.queue.metrics import disk_problem, exposition, registry_of
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

Started = Callable[[str], object]

_STOP_SECONDS, _TIDY_SECONDS = 5.0, 3600.0


def watch(
    archive: ImageArchive,
    settings: QueueSettings,
    *,
    every: float,
    sweep_every: float,
    modalities: tuple[str, ...],
    since: date | None,
    started: Started | None = None,
) -> None:
    """Analyse what is new in an archive and store the results there, until SIGINT, SIGTERM or SIGHUP.

    Parameters
    ----------
    archive, settings
        What to watch, and what to do with what is there.
    every, sweep_every
        Seconds between two queries for recent studies, and between two for all studies.
    modalities, since
        As ``Watch`` takes them.
    started
        Called with a line that says what runs.

    Raises
    ------
    MammoscopeError
        The bundle, the folder, an address to listen on or a TLS file cannot be used.
    """
    with _until_told() as ended, _queue_of(settings) as (queue, stack):
        queue.memory.take_up_set_aside()
        searching = Breaker(archive, settings.first_pause)
        user = _commitment_user(archive.target, archive.title, archive.tls, settings)
        fetched_from, source, asked, swept, reported_in = stack.enter_context(archive.sources(5, user))
        stored_in = _committed(source, user, settings)
        transitions = {
            ImageState.FOUND: Transition(Fetcher(fetched_from, queue, settings.hold), searching.for_service()),
            ImageState.ANALYSED: Transition(sender := Sender(stored_in, queue), searching.for_service(), sender.check),
        }
        chain = Chain({"search": searching}, {"search": 3 * every})
        earlier = EarlierReports(reported_in, queue.memory, settings.first_pause)
        monitored = _start(stack, queue, settings, transitions, chain, earlier, fetched_from, stored_in)
        make = partial(Watch, queue=queue, modalities=modalities, since=since, stopping=ended)
        looking = make(asked, breaker=searching, first_pause=settings.first_pause)
        sweeping = make(swept, breaker=searching.for_service(), first_pause=settings.first_pause)
        threads = [
            Thread(target=_repeat, args=(work, seconds, breaker, ended), name=name, daemon=True)
            for name, work, seconds, breaker in (
                ("look", looking.look, every, looking.breaker),
                ("sweep", sweeping.sweep, sweep_every, sweeping.breaker),
            )
        ]
        for thread in threads:
            thread.start()
        stack.callback(_end, threads, asked, swept)
        moved = (
            f", which sends images to {archive.destination.title}" if archive.destination and archive.by_move else ""
        )
        if started is not None:
            started(f"watching {archive} every {every:g} s{moved}{monitored}")
        ended.wait()


def _repeat(work: Callable[[], int], every: float, breaker: Breaker, ended: Event) -> None:
    """Look for new images again and again, whatever happens."""
    while not ended.is_set():
        try:
            if new := work():
                logger.info("%d new images", new)
        except MammoscopeError as error:
            if not ended.is_set():
                breaker.failed(error)
        except Exception as error:
            breaker.failed(f"new images cannot be looked for ({place_of(error)})")
        ended.wait(max(every, breaker.pause_left()))


def _end(threads: Sequence[Thread], *servers: Source) -> None:
    for server in servers:
        server.interrupt()
    for thread in threads:
        thread.join(_STOP_SECONDS)


def receive(
    listening: Listening,
    target: Target,
    settings: QueueSettings,
    *,
    calling_tls: Tls | None,
    report_to: tuple[Node, ...],
    started: Started | None = None,
) -> None:
    """Receive images by C-STORE, analyse them and send the results, until SIGINT, SIGTERM or SIGHUP.

    Parameters
    ----------
    listening, target, settings
        Where images come from, where results go, and what is done between.
    calling_tls
        For calls to DICOM applications; None: unencrypted.
    report_to
        Application that gets reports of storage commitment on a separate association; offered with ``settings.keep``.
    started
        Called with a line that says what runs.

    Raises
    ------
    MammoscopeError
        The bundle, the folder, the address or a TLS file cannot be used.
    """
    with _until_told() as ended, _queue_of(settings) as (queue, stack):
        commitments = None
        if settings.keep:
            nodes = (*report_to, target) if isinstance(target, Node) else report_to
            tls = None if calling_tls is None else calling_tls.for_calling()
            commitments = Commitments(queue, listening.title, nodes, tls)
        user = _commitment_user(target, listening.title, calling_tls, settings)
        archive = _committed(archive_of(target, listening.title, calling_tls), user, settings)
        receiver = Receiver(listening, queue, settings.hold, commitments, user)
        sender = Sender(archive, queue)
        sending = Transition(sender, Breaker(target, settings.first_pause), sender.check)
        chain = Chain(checks={"listener": receiver.check})
        earlier = None
        if isinstance(target, WebServer):
            earlier = EarlierReports(DicomWeb(target), queue.memory, settings.first_pause)
        monitored = _start(stack, queue, settings, {ImageState.ANALYSED: sending}, chain, earlier, archive)
        Thread(target=receiver.serve, name="receiver", daemon=True).start()
        stack.callback(receiver.stop)
        if started is not None:
            started(
                f"listening as {listening.title} on {listening.host}:{receiver.port}, results go to {target}{monitored}"
            )
        ended.wait()


def _commitment_user(target: Target, title: str, tls: Tls | None, settings: QueueSettings) -> CommitmentUser | None:
    if settings.commit_within is None:
        return None
    if not isinstance(target, Node):
        raise MammoscopeError("--commit is for TITLE@host:port, not for the URL of a DICOMweb server")
    return CommitmentUser(target, title, None if tls is None else tls.for_calling())


def _committed(archive: Archive, user: CommitmentUser | None, settings: QueueSettings) -> Archive:
    if user is None or settings.commit_within is None:
        return archive
    return CommittedArchive(archive, user, settings.commit_within)


@contextmanager
def _queue_of(settings: QueueSettings) -> Iterator[tuple[ImageQueue, ExitStack]]:
    with ExitStack() as stack:
        queue = ImageQueue(
            settings.data,
            working=True,
            attempts=settings.attempts,
            first_pause=settings.first_pause,
            keep=settings.keep,
            reserve=settings.reserve,
        )
        stack.callback(queue.close)
        yield queue, stack


def _start(
    stack: ExitStack,
    queue: ImageQueue,
    settings: QueueSettings,
    others: dict[ImageState, Transition],
    chain: Chain,
    earlier: EarlierReports | None,
    *peers: Archive,
) -> str:
    bundle = load_bundle(settings.bundle)
    trail = None if settings.audit is None else AuditTrail(settings.audit, "pacs", bundle, settings.threshold)

    exams = ExamReports(settings.data) if settings.keep else None

    def finished(image: Image, outcome: str, exam_key: str | None) -> None:
        if trail is not None:
            trail.record(read_analysis(queue.place(image).analysis))
        if exams is not None:
            exams.add(image.key, exam_key)
        logger.info("%s: analysed, %s", image.key, outcome)

    def given_up(image: Image, would_fail_again: bool) -> None:
        was_fetched = image.state is ImageState.FOUND and image.digest is not None
        if trail is not None and (was_fetched or image.state is ImageState.RECEIVED):
            trail.record_failure(queue.place(image).image, "refused" if would_fail_again else "failed")

    of_exams = [kind for kind, asked in ((REPORT, settings.exam_report), (SELECTION, settings.key_objects)) if asked]
    whole = WholeExams(queue, settings.exam_wait) if bundle.sees_exams or settings.exam_report else None
    if whole is not None:
        logger.info("exams are analysed whole, %g s after their last image came", settings.exam_wait)
    analyser = Analyser(
        queue,
        bundle.folder,
        settings.threshold,
        settings.kinds,
        whole,
        finished,
        of_exams=of_exams,
        earlier=earlier,
    )
    analysing = Transition(analyser, Breaker("the analysis process", settings.first_pause), analyser.check)
    transitions = {**others, ImageState.RECEIVED: analysing}
    chain = chain.with_transitions(transitions).with_check(
        "disk", partial(disk_problem, settings.data, max(settings.reserve, LEAST_RESERVE), "image")
    )
    metrics = PacsMetrics(queue, chain.links)
    running = TransitionThreads(
        queue,
        transitions,
        settings.first_pause,
        given_up,
        timed=metrics.timed,
        check_after=None if settings.monitor is None else CHECK_SECONDS,
    )
    running.start()
    asked = () if earlier is None else (earlier,)
    stack.callback(running.stop, analyser.stop, *(peer.interrupt for peer in (*peers, *asked)))
    if settings.retention != Retention():
        _tidy_up(stack, queue, settings.retention)
    if settings.monitor is None:
        return ""
    monitor = Monitor(
        settings.monitor, partial(exposition, registry_of(bundle, metrics)), partial(readiness, queue, chain)
    )
    stack.callback(monitor.stop)
    return f", /metrics and /ready on http://{monitor.address}"


def _tidy_up(stack: ExitStack, queue: ImageQueue, retention: Retention) -> None:
    """Remove what is too old, now and every hour."""
    ended = Event()

    def run() -> None:
        while not ended.is_set():
            try:
                if removed := queue.ages.apply(retention):
                    logger.info("%d images were done for so long that their files or rows were removed", removed)
            except (MammoscopeError, OSError) as error:
                logger.warning("what is too old cannot be removed now (%s)", place_of(error))
            ended.wait(_TIDY_SECONDS)

    thread = Thread(target=run, name="retention", daemon=True)
    thread.start()
    stack.callback(thread.join, _STOP_SECONDS)
    stack.callback(ended.set)


@contextmanager
def _until_told() -> Iterator[Event]:
    """An event that is set by a signal to stop; a closed terminal counts as one."""
    ended = Event()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in numbers}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
