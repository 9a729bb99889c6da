"""Analyse the files of sources into an archive, by any backend."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mammoscope.archive.job import ArchiveJob
from mammoscope.archive.objects import OBJECTS, Objects
from mammoscope.archive.parts import Partition
from mammoscope.archive.progress import Progress
from mammoscope.archive.sources.file import Batch
from mammoscope.archive.sources.folder import Refuse
from mammoscope.archive.sources.sources import Batches
from mammoscope.archive.store import store_at
from mammoscope.archive.writer import ArchiveWriter, Outcome
from mammoscope.audit import AuditTrail
from mammoscope.batch.exams import stated_exam_key
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.bundle import Bundle
from mammoscope.exam import MOST_VIEWS, grouped
from mammoscope.execution.apart import run_apart
from mammoscope.execution.backend import Crashed, backend_named
from mammoscope.readers import IsolatedReader, Limits
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.writers.dicom.results import ResultKind


@dataclass(frozen=True)
class ArchiveOptions:
    """How files are analysed into an archive.

    Attributes
    ----------
    threshold
        Detection score from which findings are reported; None: the bundle's.
    workers, backend
        Exams under way at a time, and the name of a backend, see ``backend_named``.
    limits
        What one file may cost.
    dicom, fhir
        Which results are written as DICOM objects too, and whether FHIR resources are.
    keep_sources
        Whether rows hold the paths of files, which may name patients.
    retry_failed
        Try again what failed or crashed in earlier runs, but not what was refused.
    audit
        Where each analysis and each failure is recorded; None: nowhere.
    images_a_part, seconds_a_part
        Rows are written when there are so many images, or so much time has passed: what a kill costs at most.
    """

    threshold: float | None = None
    workers: int = 1
    backend: str = "threads"
    limits: Limits = DEFAULT_LIMITS
    dicom: frozenset[ResultKind] = frozenset()
    fhir: bool = False
    keep_sources: bool = False
    retry_failed: bool = False
    audit: AuditTrail | None = None
    images_a_part: int = 1000
    seconds_a_part: float = 60.0


def analyze_to_archive(
    sources: Batches, target: str, bundle: Bundle, options: ArchiveOptions, progress: Progress, refuse: Refuse
) -> Generator[Outcome]:
    """Analyse files and write the archive's tables; what an earlier run has done is passed over.

    Memory does not grow with the number of files. Rows are written by this process alone, so each image has one row
    whatever becomes of the workers; a run that was killed goes on when it is started again.

    Parameters
    ----------
    sources
        The files.
    target
        Folder or URL of the archive, made if it is missing.
    bundle, options
        The models, and how.
    progress
        Counts what is done.
    refuse
        Told what cannot be listed.

    Yields
    ------
    Outcome
        One for each file that this run has done, as it is finished, but perhaps not yet on the disk.

    Raises
    ------
    MammoscopeError
        The archive cannot be written to, a source cannot be read, or no worker can be started.
    """
    wanted = bundle.manifest.thresholds.detection if options.threshold is None else options.threshold
    backend = backend_named(options.backend, options.workers)
    store, partition = store_at(target), Partition.of(bundle.sha256, wanted)
    objects = Objects(store, partition.folder(OBJECTS), options.dicom, options.fhir)
    job = ArchiveJob(SharedBundle.of(bundle), options.threshold, options.limits, objects)
    writer = ArchiveWriter(
        store,
        partition,
        images_a_part=options.images_a_part,
        seconds_a_part=options.seconds_a_part,
        keep_sources=options.keep_sources,
        retry_failed=options.retry_failed,
    )
    with writer, closing(IsolatedReader(options.limits.of_header)) as reader:
        items = _items(sources, writer, reader, progress, refuse)
        with closing(run_apart(backend, job, items, lambda batch: [(file,) for file in batch])) as answers:
            for batch, answer in answers:
                outcomes = _crashed(batch, answer) if isinstance(answer, Crashed) else answer
                _record(outcomes, options.audit)
                for outcome in writer.add(outcomes):
                    progress.add(outcome.kind)
                    yield outcome


def _items(
    sources: Batches, writer: ArchiveWriter, reader: IsolatedReader, progress: Progress, refuse: Refuse
) -> Iterator[Batch]:
    """What is analysed together: the files of an exam that lie in one folder; what is done is left out."""
    for batch in sources.batches(refuse):
        new = tuple(file for file in batch if writer.take(file))
        progress.known += len(batch) - len(new)
        yield from _exams(new, reader)


def _exams(files: Batch, reader: IsolatedReader) -> Iterator[Batch]:
    """Files by their exams. Headers of remote files are not fetched: those that follow one another go together."""
    if any(file.is_remote for file in files):
        yield from (files[first : first + MOST_VIEWS] for first in range(0, len(files), MOST_VIEWS))
        return
    if len(files) < 2:
        yield from (files,) if files else ()
        return
    for exam in grouped((file, stated_exam_key(Path(file.place), reader)) for file in files):
        yield from (exam[first : first + MOST_VIEWS] for first in range(0, len(exam), MOST_VIEWS))


def _crashed(batch: Batch, crashed: Crashed) -> tuple[Outcome, ...]:
    return tuple(Outcome(file, kind="crashed", problem=crashed.problem) for file in batch)


def _record(outcomes: Sequence[Outcome], audit: AuditTrail | None) -> None:
    if audit is None:
        return
    for outcome in outcomes:
        if outcome.analysis is not None:
            audit.record(outcome.analysis)
        else:
            audit.record_failure(Path(outcome.file.place), "refused" if outcome.kind == "refused" else "failed")
