"""Analyse many files: a failure is one row and never the end."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mammoscope.bundle import Bundle, file_sha256
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.findings import Analysis
from mammoscope.pipeline import examine
from mammoscope.readers import IsolatedReader, Limits, input_name
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.source import result_name
from mammoscope.writers.overlay import render_overlay
from mammoscope.writers.png import write_png
from mammoscope.writers.report_json import read_analysis, write_analysis

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
    """

    threshold: float | None = None
    overwrite: bool = False
    save_preprocessed: bool = False
    workers: int = 1
    limits: Limits = DEFAULT_LIMITS


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
        What went wrong, naming the file; None where nothing did.
    written
        The files that now hold the results.
    """

    path: Path
    analysis: Analysis | None
    error: InputError | None = None
    skipped: bool = False
    written: tuple[Path, ...] = ()


def analyze_files(paths: Sequence[Path], out: Path, bundle: Bundle, options: Options) -> Iterator[Done]:
    """Analyse files and write ``NAME.json`` and ``NAME.overlay.png`` for each into ``out``.

    Files of one name in different folders get the folder's name in front. Results are whole or not there, so a batch
    that was stopped goes on where it was.

    Yields
    ------
    Done
        One for each file, as it is finished.

    Raises
    ------
    MammoscopeError
        ``out`` cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MammoscopeError(f"{out}: cannot be made ({error.strerror})") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise MammoscopeError(f"{out}: cannot be written to, choose another folder")
    with ExitStack() as stack:
        readers: SimpleQueue[IsolatedReader] = SimpleQueue()
        for _ in range(min(options.workers, len(paths))):
            readers.put(stack.enter_context(IsolatedReader(options.limits)))
        workers = stack.enter_context(ThreadPoolExecutor(options.workers))

        def work(path: Path, name: str) -> Done:
            reader = readers.get()
            try:
                return _analyze_file(path, out / name, bundle, options, reader)
            except InputError as error:
                return Done(path, None, error=error)
            except MammoscopeError as error:  # names what could not be written or started
                return Done(path, None, error=InputError(path, str(error)))
            except Exception as error:
                logger.debug("%s failed", name, exc_info=True)
                return Done(path, None, error=InputError(path, f"the analysis failed ({type(error).__name__})"))
            finally:
                readers.put(reader)

        jobs = [workers.submit(work, path, name) for path, name in zip(paths, output_names(paths), strict=True)]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            workers.shutdown(cancel_futures=True)


def output_names(paths: Sequence[Path]) -> list[str]:
    """A name for the results of each file, no two alike, also where a file system ignores case."""
    names = [input_name(path) for path in paths]
    for longer in (_with_folder, _with_extension, _with_all_folders):
        counts = Counter(name.casefold() for name in names)
        if max(counts.values(), default=1) == 1:
            return names
        names = [longer(path) if counts[name.casefold()] > 1 else name for path, name in zip(paths, names, strict=True)]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{name}_{number}" for number, name in enumerate(names, start=1)]
    return names


def _with_folder(path: Path) -> str:
    return result_name(f"{path.resolve().parent.name}_{input_name(path)}")


def _with_extension(path: Path) -> str:
    return result_name(f"{path.resolve().parent.name}_{path.name}")


def _with_all_folders(path: Path) -> str:
    return result_name("_".join(path.resolve().parts[1:]))


def _analyze_file(path: Path, target: Path, bundle: Bundle, options: Options, reader: IsolatedReader) -> Done:
    report = target.with_name(f"{target.name}.json")
    overlay = target.with_name(f"{target.name}.overlay.png")
    preprocessed = target.with_name(f"{target.name}.preprocessed.png")
    wanted = (report, overlay, preprocessed) if options.save_preprocessed else (report, overlay)
    if not options.overwrite and (earlier := _earlier_analysis(path, report, bundle, options)):
        # Without a breast there is no preprocessed view.
        missing = {file for file in wanted if not file.exists()}
        if not missing or (earlier.outcome == "no_breast_found" and missing == {preprocessed}):
            return Done(path, earlier, skipped=True, written=tuple(file for file in wanted if file not in missing))
    mammogram = reader.read(path)
    analysis, prepared = examine(mammogram, bundle, threshold=options.threshold)
    written = [report, overlay]
    if options.save_preprocessed and prepared is not None:
        write_png(preprocessed, bundle.manifest.detector.contrast.apply(prepared.pixels))
        written.append(preprocessed)
    write_png(overlay, render_overlay(mammogram, analysis))
    write_analysis(analysis, report)  # last: where it is, all is
    return Done(path, analysis, written=tuple(written))


def _earlier_analysis(path: Path, report: Path, bundle: Bundle, options: Options) -> Analysis | None:
    """The analysis of this very file by this bundle at this threshold, if it has been done."""
    if not report.exists():
        return None
    try:
        earlier = read_analysis(report)
        same_file = earlier.input.sha256 == file_sha256(path)
    except (InputError, OSError):
        return None
    wanted = bundle.manifest.detector.threshold if options.threshold is None else options.threshold
    same_settings = earlier.bundle == bundle.identity and earlier.thresholds.detection == wanted
    return earlier if same_file and same_settings else None
