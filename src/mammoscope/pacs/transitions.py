"""Process the queue: each transition in a separate thread, one image at a time, retried as long as it makes sense."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.retries import NotYetError
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError

logger = logging.getLogger(__name__)

GivenUp = Callable[[Image, bool], None]
Timed = Callable[[ImageState, float], None]

_POLL_SECONDS = 1.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Transition:
    """What is to be done with the images of a state.

    Attributes
    ----------
    do
        Moves one image on, or raises ``FailedError`` (the image's fault: retried, a dead letter after some attempts),
        ``UnavailableError`` (the peer's: retried without limit), ``UncertainError``, which the breaker judges, or
        ``NotYetError`` (nobody's: asked again later).
    breaker
        Of the peer that it needs.
    check
        Sees whether the peer answers, where no image does; None: nothing needs to.
    """

    do: Callable[[Image], None]
    breaker: Breaker
    check: Callable[[], None] | None = None


class TransitionThreads:
    """Threads that take images from one state to the next.

    Parameters
    ----------
    queue
        The queue.
    transitions
        For a state, what is to be done with an image in it.
    first_pause
        Seconds that a transition pauses when the other side is away for the first time.
    given_up
        Called for each image that becomes a dead letter, in its last state, and whether it would always fail again.
    timed
        Called with the state of each image that was moved on, and the seconds that it took.
    check_after
        Seconds without a success after which an idle transition checks its peer; None: never.
    """

    def __init__(
        self,
        queue: ImageQueue,
        transitions: Mapping[ImageState, Transition],
        first_pause: float,
        given_up: GivenUp,
        *,
        timed: Timed = lambda state, seconds: None,
        check_after: float | None = None,
    ) -> None:
        self._queue, self._first_pause, self._given_up = queue, first_pause, given_up
        self._note_time, self._check_after = timed, check_after
        self._stopping = Event()
        self._threads = [
            Thread(target=self._run, args=(state, transition), name=f"{state} images", daemon=True)
            for state, transition in transitions.items()
        ]

    def start(self) -> None:
        """Start the threads and return."""
        for thread in self._threads:
            thread.start()

    def stop(self, *interrupts: Callable[[], None]) -> None:
        """Start nothing more, abort what ``interrupts`` end, and wait a little for the rest."""
        self._stopping.set()
        self._queue.wake()
        for interrupt in interrupts:
            interrupt()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, state: ImageState, transition: Transition) -> None:
        disk = Breaker(f"the queue in {self._queue.folder}", self._first_pause)
        while not self._stopping.is_set():
            if (left := max(disk.pause_left(), transition.breaker.pause_left())) > 0:
                transition.breaker.wait(min(left, _POLL_SECONDS))
                continue
            try:
                if (image := self._queue.next(state)) is None:
                    self._check(state, transition)
                    self._queue.wait(_POLL_SECONDS)
                    continue
                self._do(image, transition)
                disk.succeeded()
            except OSError as error:
                disk.failed(f"a file of the queue cannot be written ({error.strerror or type(error).__name__})")
            except MammoscopeError as error:  # the database: locked, damaged, or its disk is full
                disk.failed(error)
            except Exception as error:
                disk.failed(f"the queue cannot be used ({place_of(error)})")

    def _check(self, state: ImageState, transition: Transition) -> None:
        """Where nothing is to be done, see whether it could be."""
        if transition.check is None or self._check_after is None:
            return
        since = transition.breaker.traffic.since_success
        if since is not None and since < self._check_after:
            return
        try:
            transition.check()
        except (UnavailableError, UncertainError, FailedError) as error:
            if not self._stopping.is_set():
                transition.breaker.failed(error)
        else:
            if transition.breaker.succeeded():
                self._queue.hasten(state)

    def _do(self, image: Image, transition: Transition) -> None:
        try:
            self._timed(image, transition.do)
        except NotYetError as reason:
            self._queue.postpone(image, reason.seconds, str(reason))
        except (UnavailableError, UncertainError) as error:
            self._blame_peer(image, transition.breaker, error)
        except FailedError as error:
            self._fail(image, str(error), final=error.final)
        except OSError:
            self._queue.postpone(image, self._first_pause, "a file cannot be written")
            raise
        except MammoscopeError:
            raise
        except Exception as error:
            logger.error("%s: %s", image.key, place_of(error))
            self._fail(image, f"the step after '{image.state}' failed ({type(error).__name__})")
        else:
            if transition.breaker.succeeded(image.key):
                self._queue.hasten(image.state)

    def _blame_peer(self, image: Image, breaker: Breaker, error: UnavailableError | UncertainError) -> None:
        """It is asked again later, after the other images; unless it turns out to fail on this image alone."""
        is_doubt, stopping = isinstance(error, UncertainError), self._stopping.is_set()
        if is_doubt and stopping:
            return
        if is_doubt and breaker.doubted(image.key, error):
            self._fail(image, str(error))
            return
        self._queue.postpone(image, self._first_pause, str(error))
        if not is_doubt and not stopping:
            breaker.failed(error)

    def _timed(self, image: Image, do: Callable[[Image], None]) -> None:
        begun = time.monotonic()
        do(image)
        self._note_time(image.state, time.monotonic() - begun)

    def _fail(self, image: Image, problem: str, *, final: bool = False) -> None:
        if self._stopping.is_set():  # a job aborted by the stop does not count as a failure
            return
        is_last = self._queue.fail(image, problem, final=final)
        logger.warning("%s: %s; %s", image.key, problem, "given up" if is_last else "it is tried again")
        if is_last:
            self._given_up(image, final)
