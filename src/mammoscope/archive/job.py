"""The job of an archive: fetch, read and analyse files that lie together; rows are written by whoever asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from mammoscope.archive.fetch import Fetcher, NotFetchedError
from mammoscope.archive.objects import Objects
from mammoscope.archive.sources.file import Batch, SourceFile
from mammoscope.archive.writer import Kind, Outcome
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.exam import grouped
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import examine_views
from mammoscope.readers import IsolatedReader, Limits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchiveJob:
    """Analyses files, one outcome for each.

    Attributes
    ----------
    bundle
        The models. Another machine must have them in the same folder, unless they are the built-in ones.
    threshold
        Detection score from which findings are reported; None: the bundle's.
    limits
        What one file may cost.
    objects
        Which DICOM and FHIR results are written too, and where.
    """

    bundle: SharedBundle
    threshold: float | None
    limits: Limits
    objects: Objects

    @contextmanager
    def open(self) -> Iterator[Callable[[Batch], tuple[Outcome, ...]]]:
        """See ``Job``."""
        self.bundle.loaded()
        with IsolatedReader(self.limits) as reader:
            yield _Analyst(self, reader, Fetcher(self.limits.file_bytes))


@dataclass(frozen=True)
class _Analyst:
    """Analyses files that lie together; any of them may fail."""

    job: ArchiveJob
    reader: IsolatedReader
    fetcher: Fetcher

    def __call__(self, files: Batch) -> tuple[Outcome, ...]:
        with TemporaryDirectory(prefix="mammoscope-") as folder:
            done = self._together(files, Path(folder)) if self._sees_exams else self._each(files, Path(folder))
        return tuple(done[file] for file in files)

    @property
    def _sees_exams(self) -> bool:
        return self.job.bundle.loaded().sees_exams

    def _each(self, files: Batch, folder: Path) -> dict[SourceFile, Outcome]:
        """One image after another, of which one at a time is in memory."""
        done: dict[SourceFile, Outcome] = {}
        exams: dict[str, int] = {}
        fresh = count()
        for file in files:
            try:
                path = self.fetcher.local(file, folder)
                mammogram = self.reader.read(path)
                number = (
                    next(fresh) if mammogram.exam_key is None else exams.setdefault(mammogram.exam_key, next(fresh))
                )
                done |= self._examined([(file, path, mammogram)], number)
                if file.is_remote:
                    path.unlink()
            except Exception as error:
                done[file] = failure_of(file, error)
        return _joined(files, done)

    def _together(self, files: Batch, folder: Path) -> dict[SourceFile, Outcome]:
        """The images of an exam at a time, since a step looks at all of them."""
        done: dict[SourceFile, Outcome] = {}
        views: list[tuple[SourceFile, Path, Mammogram]] = []
        for file in files:
            try:
                path = self.fetcher.local(file, folder)
                views.append((file, path, self.reader.read(path)))
            except Exception as error:
                done[file] = failure_of(file, error)
        for number, exam in enumerate(grouped((view, view[2].exam_key) for view in views)):
            try:
                done |= self._examined(exam, number)
            except Exception as error:
                done |= {file: failure_of(file, error) for file, _, _ in exam}
        return _joined(files, done)

    def _examined(self, exam: Sequence[tuple[SourceFile, Path, Mammogram]], number: int) -> dict[SourceFile, Outcome]:
        views = tuple(mammogram for _, _, mammogram in exam)
        found = examine_views(views, self.job.bundle.with_models(), threshold=self.job.threshold)
        done = {}
        for (file, path, mammogram), examination in zip(exam, found, strict=True):
            analysis, problem = self.job.objects.write(path, mammogram, examination.analysis)
            done[file] = Outcome(file, number, analysis, problem=problem)
        return done


def failure_of(file: SourceFile, error: Exception) -> Outcome:
    """The outcome of a file that was not analysed, without its name."""
    kind: Kind = "failed"
    if isinstance(error, InputError):
        kind = "failed" if isinstance(error, NotFetchedError) else "refused"
        return Outcome(file, kind=kind, problem=error.problem)
    if isinstance(error, MammoscopeError):  # its text names the archive
        return Outcome(file, kind=kind, problem="a DICOM or FHIR result cannot be written, or no decoder be started")
    logger.debug("an analysis failed", exc_info=error)
    return Outcome(file, kind=kind, problem=f"the analysis failed ({type(error).__name__})")


def _joined(files: Batch, done: dict[SourceFile, Outcome]) -> dict[SourceFile, Outcome]:
    """Failures as lacking in the exam of the files around them where there is one, else as exams of their own."""
    numbers = {outcome.exam for outcome in done.values() if outcome.analysis is not None}
    only = numbers.pop() if len(numbers) == 1 else None
    own = count(len(files))
    for file, outcome in done.items():
        if outcome.analysis is None:
            number = next(own) if only is None else only
            done[file] = Outcome(file, number, None, outcome.kind, outcome.problem)
    return done
