"""Run a study: do what is not done, and write the comparison of what is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.execution.backend import Crashed
from mammoscope.execution.processes import Processes
from mammoscope.studies.comparison import Comparison, compare
from mammoscope.studies.folders import datasets_of, make_splits
from mammoscope.studies.measure import Measure
from mammoscope.studies.page.write import write_page
from mammoscope.studies.plan import Item, Place, plan
from mammoscope.studies.records import Progress, is_measured, progress_of
from mammoscope.studies.study import Study, StudyError, load_study

Log = Callable[[str], None]


@dataclass
class Watch:
    """How far a study is, for whoever shows it while it runs.

    Attributes
    ----------
    done, total
        Items.
    under_way
        Those that are worked on now.
    """

    study: Study | None = None
    done: int = 0
    total: int = 0
    under_way: list[Item] = field(default_factory=list)

    def lines(self) -> list[tuple[str, Progress]]:
        """The items that are under way, with their progress."""
        if self.study is None:
            return []
        return [(item.label, progress_of(item, self.study.role_of(item.entry))) for item in list(self.under_way)]


@dataclass(frozen=True)
class Outcome:
    """What came of a run: the comparison, and what failed and why, by the labels of items."""

    comparison: Comparison
    failed: dict[str, str]


def open_study(file: Path, out: Path, dataset: Path | None = None, weights: Path | None = None) -> tuple[Study, Place]:
    """Read a study, and find its dataset.

    Raises
    ------
    StudyError
        The study cannot be used, or there is no dataset; names the file and the setting.
    """
    study = load_study(file)
    if dataset is None and study.dataset is None:
        raise StudyError(f"{file}: dataset: names none; give its folder by --dataset")
    folder = dataset or file.parent / str(study.dataset)
    if not folder.is_dir():
        raise StudyError(f"{file}: dataset: {folder}: no such folder; give it by --dataset")
    return study, Place(file, out, folder, weights)


def run_study(
    study: Study,
    place: Place,
    *,
    workers: int = 1,
    draws: int = 2000,
    report_only: bool = False,
    log: Log = lambda line: None,
    watch: Watch | None = None,
) -> Outcome:
    """Train, measure and compare what a study names; what is done is not done again.

    Parameters
    ----------
    workers
        Items at a time, each in a process; with more than one, each process has a core of its own.
    draws
        Of the bootstrap over patients.
    report_only
        Train and measure nothing: compare what is there.
    log
        Called with a line for each item that is begun or done.
    watch
        Kept up to date while items run.

    Returns
    -------
    Outcome
        With the reason for each item that failed; others are not affected.

    Raises
    ------
    StudyError
        Before anything is run: an entry cannot be used, or a folder holds results of something else.
    """
    place.out.mkdir(parents=True, exist_ok=True)
    datasets = datasets_of(study, place)
    items = plan(study, place, datasets)
    left = [item for item in items if not is_measured(item, study.role_of(item.entry))]
    failed: dict[str, str] = {}
    if left and not report_only:
        make_splits(study, place, datasets, left)
        watch = watch or Watch()
        watch.study, watch.total, watch.done = study, len(items), len(items) - len(left)
        log(f"{watch.done} of {watch.total} measured earlier")
        job = Measure(study, place, draws, is_pinned=workers > 1)
        failed = _run(job, left, workers, log, watch)
    comparison = compare(study, items, Bootstrap(draws))
    write_page(comparison, place, items, datasets)
    return Outcome(comparison, failed)


def _run(job: Measure, left: Sequence[Item], workers: int, log: Log, watch: Watch) -> dict[str, str]:
    failed: dict[str, str] = {}
    begun: dict[int, float] = {}

    def taken() -> Iterator[Item]:
        for item in left:
            begun[id(item)] = time.monotonic()
            watch.under_way.append(item)
            log(f"{item.label}: begun")
            yield item

    for item, result in Processes(workers).run(job, taken()):
        watch.under_way.remove(item)
        reason = f"its process ended ({result.reason})" if isinstance(result, Crashed) else result
        minutes = (time.monotonic() - begun[id(item)]) / 60
        if reason is None:
            watch.done += 1
            log(f"{item.label}: done after {minutes:.1f} minutes, {watch.total - watch.done - len(failed)} left")
        else:
            failed[item.label] = reason
            log(f"{item.label}: failed: {reason}")
    return failed
