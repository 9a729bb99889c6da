"""The job of a batch: read, analyse and write each file.

Each file is analysed alone, unless the models use whole exams: then all files of an exam are analysed together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.audit import AuditTrail, Failure
from mammoscope.batch.seats import Seats
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.exam import Exam
from mammoscope.files import file_sha256
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import Examination, examine_views
from mammoscope.readers import IsolatedReader, Limits
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.writers.dicom.results import ResultKind, kinds_given, result_path, results_of, write_result
from mammoscope.writers.exam_json import reported_in
from mammoscope.writers.json import read_analysis, write_analysis
from mammoscope.writers.overlay.picture import render_overlay
from mammoscope.writers.png import write_png

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a batch is analysed.

    Attributes
    ----------
    threshold
        Detection score from which regions are reported; None: the bundle's.
    overwrite
        Analyse again files that were analysed with the same bundle and threshold.
    save_preprocessed
        Also write what the models see.
    workers
        Files read and analysed at a time; threads write the results of one more meanwhile.
    limits
        What one file may cost.
    dicom, fhir
        Which results are written as DICOM objects too, and whether FHIR resources are.
    exam_sr
        Whether an exam of several files gets a DICOM structured report as a whole.
    audit
        Where each analysis and each failure is recorded; None: nowhere.
    backend
        The name of a backend, see ``backend_named``.
    """

    threshold: float | None = None
    overwrite: bool = False
    save_preprocessed: bool = False
    workers: int = 1
    limits: Limits = DEFAULT_LIMITS
    dicom: frozenset[ResultKind] = frozenset()
    fhir: bool = False
    exam_sr: bool = False
    audit: AuditTrail | None = None
    backend: str = "threads"


@dataclass(frozen=True)
class Done:
    """The outcome of one file.

    Attributes
    ----------
    path
        The file.
    analysis
        Its analysis, from this run or, if ``skipped``, from an earlier one; None if it failed.
    error
        What went wrong, naming the file; None if nothing did. With an analysis: only its DICOM and FHIR results failed.
    written
        The files that now hold the results.
    exam_report
        The report on its exam, if this was the last file of an exam of several.
    exam_error
        Why that report could not be written.
    """

    path: Path
    analysis: Analysis | None
    error: InputError | None = None
    skipped: bool = False
    written: tuple[Path, ...] = ()
    exam_report: Path | None = None
    exam_error: MammoscopeError | None = None


@dataclass(frozen=True)
class Planned:
    """A file of a batch.

    Attributes
    ----------
    path, target
        The file, and where its results go: their path without an extension.
    exam
        The number of its exam in the batch's plan.
    """

    path: Path
    target: Path
    exam: int

    @property
    def report(self) -> Path:
        """Path of its analysis."""
        return self.target.with_name(f"{self.target.name}.json")

    @property
    def overlay(self) -> Path:
        """Path of its overlay."""
        return self.target.with_name(f"{self.target.name}.overlay.png")

    @property
    def fhir(self) -> Path:
        """Its analysis as FHIR resources."""
        return self.target.with_name(f"{self.target.name}.fhir.json")

    @property
    def preprocessed(self) -> Path:
        """What the models see."""
        return self.target.with_name(f"{self.target.name}.preprocessed.png")


@dataclass(frozen=True)
class Together:
    """Files that are analysed together.

    Attributes
    ----------
    files
        One, or all those of an exam.
    exam_report
        Where the report on their exam is; None: a single file has none, or the models use single views.
    """

    files: tuple[Planned, ...]
    exam_report: Path | None = None


@dataclass(frozen=True)
class AnalysisJob:
    """Analyses files, one outcome for each.

    Threads share the models and the decoder processes; processes load and start their own.
    """

    bundle: SharedBundle
    options: Options
    seats: Seats

    @contextmanager
    def open(self) -> Iterator[Callable[[Together], tuple[Done, ...]]]:
        """See ``Job``."""
        self.bundle.loaded()
        with self.seats.open():
            yield _Analyst(self.bundle, self.options, self.seats)


def failed(path: Path, error: InputError, audit: AuditTrail | None, failure: Failure) -> Done:
    """The outcome of a file that was not analysed, recorded in the audit trail."""
    if audit is not None:
        try:
            audit.record_failure(path, failure)
        except MammoscopeError as trouble:
            error = InputError(path, f"{error.problem}; {trouble}")
    return Done(path, None, error=error)


@dataclass(frozen=True)
class _Analyst:
    """Analyses files that belong together; any of them may fail."""

    shared: SharedBundle
    options: Options
    seats: Seats

    def __call__(self, item: Together) -> tuple[Done, ...]:
        done: dict[Planned, Done] = {}
        try:
            self._analyse(item, done)
        except Exception as error:
            done |= {file: self._failure(file, error) for file in item.files if file not in done}
        return tuple(done[file] for file in item.files)

    def _analyse(self, item: Together, done: dict[Planned, Done]) -> None:
        """Add to ``done`` the outcome of each file; while its results are written, another worker has the seat."""
        with self.seats.taken() as reader:
            earlier = {} if self.options.overwrite else self._earlier(item)
            done |= self._kept(item, earlier)
            views = self._read(reader, [file for file in item.files if file not in done], done)
            if item.exam_report is not None:
                if views:  # a view more than before: all are analysed again
                    for file in [file for file, outcome in done.items() if outcome.skipped]:
                        del done[file]
                    views = self._read(reader, [file for file in item.files if file not in done], done)
                earlier = {}  # a view's results depend on the others
            found = self._examined(views)
        done |= self._written(views, found, earlier)

    def _earlier(self, item: Together) -> dict[Planned, Analysis]:
        """Analyses of these very files by this bundle at this threshold, as far as there are any."""
        found = {file: _earlier_analysis(file, self.shared.loaded(), self.options) for file in item.files}
        return {file: analysis for file, analysis in found.items() if analysis is not None}

    def _kept(self, item: Together, earlier: Mapping[Planned, Analysis]) -> dict[Planned, Done]:
        """What earlier runs have done; nothing of an exam whose earlier report is not of the same files."""
        kept = {}
        for file, analysis in earlier.items():
            wanted = self._wanted(file, analysis)
            if all(path.exists() for path in wanted):
                kept[file] = Done(file.path, analysis, skipped=True, written=tuple(wanted))
        if item.exam_report is not None and reported_in(item.exam_report) != {file.report.name for file in kept}:
            return {}
        return kept

    def _wanted(self, file: Planned, earlier: Analysis) -> list[Path]:
        """The files that this run would write."""
        wanted = [file.report, file.overlay]
        wanted += [result_path(file.target, kind) for kind in kinds_given(earlier, self.options.dicom)]
        wanted += [file.fhir] if self.options.fhir else []
        # Without a breast there is no preprocessed view.
        if self.options.save_preprocessed and earlier.outcome != "no_breast_found":
            wanted.append(file.preprocessed)
        return wanted

    def _read(
        self, reader: IsolatedReader, files: Sequence[Planned], done: dict[Planned, Done]
    ) -> dict[Planned, Mammogram]:
        """The images of files; those that cannot be read are ``done``."""
        views = {}
        for file in files:
            try:
                views[file] = reader.read(file.path)
            except Exception as error:
                done[file] = self._failure(file, error)
        return views

    def _examined(self, views: Mapping[Planned, Mammogram]) -> list[Examination]:
        """Analyse images together."""
        if not views:
            return []
        exam = Exam(tuple(views.values()))
        return examine_views(exam.views, self.shared.with_models(), threshold=self.options.threshold)

    def _written(
        self, views: Mapping[Planned, Mammogram], found: Sequence[Examination], earlier: Mapping[Planned, Analysis]
    ) -> dict[Planned, Done]:
        """Write what was found on each image; ``earlier`` have the same results as before."""
        done = {}
        for (file, mammogram), examination in zip(views.items(), found, strict=True):
            try:
                done[file] = self._write(file, mammogram, examination, is_as_before=file in earlier)
            except Exception as error:
                done[file] = self._failure(file, error)
        return done

    def _write(self, file: Planned, mammogram: Mammogram, examination: Examination, *, is_as_before: bool) -> Done:
        """Write the results of one image."""
        analysis, prepared = examination
        options, written = self.options, [file.report, file.overlay]
        if options.save_preprocessed and prepared is not None:
            write_png(file.preprocessed, self.shared.loaded().shown_contrast.apply(prepared.pixels))
            written.append(file.preprocessed)
        picture = render_overlay(mammogram, analysis)
        write_png(file.overlay, picture)
        error = None
        if options.dicom or options.fhir:
            analysis, files, error = _write_for_archives(file, analysis, options, picture, is_as_before)
            written += files
        if options.audit is not None:
            options.audit.record(analysis)
        write_analysis(analysis, file.report)  # last: if it exists, all results do
        return Done(file.path, analysis, error=error, written=tuple(written))

    def _failure(self, file: Planned, error: Exception) -> Done:
        path, audit = file.path, self.options.audit
        if isinstance(error, InputError):
            return failed(path, error, audit, "refused")
        if isinstance(error, MammoscopeError):  # names what could not be written or started
            return failed(path, InputError(path, str(error)), audit, "failed")
        logger.debug("%s failed", file.target.name, exc_info=error)
        problem = f"the analysis failed ({type(error).__name__})"
        return failed(path, InputError(path, problem), audit, "failed")


def _write_for_archives(
    file: Planned, analysis: Analysis, options: Options, picture: NDArray[np.uint8], is_as_before: bool
) -> tuple[Analysis, list[Path], InputError | None]:
    """Write DICOM and FHIR results; returns the analysis with their warnings, the files, and any error."""
    from mammoscope.writers.dicom.earlier import report_in  # noqa: PLC0415 (codecs and pydicom, where they are wanted)
    from mammoscope.writers.dicom.origin import read_origin  # noqa: PLC0415

    earlier = report_in(result_path(file.target, ResultKind.SR))
    if not is_as_before:
        # Those of another file, bundle or threshold, which this run may not write again.
        for stale in (file.fhir, *(result_path(file.target, kind) for kind in ResultKind)):
            stale.unlink(missing_ok=True)
    try:
        origin = read_origin(file.path, analysis)
        analysis = analysis.model_copy(update={"warnings": (*analysis.warnings, *origin.notes)})
        known = [] if earlier is None else [earlier]
        results = results_of(analysis, origin, options.dicom, overlay=picture, earlier=known)
    except InputError as error:
        return analysis, [], error
    for kind, result in results.items():
        write_result(result_path(file.target, kind), result)
    written = [result_path(file.target, kind) for kind in results]
    if options.fhir:
        from mammoscope.writers.fhir import write_fhir  # noqa: PLC0415 (highdicom's codes)

        write_fhir(analysis, origin, file.fhir)
        written.append(file.fhir)
    return analysis, written, None


def _earlier_analysis(file: Planned, bundle: Bundle, options: Options) -> Analysis | None:
    """The analysis of this very file by this bundle at this threshold, if it has been done."""
    try:
        if not file.report.exists():
            return None
        earlier = read_analysis(file.report)
        same_file = earlier.input.sha256 == file_sha256(file.path)
    except (InputError, OSError):
        return None
    wanted = bundle.manifest.thresholds.detection if options.threshold is None else options.threshold
    same_settings = earlier.bundle == bundle.identity and earlier.thresholds.detection == wanted
    return earlier if same_file and same_settings else None
