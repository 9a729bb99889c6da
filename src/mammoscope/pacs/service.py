"""Put the parts together and run until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event, Thread

from mammoscope.audit import AuditTrail
from mammoscope.bundle import load_bundle
from mammoscope.pacs.commitment import Commitments
from mammoscope.pacs.dicomweb import DicomWeb
from mammoscope.pacs.image_queue import Image, State, Store
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.retries import FailedError, UnavailableError, pause
from mammoscope.pacs.sender import Sender, archive_of
from mammoscope.pacs.settings import Listening, Node, Target, Tls, WebServer
from mammoscope.pacs.transitions import Analyser, Step, Steps
from mammoscope.pacs.watch import Fetcher, Watch
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

Started = Callable[[str], object]


@dataclass(frozen=True)
class Work:
    """How images are analysed and results sent, wherever the images come from.

    Attributes
    ----------
    data
        Folder of the queue.
    kinds
        Which results are made, of ``writers.dicom_results.ResultKind``.
    bundle
        Folder of the model bundle; None: the one that comes along.
    threshold
        Detection score from which regions are reported; None: the bundle's.
    attempts, first_pause
        After how many failures an image is given up, and seconds until the second attempt.
    hold
        Seconds that an image For Processing waits for the same exposure For Presentation.
    keep
        Leave the files of images that are done.
    reserve
        Bytes of the disk that images leave free.
    audit
        Folder of the audit trail; None: there is none.
    """

    data: Path
    kinds: tuple[str, ...] = ("sr", "seg")
    bundle: Path | None = None
    threshold: float | None = None
    attempts: int = 8
    first_pause: float = 5.0
    hold: float = 120.0
    keep: bool = False
    reserve: int = 1 << 29
    audit: Path | None = None


def watch(
    server: WebServer,
    work: Work,
    *,
    every: float,
    modalities: tuple[str, ...],
    since: date | None,
    started: Started | None = None,
) -> None:
    """Analyse what is new on a DICOMweb server and store the results there, until SIGINT, SIGTERM or SIGHUP.

    Parameters
    ----------
    server, work
        What to watch, and what to do with what is there.
    every
        Seconds between two looks.
    modalities, since
        As ``Watch`` takes them.
    started
        Is given a line that says what runs.

    Raises
    ------
    MammoscopeError
        The bundle or the folder cannot be used.
    """
    with _until_told() as ended, _working(work) as (store, stack):
        fetcher = Fetcher(DicomWeb(server), store, work.hold)
        _start(stack, store, work, {State.FOUND: fetcher, State.ANALYSED: Sender(DicomWeb(server), store)})
        looker, away = Watch(DicomWeb(server), store, modalities, since), 0
        if started is not None:
            started(f"watching {server} every {every:g} s")
        while not ended.is_set():
            try:
                if new := looker.look():
                    logger.info("%d new images", new)
                away = 0
            except (UnavailableError, FailedError) as error:
                away += 1
                if away == 1:
                    logger.warning("%s; it is tried again and again", error)
            ended.wait(max(every, pause(away, work.first_pause)) if away else every)


def receive(
    listening: Listening,
    target: Target,
    work: Work,
    *,
    calling_tls: Tls | None,
    report_to: tuple[Node, ...],
    started: Started | None = None,
) -> None:
    """Take in images by C-STORE, analyse them and send the results on, until SIGINT, SIGTERM or SIGHUP.

    Parameters
    ----------
    listening, target, work
        Where images come from, where results go, and what is done between.
    calling_tls
        For calls to DICOM applications; None: in the clear.
    report_to
        Who gets reports of storage commitment on an association of its own. They are offered where ``work.keep``.
    started
        Is given a line that says what runs.

    Raises
    ------
    MammoscopeError
        The bundle, the folder, the address or a TLS file cannot be used.
    """
    with _until_told() as ended, _working(work) as (store, stack):
        commitments = None
        if work.keep:
            nodes = (*report_to, target) if isinstance(target, Node) else report_to
            tls = None if calling_tls is None else calling_tls.for_calling()
            commitments = Commitments(store, listening.title, nodes, tls)
        archive = archive_of(target, listening.title, calling_tls)
        receiver = Receiver(listening, store, work.hold, commitments)
        _start(stack, store, work, {State.ANALYSED: Sender(archive, store)})
        Thread(target=receiver.serve, name="receiver", daemon=True).start()
        stack.callback(receiver.stop)
        if started is not None:
            started(f"listening as {listening.title} on {listening.host}:{receiver.port}, results go to {target}")
        ended.wait()


@contextmanager
def _working(work: Work) -> Iterator[tuple[Store, ExitStack]]:
    with ExitStack() as stack:
        store = Store(
            work.data,
            working=True,
            attempts=work.attempts,
            first_pause=work.first_pause,
            keep=work.keep,
            reserve=work.reserve,
        )
        stack.callback(store.close)
        yield store, stack


def _start(stack: ExitStack, store: Store, work: Work, steps: dict[State, Step]) -> None:
    bundle = load_bundle(work.bundle)
    trail = None if work.audit is None else AuditTrail(work.audit, "pacs", bundle, work.threshold)

    def finished(image: Image, outcome: str) -> None:
        if trail is not None:
            trail.record(read_analysis(store.place(image).analysis))
        logger.info("%s: analysed, %s", image.key, outcome)

    def given_up(image: Image, would_fail_again: bool) -> None:
        if trail is not None and image.state is State.RECEIVED:
            trail.record_failure(store.place(image).image, "refused" if would_fail_again else "failed")

    analyser = Analyser(store, bundle.folder, work.threshold, work.kinds, finished)
    running = Steps(store, {**steps, State.RECEIVED: analyser}, work.first_pause, given_up)
    running.start()
    stack.callback(running.stop, analyser.stop)


@contextmanager
def _until_told() -> Iterator[Event]:
    """An event that a signal to end sets; a closed terminal counts as one."""
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
