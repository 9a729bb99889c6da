"""What ``watch`` and ``receive`` measure, and whether each link of their chain has just been seen to work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.transitions import Transition
from mammoscope.queue.metrics import Readiness, free_bytes, gauge

CHECK_SECONDS = 30.0  # after so long without traffic, an idle link is checked
_PROOF_SECONDS = 4 * CHECK_SECONDS
_READY_NOTE = "seen ready"

_LINKS = {ImageState.RECEIVED: "analysis", ImageState.ANALYSED: "store"}

Check = Callable[[], str | None]


@dataclass(frozen=True)
class Chain:
    """The links of a service.

    Attributes
    ----------
    links
        By name, the breaker of each service that is needed: its last success must be recent.
    longest_idle
        For links that are used more seldom than they would be checked, the seconds.
    checks
        Further links, by what sees whether they work now.
    """

    links: Mapping[str, Breaker] = field(default_factory=dict)
    longest_idle: Mapping[str, float] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)

    def with_transitions(self, transitions: Mapping[ImageState, Transition]) -> Chain:
        """With those whose peers are checked where they are idle."""
        more = {_LINKS[state]: one.breaker for state, one in transitions.items() if one.check is not None}
        return replace(self, links={**self.links, **more})

    def with_check(self, name: str, check: Check) -> Chain:
        """With one further link."""
        return replace(self, checks={**self.checks, name: check})


class PacsMetrics(Collector):
    """Measures a queue and the links of its chain.

    Parameters
    ----------
    queue
        The queue.
    links
        By name, the breaker of each service that is needed.
    """

    def __init__(self, queue: ImageQueue, links: Mapping[str, Breaker]) -> None:
        self._queue, self._links = queue, links
        self._steps: dict[str, tuple[int, float]] = {}
        self._lock = Lock()

    def timed(self, state: ImageState, seconds: float) -> None:
        """Note that an image was moved on from a state."""
        with self._lock:
            count, total = self._steps.get(state, (0, 0.0))
            self._steps[state] = (count + 1, total + seconds)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        images = _images()
        try:
            for state, count in self._queue.counts().items():
                images.add_metric([state], count)
            oldest, aside = self._queue.ages.oldest_waiting(), self._queue.memory.studies_set_aside()
        except MammoscopeError:  # locked or damaged: what is not known is left out, and /ready says so
            images, oldest, aside = _images(), None, None
        yield images
        if aside is not None:
            yield from gauge("oldest_waiting_seconds", "Since the oldest that waits came; 0: none.", oldest or 0.0)
        yield from gauge("studies_set_aside", "Studies on which the watched server fails.", aside)
        yield from gauge("disk_free_bytes", "Of the queue's disk.", free_bytes(self._queue.folder))
        steps = SummaryMetricFamily("mammoscope_step_seconds", "Of images moved on from a state.", labels=["state"])
        with self._lock:
            for step, (count, total) in self._steps.items():
                steps.add_metric([step], count_value=count, sum_value=total)
        yield steps
        yield from self._of_links()

    def _of_links(self) -> Iterator[Metric]:
        successes = CounterMetricFamily("mammoscope_link_successes", "Calls that did well.", labels=["link"])
        failures = CounterMetricFamily("mammoscope_link_failures", "Calls that failed.", labels=["link"])
        since = GaugeMetricFamily("mammoscope_link_idle_seconds", "Since the last success.", labels=["link"])
        paused = GaugeMetricFamily("mammoscope_link_paused", "1 while it is not asked.", labels=["link"])
        for name, breaker in self._links.items():
            traffic = breaker.traffic
            successes.add_metric([name], traffic.successes)
            failures.add_metric([name], traffic.failures)
            if traffic.since_success is not None:
                since.add_metric([name], traffic.since_success)
            paused.add_metric([name], traffic.is_paused)
        yield from (successes, failures, since, paused)


def readiness(queue: ImageQueue, chain: Chain) -> Readiness:
    """Whether each link has just been seen to work; the queue is written to."""
    problems = {name: _idle_problem(one, chain.longest_idle.get(name, 0.0)) for name, one in chain.links.items()}
    problems |= {name: check() for name, check in chain.checks.items()}
    return Readiness({**problems, "queue": _queue_problem(queue)})


def _idle_problem(breaker: Breaker, longest: float) -> str | None:
    traffic = breaker.traffic
    if traffic.is_paused:
        return "fails, and is retried"
    if traffic.since_success is None:
        return "has not answered yet"
    if traffic.since_success > max(longest, _PROOF_SECONDS):
        return f"has not answered for {traffic.since_success:.0f} s"
    return None


def _queue_problem(queue: ImageQueue) -> str | None:
    try:
        queue.memory.write_note(_READY_NOTE, "1")
    except MammoscopeError:
        return "cannot be written"
    return None


def _images() -> GaugeMetricFamily:
    return GaugeMetricFamily("mammoscope_images", "Images by state.", labels=["state"])
