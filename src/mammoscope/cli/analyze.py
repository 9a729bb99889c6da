"""``mammoscope analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from mammoscope.cli.analyze_archive import SUFFIX, analyze_into_archive
from mammoscope.cli.console import SOME_FAILED, complain, inputs_of, progress_bar
from mammoscope.cli.options import AuditOption, BundleOption, FastOption, ThresholdOption

_LONGEST_TABLE = 50  # files; a longer table is not read, and would keep every analysis in memory


def analyze(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="DICOM, PNG, JPEG, TIFF or PGM files, or folders of them. With --out NAME.parquet also globs, "
            "tables of paths (.csv, .parquet), URLs, and DICOMweb's ROOT/studies and ROOT/studies/UID."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="Folder for the results; NAME.parquet, also a URL: an archive of Parquet tables.")
    ] = "mammoscope-results",
    threshold: ThresholdOption = None,
    bundle: BundleOption = None,
    fast: FastOption = False,
    workers: Annotated[int, typer.Option(min=1, max=4096, help="Files read and analysed at a time.")] = 1,
    backend: Annotated[
        str,
        typer.Option(
            help="How files are run: threads (which share the models), processes, ray, or an installed backend."
        ),
    ] = "threads",
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Analyse again files that are done.")
    ] = False,
    save_preprocessed: Annotated[
        bool,
        typer.Option(
            "--save-preprocessed/--no-save-preprocessed", help="Also write the breast as the detector sees it."
        ),
    ] = False,
    sr: Annotated[
        bool, typer.Option("--sr/--no-sr", help="Also write NAME.sr.dcm, a DICOM structured report.")
    ] = False,
    seg: Annotated[
        bool, typer.Option("--seg/--no-seg", help="Also write NAME.seg.dcm, the outlines as a DICOM segmentation.")
    ] = False,
    sc: Annotated[
        bool, typer.Option("--sc/--no-sc", help="Also write NAME.sc.dcm, the overlay as a DICOM secondary capture.")
    ] = False,
    gsps: Annotated[
        bool,
        typer.Option(
            "--gsps/--no-gsps", help="Also write NAME.gsps.dcm, outlines, boxes and labels as a presentation state."
        ),
    ] = False,
    cad: Annotated[
        bool, typer.Option("--cad/--no-cad", help="Also write NAME.cad.dcm, a DICOM Mammography CAD SR.")
    ] = False,
    exam_sr: Annotated[
        bool,
        typer.Option(
            "--exam-sr/--no-exam-sr",
            help="Also write EXAM.exam.sr.dcm, one DICOM structured report on an exam of several files.",
        ),
    ] = False,
    fhir: Annotated[
        bool, typer.Option("--fhir/--no-fhir", help="Also write NAME.fhir.json, FHIR resources that name no patient.")
    ] = False,
    keep_paths: Annotated[
        bool, typer.Option("--keep-paths", help="Archive: keep the paths of files, which may name patients.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Archive: try again what failed or crashed in earlier runs.")
    ] = False,
    part_images: Annotated[
        int, typer.Option(min=1, help="Archive: images at which a part is written, or after a minute.")
    ] = 1000,
    audit: AuditOption = None,
) -> None:
    """Find, outline and classify masses in mammograms.

    Writes NAME.json and NAME.overlay.png for each file, prints a table of the findings of up to 50 files, and exits
    with 0, or with 3 if some files failed and the others were analysed. A file that is not DICOM has no results as
    DICOM or FHIR.

    DICOM files that state the same study and patient form an exam, in whatever folders they are. An exam of several
    files gets EXAM.exam.json beside the results of its images.

    With --out NAME.parquet the results are rows of Parquet tables instead, each image once, and --sr and the like are
    in its folder objects. A run that was stopped goes on when it is started again.
    """
    from rich.console import Console

    from mammoscope.audit import AuditTrail
    from mammoscope.batch import Done, Options, analyze_files
    from mammoscope.bundle import load_bundle
    from mammoscope.errors import MammoscopeError
    from mammoscope.writers.dicom.results import ResultKind
    from mammoscope.writers.table import findings_table, told_apart

    is_archive = out.rstrip("/").endswith(SUFFIX)
    _check_options(is_archive, overwrite or save_preprocessed or exam_sr, keep_paths or retry_failed)
    folder = Path(out)
    files, refused = ([], []) if is_archive else inputs_of(list(map(Path, paths)))
    models = load_bundle(bundle, fast=fast)
    trail = AuditTrail(audit, "analyze", models, threshold) if audit else None
    asked = {
        ResultKind.SR: sr,
        ResultKind.SEG: seg,
        ResultKind.SC: sc,
        ResultKind.GSPS: gsps,
        ResultKind.CAD: cad,
    }
    dicom = frozenset(kind for kind in ResultKind if asked[kind])
    options = Options(
        threshold,
        overwrite,
        save_preprocessed,
        workers,
        dicom=dicom,
        fhir=fhir,
        exam_sr=exam_sr,
        audit=trail,
        backend=backend,
    )
    if is_archive:
        analyze_into_archive(
            paths,
            out,
            models,
            options,
            keep_paths=keep_paths,
            retry_failed=retry_failed,
            part_images=part_images,
        )
        return
    results: dict[Path, Done] = {}
    analysed = skipped = without_dicom = exams = without_report = 0
    with progress_bar("analysing", len(files)) as advance:

        def looking(done: int, total: int) -> None:
            if done < total:
                advance(done, total, "looking for exams")
            else:
                advance(0, total)

        for number, done in enumerate(analyze_files(files, folder, models, options, looking=looking), start=1):
            if done.error:
                complain(done.error)
            analysed += done.analysis is not None
            skipped += done.skipped
            without_dicom += done.error is not None and done.analysis is not None
            exams += done.exam_report is not None
            if done.exam_error:
                complain(done.exam_error)
                without_report += 1
            if len(files) <= _LONGEST_TABLE:
                results[done.path] = done
            advance(number, len(files))
    failed = len(refused) + len(files) - analysed
    in_order = [results[path] for path in files if path in results]
    if in_order:
        rows = [done.analysis or cast(MammoscopeError, done.error) for done in in_order]
        Console().print(findings_table(rows, told_apart([done.path for done in in_order])))
    typer.echo(
        f"{analysed} of {analysed + failed} analysed"
        + (f" ({skipped} of them earlier; --overwrite does them again)" if skipped else "")
        + (f", {failed} failed" if failed else "")
        + (f", {without_dicom} without DICOM results" if without_dicom else "")
        + (f", {without_report} exams without their report" if without_report else "")
    )
    if exams:
        typer.echo(
            f"{exams} {'exam' if exams == 1 else 'exams'} of several images, each with a report EXAM.exam.json"
            + (" and EXAM.exam.sr.dcm" if exam_sr else "")
        )
    for path in in_order[0].written if len(in_order) == 1 else (folder,):
        typer.echo(path)
    if failed or without_dicom or without_report:
        raise typer.Exit(SOME_FAILED)


def _check_options(is_archive: bool, has_files_alone: bool, has_archive_alone: bool) -> None:
    from mammoscope.errors import MammoscopeError

    if is_archive and has_files_alone:
        raise MammoscopeError("--overwrite, --save-preprocessed and --exam-sr need a folder as --out, not an archive")
    if not is_archive and has_archive_alone:
        raise MammoscopeError(f"--keep-paths and --retry-failed need an archive as --out, such as results{SUFFIX}")
