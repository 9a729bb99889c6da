"""Work the queue off: each step in a thread of its own, one image at a time, tried again as long as it makes sense."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.image_queue import Image, State, Store
from mammoscope.pacs.retries import FailedError, UnavailableError, pause
from mammoscope.queue.background import BackgroundProcess, Message
from mammoscope.readers.limits import DEFAULT_LIMITS

logger = logging.getLogger(__name__)

Step = Callable[[Image], None]
Finished = Callable[[Image, str], None]
GivenUp = Callable[[Image, bool], None]

_POLL_SECONDS = 1.0
_IMAGE_SECONDS = 600.0
_STOP_SECONDS = 5.0


class Steps:
    """Threads that take images from one state to the next.

    Parameters
    ----------
    store
        The queue.
    steps
        For a state, what is to be done with an image in it. It moves the image on, or raises ``FailedError`` (tried
        again, given up after some attempts) or ``UnavailableError`` (tried again for ever, more and more rarely).
    first_pause
        Seconds that a step pauses when the other side is away for the first time.
    given_up
        Is told of each image that is given up, in the state it stuck in, and whether it would fail again for sure.
    """

    def __init__(self, store: Store, steps: Mapping[State, Step], first_pause: float, given_up: GivenUp) -> None:
        self._store, self._first_pause, self._given_up = store, first_pause, given_up
        self._stopping = Event()
        self._threads = [
            Thread(target=self._run, args=(state, step), name=f"{state} images", daemon=True)
            for state, step in steps.items()
        ]

    def start(self) -> None:
        """Start the threads and return."""
        for thread in self._threads:
            thread.start()

    def stop(self, *interrupts: Callable[[], None]) -> None:
        """Start nothing more, cut off what ``interrupts`` end, and wait a little for the rest."""
        self._stopping.set()
        self._store.wake()
        for interrupt in interrupts:
            interrupt()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, state: State, step: Step) -> None:
        away = 0
        while not self._stopping.is_set():
            try:
                if (image := self._store.next(state)) is None:
                    self._store.wait(_POLL_SECONDS)
                    continue
                away = 0 if self._do(image, step, away) else away + 1
                if away:
                    self._stopping.wait(pause(away, self._first_pause))
            except Exception as error:  # the queue itself: its disk may be full
                logger.error("the queue cannot be used (%s)", place_of(error))
                self._stopping.wait(_POLL_SECONDS)

    def _do(self, image: Image, step: Step, away: int) -> bool:
        """Do one step; False where the other side is away."""
        try:
            step(image)
        except (UnavailableError, OSError) as error:
            if not away and not self._stopping.is_set():
                problem = (
                    error if isinstance(error, UnavailableError) else f"a file cannot be written ({error.strerror})"
                )
                logger.warning("%s; it is tried again and again", problem)
            self._store.postpone(image, self._first_pause)  # the others come first, and all when the pause is over
            return False
        except FailedError as error:
            self._fail(image, str(error), final=error.final)
        except Exception as error:
            logger.error("%s: %s", image.key, place_of(error))
            self._fail(image, f"the step after '{image.state}' failed ({type(error).__name__})")
        return True

    def _fail(self, image: Image, problem: str, *, final: bool = False) -> None:
        if self._stopping.is_set():  # what was cut off by the end is no failure
            return
        is_last = self._store.fail(image, problem, final=final)
        logger.warning("%s: %s; %s", image.key, problem, "given up" if is_last else "it is tried again")
        if is_last:
            self._given_up(image, final)


class Analyser:
    """The step from RECEIVED to ANALYSED, in a process that may die of any image.

    Parameters
    ----------
    store
        The queue.
    bundle
        Folder of the bundle.
    threshold
        Detection score from which regions are reported; None: the bundle's.
    kinds
        Which results are made.
    finished
        Is told of each image whose analysis is on disk, and of its outcome, before the results can leave.
    """

    def __init__(
        self, store: Store, bundle: Path, threshold: float | None, kinds: tuple[str, ...], finished: Finished
    ) -> None:
        self._store, self._finished = store, finished
        self._start = partial(
            BackgroundProcess,
            "mammoscope.pacs.analysis_process",
            bundle,
            DEFAULT_LIMITS,
            threshold=threshold,
            kinds=kinds,
        )
        self._lock = Lock()
        self._is_stopped = False
        self._process: BackgroundProcess | None = None

    def __call__(self, image: Image) -> None:
        """Analyse one image, or skip it with the reason."""
        identity = self._ask(image, "identify")
        if identity["sop_instance"] != image.sop_instance:
            raise FailedError("its SOP Instance UID is not the one that it was sent or found under", final=True)
        if (reason := self._reason_to_skip(image, identity)) is not None:
            self._store.finish(image, State.SKIPPED, reason)
            logger.info("%s: skipped, %s", image.key, reason)
            return
        if not identity["processing"]:
            self._store.add_presentations(identity["marks"])
        done = self._ask(image, "analyse")
        self._finished(image, str(done["outcome"]))
        self._store.analysed(image, done["results"])

    def stop(self) -> None:
        """Kill the process; what is under way is done again later."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()

    def _reason_to_skip(self, image: Image, identity: Message) -> str | None:
        if self._store.is_result(image.sop_instance):
            return "it is a result of mammoscope"
        if identity["processing"] and self._store.has_presentation(identity["marks"]):
            return "it is For Processing, and the same exposure has come For Presentation"
        return None

    def _ask(self, image: Image, what: str) -> Message:
        process = self._ready_process()
        folder = os.path.abspath(self._store.place(image).folder)  # noqa: PTH100
        try:
            with process.killed_after(_IMAGE_SECONDS):
                process.send({"do": what, "folder": folder, "name": image.key})
                reply = process.receive()
        except (EOFError, OSError, ValueError):
            process.kill()
            raise FailedError("the analysis process ended on it, or took too long") from None
        if "fault" in reply:
            logger.error("%s: %s", image.key, reply["fault"])
        if "problem" in reply:
            raise FailedError(str(reply["problem"]), final=bool(reply.get("final")))
        return reply

    def _ready_process(self) -> BackgroundProcess:
        with self._lock:
            if self._is_stopped:
                raise UnavailableError("the end has come")
            if self._process is None or not self._process.is_running:
                try:
                    self._process = self._start()
                except OSError as error:
                    raise UnavailableError(f"the analysis process cannot be started ({error.strerror})") from None
            process = self._process
        try:
            process.wait_until_ready()
        except MammoscopeError as error:
            raise UnavailableError(str(error)) from None
        return process
