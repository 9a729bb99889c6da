"""What a service measures, in the text format of Prometheus. No value and no label names a patient or an image."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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


def free_bytes(folder: Path) -> float | None:
    """Free on the disk of a folder; None where it cannot be asked."""
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return None


def disk_problem(folder: Path, reserve: int, refused: str) -> str | None:
    """What is wrong with a disk of which so many bytes are kept free; ``refused`` is what is then not taken."""
    free = free_bytes(folder)
    if free is None:
        return "cannot be asked"
    return None if free > reserve else f"has {free / 2**30:.2f} GB left, and no {refused} is taken"


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
