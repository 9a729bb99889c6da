"""What a service measures, in the text format of Prometheus. No value and no label names a patient or an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Info, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mammoscope import __version__
from mammoscope.bundle import Bundle

CONTENT_TYPE = CONTENT_TYPE_LATEST


def registry_of(bundle: Bundle, *collectors: Collector) -> CollectorRegistry:
    """What these measure, with the process's memory and time, and the versions of software and models."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("mammoscope", "Software and models.", registry=registry).info(
        {"version": __version__, "bundle": bundle.identity.name, "bundle_version": bundle.identity.version}
    )
    for collector in collectors:
        registry.register(collector)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes."""
    return generate_latest(registry)


def gauge(name: str, what: str, value: float | None) -> Iterator[Metric]:
    """One value; nothing where it is not known."""
    if value is not None:
        yield GaugeMetricFamily(f"mammoscope_{name}", what, value=value)


@dataclass(frozen=True)
class Readiness:
    """Whether a service can do its work now, by link of its chain.

    Attributes
    ----------
    problems
        What is wrong with each link; None: it has just been seen to work.
    """

    problems: Mapping[str, str | None]

    @property
    def is_ready(self) -> bool:
        """Whether every link works."""
        return not any(self.problems.values())

    def to_json(self) -> dict[str, object]:
        """As ``/ready`` answers it."""
        return {"ready": self.is_ready, "links": {name: problem or "ok" for name, problem in self.problems.items()}}
