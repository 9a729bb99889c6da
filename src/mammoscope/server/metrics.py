"""What the server measures, and whether it has just been seen to work."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from mammoscope.errors import MammoscopeError
from mammoscope.queue.metrics import Readiness, disk_problem, free_bytes, gauge
from mammoscope.server.analysis_thread import AnalysisThread
from mammoscope.server.store_figures import StoreFigures

_ANSWER_SECONDS = 10.0


class ServerMetrics(Collector):
    """Measures a server.

    Parameters
    ----------
    figures
        Of its store.
    thread
        What analyses.
    folder
        Holds its files.
    reserve
        Bytes of the disk that it keeps free.
    """

    def __init__(self, figures: StoreFigures, thread: AnalysisThread, folder: Path, reserve: int) -> None:
        self._figures, self._thread, self._folder, self._reserve = figures, thread, folder, reserve
        self._answers: Counter[str] = Counter()
        self._lock = Lock()

    def answered(self, status: int) -> None:
        """Note an answer to a request."""
        with self._lock:
            self._answers[f"{status // 100}xx"] += 1

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        files = GaugeMetricFamily("mammoscope_files", "Files that the server holds, by state.", labels=["state"])
        for state, count in self._figures.counts().items():
            files.add_metric([state], count)
        yield files
        oldest = self._figures.oldest_waiting() or 0.0
        yield from gauge("oldest_waiting_seconds", "Since the upload of the oldest that waits; 0: none does.", oldest)
        yield from gauge("disk_free_bytes", "Of the server's disk.", free_bytes(self._folder))
        done = self._thread.done
        yield SummaryMetricFamily(
            "mammoscope_analysis_seconds",
            "Of files analysed.",
            count_value=done.count,
            sum_value=done.seconds,
        )
        yield CounterMetricFamily("mammoscope_files_failed", "Files that could not be analysed.", value=done.failures)
        answers = CounterMetricFamily("mammoscope_http_answers", "Answers to requests.", labels=["status"])
        with self._lock:
            for status, number in self._answers.items():
                answers.add_metric([status], number)
        yield answers

    def readiness(self) -> Readiness:
        """Whether the models answer, the states can be read, and the disk has room."""
        return Readiness(
            {
                "analysis": None if self._thread.check(_ANSWER_SECONDS) else "the analysis process does not answer",
                "store": self._store_problem(),
                "disk": disk_problem(self._folder, self._reserve, "upload"),
            }
        )

    def _store_problem(self) -> str | None:
        try:
            self._figures.counts()
        except (MammoscopeError, sqlite3.Error):
            return "cannot be read"
        return None
