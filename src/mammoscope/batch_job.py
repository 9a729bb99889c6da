"""What is done to one file of a batch, by whichever worker: read, analyse, write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from mammoscope.audit import AuditTrail, Failure
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import BundleError, InputError, MammoscopeError
from mammoscope.files import file_sha256
from mammoscope.findings import Analysis
from mammoscope.pipeline import examine
from mammoscope.readers import IsolatedReader, Limits
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.writers.dicom.results import ResultKind, kinds_given, result_path, results_of, write_result
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
        Analyse again what has been done with the same file, bundle and threshold.
    save_preprocessed
        Also write what the models see.
    workers
        Files under way at a time.
    limits
        What one file may cost.
    dicom
        Which results are written as DICOM objects too.
    audit
        Where each analysis and each failure is noted; None: nowhere.
    backend
        Who works: the name of a backend, see ``backend_named``.
    """

    threshold: float | None = None
    overwrite: bool = False
    save_preprocessed: bool = False
    workers: int = 1
    limits: Limits = DEFAULT_LIMITS
    dicom: frozenset[ResultKind] = frozenset()
    audit: AuditTrail | None = None
    backend: str = "threads"


@dataclass(frozen=True)
class Done:
    """What became of one file.

    Attributes
    ----------
    path
        The file.
    analysis
        Its analysis, from this run or, where ``skipped``, from an earlier one; None where it failed.
    error
        What went wrong, naming the file; None where nothing did. With an analysis: only its DICOM results failed.
    written
        The files that now hold the results.
    """

    path: Path
    analysis: Analysis | None
    error: InputError | None = None
    skipped: bool = False
    written: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A file, and where its results go: ``target`` is their path without an extension."""

    path: Path
    target: Path


@dataclass(frozen=True)
class AnalysisJob:
    """Analyses files. Each worker opens a decoder process of its own; threads share the models, processes load them."""

    bundle: SharedBundle
    options: Options

    @contextmanager
    def open(self) -> Iterator[Callable[[Planned], Done]]:
        """See ``Job``."""
        self.bundle.loaded()
        with IsolatedReader(self.options.limits) as reader:
            yield partial(_outcome, shared=self.bundle, options=self.options, reader=reader)


class SharedBundle:
    """A bundle that threads share. Another process gets its folder and hash, and loads it for itself."""

    def __init__(self, folder: Path, sha256: str, bundle: Bundle | None = None) -> None:
        self._folder, self._sha256, self._bundle = folder, sha256, bundle
        self._lock = Lock()
        self._is_ready = False

    @classmethod
    def of(cls, bundle: Bundle) -> SharedBundle:
        """Share a bundle that is loaded."""
        return cls(bundle.folder.absolute(), bundle.sha256, bundle)

    def __reduce__(self) -> tuple[type[SharedBundle], tuple[Path, str]]:
        return type(self), (self._folder, self._sha256)

    def loaded(self) -> Bundle:
        """The bundle, its manifest checked.

        Raises
        ------
        BundleError
            It cannot be loaded, or is another by now.
        """
        with self._lock:
            if self._bundle is None:
                self._bundle = load_bundle(self._folder)
                if self._bundle.sha256 != self._sha256:
                    raise BundleError(f"{self._folder}: the bundle was changed while files were analysed with it")
            return self._bundle

    def with_models(self) -> Bundle:
        """The bundle with its models, which the first who asks loads for all."""
        bundle = self.loaded()
        with self._lock:
            if not self._is_ready:
                bundle.load()
                self._is_ready = True
        return bundle


def _outcome(item: Planned, *, shared: SharedBundle, options: Options, reader: IsolatedReader) -> Done:
    """Analyse a file, whatever becomes of it."""
    path = item.path
    try:
        return _analyze_file(path, item.target, shared, options, reader)
    except InputError as error:
        return failed(path, error, options.audit, "refused")
    except MammoscopeError as error:  # names what could not be written or started
        return failed(path, InputError(path, str(error)), options.audit, "failed")
    except Exception as error:
        logger.debug("%s failed", item.target.name, exc_info=True)
        problem = f"the analysis failed ({type(error).__name__})"
        return failed(path, InputError(path, problem), options.audit, "failed")


def failed(path: Path, error: InputError, audit: AuditTrail | None, failure: Failure) -> Done:
    if audit is not None:
        try:
            audit.record_failure(path, failure)
        except MammoscopeError as trouble:
            error = InputError(path, f"{error.problem}; {trouble}")
    return Done(path, None, error=error)


def _analyze_file(path: Path, target: Path, shared: SharedBundle, options: Options, reader: IsolatedReader) -> Done:
    bundle = shared.loaded()
    report = target.with_name(f"{target.name}.json")
    overlay = target.with_name(f"{target.name}.overlay.png")
    preprocessed = target.with_name(f"{target.name}.preprocessed.png")
    earlier = None if options.overwrite else _earlier_analysis(path, report, bundle, options)
    if earlier is not None:
        wanted = [report, overlay, *(result_path(target, kind) for kind in kinds_given(earlier, options.dicom))]
        # Without a breast there is no preprocessed view.
        if options.save_preprocessed and earlier.outcome != "no_breast_found":
            wanted.append(preprocessed)
        if all(file.exists() for file in wanted):
            return Done(path, earlier, skipped=True, written=tuple(wanted))
    mammogram = reader.read(path)
    analysis, prepared = examine(mammogram, shared.with_models(), threshold=options.threshold)
    written = [report, overlay]
    if options.save_preprocessed and prepared is not None:
        write_png(preprocessed, bundle.shown_contrast.apply(prepared.pixels))
        written.append(preprocessed)
    picture = render_overlay(mammogram, analysis)
    write_png(overlay, picture)
    error = None
    if options.dicom:
        if earlier is None:
            # Those of another file, bundle or threshold, which this run may not write anew.
            for kind in ResultKind:
                result_path(target, kind).unlink(missing_ok=True)
        analysis, files, error = _write_dicom(path, target, analysis, options, picture)
        written += files
    if options.audit is not None:
        options.audit.record(analysis)
    write_analysis(analysis, report)  # last: where it is, all is
    return Done(path, analysis, error=error, written=tuple(written))


def _write_dicom(
    path: Path, target: Path, analysis: Analysis, options: Options, picture: NDArray[np.uint8]
) -> tuple[Analysis, list[Path], InputError | None]:
    """Write the DICOM results; answers the analysis with what they warn of, their files, and why there are none."""
    from mammoscope.writers.dicom.origin import read_origin  # noqa: PLC0415 (codecs and pydicom, where they are wanted)

    try:
        origin = read_origin(path, analysis)
        analysis = analysis.model_copy(update={"warnings": (*analysis.warnings, *origin.notes)})
        results = results_of(analysis, origin, options.dicom, overlay=picture)
    except InputError as error:
        return analysis, [], error
    for kind, result in results.items():
        write_result(result_path(target, kind), result)
    return analysis, [result_path(target, kind) for kind in results], None


def _earlier_analysis(path: Path, report: Path, bundle: Bundle, options: Options) -> Analysis | None:
    """The analysis of this very file by this bundle at this threshold, if it has been done."""
    if not report.exists():
        return None
    try:
        earlier = read_analysis(report)
        same_file = earlier.input.sha256 == file_sha256(path)
    except (InputError, OSError):
        return None
    wanted = bundle.manifest.thresholds.detection if options.threshold is None else options.threshold
    same_settings = earlier.bundle == bundle.identity and earlier.thresholds.detection == wanted
    return earlier if same_file and same_settings else None
