"""Analyse many files: a file that fails does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mammoscope.batch.exams import ExamPlan, ExamReports, plan_exams, stated_exam_key
from mammoscope.batch.job import AnalysisJob, Done, Options, Planned, Together, failed
from mammoscope.batch.result_names import naming, result_names
from mammoscope.batch.seats import Seats
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.exam import MOST_VIEWS
from mammoscope.execution.apart import run_apart
from mammoscope.execution.backend import Crashed, backend_named
from mammoscope.readers import IsolatedReader, Limits

Progress = Callable[[int, int], None]


def analyze_files(
    paths: Sequence[Path], out: Path, bundle: Bundle, options: Options, *, looking: Progress | None = None
) -> Generator[Done]:
    """Analyse files and write ``NAME.json``, ``NAME.overlay.png`` and other requested results for each into ``out``.

    Files of one name in different folders get the folder's name in front. Results are complete or missing, so a
    stopped batch resumes when it is started again. Of a file only some bytes are kept once its outcome is yielded:
    many files take no more memory than few.

    Files that state one study of one patient are an exam. One of several files also gets ``EXAM.exam.json``, when the
    last of them is done. Images that state no study, such as PNG, are exams of their own. Models that use whole exams
    analyse the images of an exam together, or each alone if it has more than 16, or if together they end the worker.

    Parameters
    ----------
    paths, out, bundle, options
        The files, the folder for the results, the models, and how.
    looking
        Called with the number of files that were looked at for exams, and of all, before the first is analysed.

    Yields
    ------
    Done
        One for each file, as it is finished. Closing the generator ends the batch after the files under way.

    Raises
    ------
    MammoscopeError
        ``out`` cannot be made or written to, no backend has the name, or no worker can be started.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MammoscopeError(f"{out}: cannot be made ({error.strerror})") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise MammoscopeError(f"{out}: cannot be written to, choose another folder")
    # A thread more writes results meanwhile; processes share no seats, so that one more would analyse one more file.
    spare = options.backend == "threads"
    backend = backend_named(options.backend, options.workers + spare)
    plan = _plan(paths, options.limits, looking)
    reports = ExamReports(out, plan, exam_sr=options.exam_sr)
    job = AnalysisJob(SharedBundle.of(bundle), options, Seats(options.workers, options.limits))
    items = _planned(paths, out, plan, reports, bundle)
    with closing(run_apart(backend, job, items, lambda item: [Together((file,)) for file in item.files])) as answers:
        for item, answer in answers:
            outcome = _crashed(item, answer, options) if isinstance(answer, Crashed) else answer
            for file, done in zip(item.files, outcome, strict=True):
                yield _with_report(file, done, reports)


def _plan(paths: Sequence[Path], limits: Limits, looking: Progress | None) -> ExamPlan:
    """Which files are one exam, by their headers alone: some milliseconds for each file, in a separate process."""
    if len(paths) < 2:
        return plan_exams([None] * len(paths), map(str, paths))
    with closing(IsolatedReader(limits.of_header)) as reader:
        return plan_exams(_exam_keys(paths, reader, looking), result_names(paths))


def _exam_keys(paths: Sequence[Path], reader: IsolatedReader, looking: Progress | None) -> Iterator[str | None]:
    """The exam key of each file."""
    for number, path in enumerate(paths, start=1):
        yield stated_exam_key(path, reader)
        if looking is not None:
            looking(number, len(paths))


def _planned(
    paths: Sequence[Path], out: Path, plan: ExamPlan, reports: ExamReports, bundle: Bundle
) -> Iterator[Together]:
    """What is analysed together: whole exams if a step of the bundle uses them, else each file alone."""
    name_of = naming(paths)

    def planned(places: Iterable[int]) -> Iterator[Planned]:
        for place in places:
            yield Planned(paths[place], out / name_of(place, paths[place]), int(plan.exam[place]))

    if not bundle.sees_exams:
        yield from (Together((file,)) for file in planned(range(len(paths))))
        return
    for members in plan.members():
        if len(members) > MOST_VIEWS:
            yield from (Together((file,)) for file in planned(members))
            continue
        files = tuple(planned(members))
        yield Together(files, reports.path(files[0].exam, [file.report.name for file in files]))


def _crashed(item: Together, crashed: Crashed, options: Options) -> tuple[Done, ...]:
    return tuple(
        failed(file.path, InputError(file.path, crashed.problem), options.audit, "failed") for file in item.files
    )


def _with_report(file: Planned, done: Done, reports: ExamReports) -> Done:
    """The outcome, with the report on the exam if this was its last file."""
    try:
        report = reports.add(file.exam, file.target.name, file.path, is_analysed=done.analysis is not None)
    except MammoscopeError as error:
        return replace(done, exam_error=error)
    except (OSError, ValueError) as error:  # such as an analysis that another run replaced meanwhile
        problem = MammoscopeError(f"{file.report}: no report on its exam ({' '.join(str(error).split())})")
        return replace(done, exam_error=problem)
    return replace(done, exam_report=report)
