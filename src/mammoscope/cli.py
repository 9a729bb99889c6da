"""The command line: parses, calls, prints. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

import sys
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mammoscope import NOTICE, __version__
from mammoscope.cli_options import AuditOption, BundleOption, ThresholdOption
from mammoscope.pacs.cli import app as pacs

if TYPE_CHECKING:
    from rich.progress import Progress

    from mammoscope.errors import InputError

USAGE_ERROR, SOME_FAILED, LEAKAGE_FOUND, TRAIL_BROKEN = 2, 3, 1, 1

app = typer.Typer(
    help=f"Find, outline and grade masses in mammograms, offline. {NOTICE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, for its boxes take longer to load than all else together
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Prepare, divide, check and describe datasets.", no_args_is_help=True)
bundles = typer.Typer(help="Build, verify and show model bundles.", no_args_is_help=True)
audits = typer.Typer(help="Check the audit trail of analyses.", no_args_is_help=True)
imports = typer.Typer(help="Bring a published collection into the dataset layout.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(bundles, name="bundle")
app.add_typer(audits, name="audit")
app.add_typer(pacs, name="pacs")
data.add_typer(imports, name="import")


class Task(StrEnum):
    """What can be trained."""

    DETECTOR = "detector"
    REDUCER = "reducer"
    SEGMENTER = "segmenter"
    CLASSIFIER = "classifier"


class Stage(StrEnum):
    """What can be evaluated."""

    DETECTOR = "detector"
    SEGMENTER = "segmenter"
    CLASSIFIER = "classifier"
    PIPELINE = "pipeline"


def main() -> None:
    """Run the command line; an error of the user's world is one line and exit code 2."""
    from mammoscope.errors import MammoscopeError

    if isinstance(sys.stdout, TextIOWrapper):
        # Where the terminal or a file takes fewer signs than we print, a name must not end the command.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="mammoscope")
    except MammoscopeError as error:
        _complain(error)
        sys.exit(USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"mammoscope {__version__}")
        raise typer.Exit


@app.command()
def analyze(
    paths: Annotated[list[Path], typer.Argument(help="DICOM, PNG, JPEG or TIFF files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("mammoscope-results"),
    threshold: ThresholdOption = None,
    bundle: BundleOption = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Files under way at a time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Analyse again what is done.")] = False,
    save_preprocessed: Annotated[
        bool, typer.Option("--save-preprocessed", help="Also write the breast as the detector sees it.")
    ] = False,
    sr: Annotated[bool, typer.Option("--sr", help="Also write NAME.sr.dcm, a DICOM structured report.")] = False,
    seg: Annotated[
        bool, typer.Option("--seg", help="Also write NAME.seg.dcm, the outlines as a DICOM segmentation.")
    ] = False,
    sc: Annotated[
        bool, typer.Option("--sc", help="Also write NAME.sc.dcm, the overlay as a DICOM secondary capture.")
    ] = False,
    audit: AuditOption = None,
) -> None:
    """Find, outline and grade the masses of mammograms.

    Writes NAME.json and NAME.overlay.png for each file, prints a table of findings, and ends with 0, or with 3 where
    some files failed and the others were done. A file that is no DICOM has no DICOM results.
    """
    from rich.console import Console

    from mammoscope.audit import AuditTrail
    from mammoscope.batch import Done, Options, analyze_files
    from mammoscope.bundle import load_bundle
    from mammoscope.errors import MammoscopeError
    from mammoscope.writers.dicom_results import ResultKind
    from mammoscope.writers.table import findings_table

    files, failures = _inputs(paths)
    models = load_bundle(bundle)
    trail = AuditTrail(audit, "analyze", models, threshold) if audit else None
    wanted = {ResultKind.SR: sr, ResultKind.SEG: seg, ResultKind.SC: sc}
    dicom = frozenset(kind for kind, is_wanted in wanted.items() if is_wanted)
    options = Options(threshold, overwrite, save_preprocessed, workers, dicom=dicom, audit=trail)
    results: dict[Path, Done] = {}
    with _progress("analysing", len(files)) as advance:
        for done in analyze_files(files, out, models, options):
            results[done.path] = done
            if done.error:
                _complain(done.error)
            advance(len(results), len(files))
    in_order = [results[path] for path in files]
    Console().print(findings_table([done.analysis or cast(MammoscopeError, done.error) for done in in_order]))
    failures += [done.error for done in in_order if done.error and not done.analysis]
    without_dicom = sum(done.error is not None and done.analysis is not None for done in in_order)
    analysed = sum(done.analysis is not None for done in in_order)
    skipped = sum(done.skipped for done in in_order)
    typer.echo(
        f"{analysed} of {analysed + len(failures)} analysed"
        + (f" ({skipped} of them earlier; --overwrite does them again)" if skipped else "")
        + (f", {len(failures)} failed" if failures else "")
        + (f", {without_dicom} without DICOM results" if without_dicom else "")
    )
    for path in in_order[0].written if len(in_order) == 1 else (out,):
        typer.echo(path)
    if failures or without_dicom:
        raise typer.Exit(SOME_FAILED)


@app.command()
def deidentify(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the new files, each named after its new SOP instance UID.")],
    salt: Annotated[
        str | None,
        typer.Option(
            envvar="MAMMOSCOPE_SALT",
            help="Secret of 16 characters or more, by which a later batch gets the same pseudonyms; safer in the "
            "environment than on the command line, and written nowhere.",
            show_default="a new one, which is forgotten",
        ),
    ] = None,
) -> None:
    """Take out of mammograms what says whose they are. Look at every picture afterwards: text in the pixels stays.

    Only what the page docs/privacy.md lists is kept; names, IDs, free texts and private elements are dropped. The same
    patient gets the same pseudonym, UIDs still fit each other, dates are shifted. Ends with 0, or with 3 where some
    files failed and the others were done.
    """
    from mammoscope.deidentify import NOT_DONE, deidentify_files
    from mammoscope.readers.source import printable

    files, failures = _inputs(paths)
    written = 0
    with _progress("de-identifying", len(files)) as advance:
        for number, done in enumerate(deidentify_files(files, out, salt), start=1):
            if done.error:
                failures.append(done.error)
                _complain(done.error)
            if done.warning:
                typer.echo(f"warning: {printable(str(done.path))}: {done.warning}", err=True)
            written += done.written is not None
            advance(number, len(files))
    typer.echo(
        f"{written} of {written + len(failures)} de-identified" + (f", {len(failures)} failed" if failures else "")
    )
    for sentence in NOT_DONE:
        typer.echo(sentence)
    typer.echo(out)
    if failures:
        raise typer.Exit(SOME_FAILED)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    host: Annotated[str, typer.Option(help="Any but this machine's own needs a token.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(envvar="MAMMOSCOPE_TOKEN", help="Secret that a browser must show; the printed address holds it."),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option("--data", help="Folder that keeps analyses.", show_default="kept nowhere, removed at the end"),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Remove all analyses at the end; so it is without --data.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name that browsers may call this server by.")
    ] = None,
    keep_free: Annotated[
        float, typer.Option(min=0, help="Gigabytes of the disk that stay free: an upload that needs them is refused.")
    ] = 0.5,
    bundle: BundleOption = None,
    audit: AuditOption = None,
) -> None:
    """Open the reading page: drop mammograms on it, look, decide. Ends with Ctrl-C."""
    import logging

    from mammoscope.errors import MammoscopeError
    from mammoscope.server import ServerSettings
    from mammoscope.server import serve as run

    if ephemeral and data_folder:
        raise MammoscopeError("--ephemeral removes what --data DIR keeps: give one of them")
    settings = ServerSettings(
        host=host,
        port=port,
        token=token,
        data=data_folder,
        allowed_hosts=tuple(allow_host or ()),
        reserve=round(keep_free * 2**30),
        bundle=bundle,
        audit=audit,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run(settings, started=lambda address: typer.echo(f"{NOTICE}\nOpen {address} in a browser; Ctrl-C ends."))


@app.command()
def example(
    out: Annotated[Path, typer.Option(help="Folder for the four DICOM files and truth.json.")] = Path("example-exam"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed makes another patient.")] = 0,
) -> None:
    """Make a synthetic four-view exam to try things out with. It proves the plumbing, never the accuracy."""
    from mammoscope.example import write_exam

    for path in write_exam(out, seed):
        typer.echo(path)


@imports.command("cbis-ddsm")
def import_cbis_ddsm(
    source: Annotated[Path, typer.Argument(help="Folder of the published download: CSV tables and DICOM tree.")],
    out: Annotated[Path, typer.Argument(help="Folder for train/ and test/ in the dataset layout.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one a core")] = None,
) -> None:
    """Bring CBIS-DDSM's masses into the dataset layout, at full resolution. Goes on where it was stopped."""
    from dataclasses import asdict

    from mammoscope.datasets.cbis_ddsm import import_cbis_ddsm as run
    from mammoscope.stages.inference import usable_cores

    with _progress("importing") as advance:
        report = run(source, out, workers=workers or usable_cores(), progress=advance)
    for name, value in asdict(report).items():
        items = value if isinstance(value, tuple) else ()
        typer.echo(f"{name.replace('_', ' ')}: {len(items) if isinstance(value, tuple) else value}")
        for item in items:
            typer.echo(f"  {item if isinstance(item, str) else ': '.join(item)}")


@data.command("split")
def split(
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Argument(help="New folder for train/ and validation/.")],
    fold: Annotated[int, typer.Option(min=0, help="The fold that validates.")] = 0,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Divide a dataset by patient, as trainings do."""
    from mammoscope.datasets.lesions import load_dataset
    from mammoscope.datasets.splits import write_split

    for path in write_split(load_dataset(dataset), out, fold=fold, folds=folds, seed=seed):
        typer.echo(path)


@data.command("check")
def check(
    datasets: Annotated[list[Path], typer.Argument(help="Folders in the dataset layout.")],
) -> None:
    """Check each dataset's files, and find patients or pictures on two sides; ends with 1 where it finds any."""
    from mammoscope.datasets.integrity import check_integrity
    from mammoscope.datasets.leakage import check_leakage
    from mammoscope.datasets.lesions import load_dataset
    from mammoscope.errors import DatasetError

    loaded = [load_dataset(folder) for folder in datasets]
    problems: list[object] = []
    for dataset in loaded:
        with _progress(f"reading {dataset.name}") as advance:
            problems += check_integrity(dataset, progress=advance)
    if len(loaded) > 1:
        try:
            with _progress("comparing") as advance:
                problems += check_leakage(loaded, progress=advance)
        except DatasetError as error:
            problems.append(f"not compared: {error}")
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(problems)} problems" if problems else "no problem found")
    if problems:
        raise typer.Exit(LEAKAGE_FOUND)


@data.command("describe")
def describe(
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout, or one of such folders: its splits.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page with charts, a CSV of every number, and both as JSON.")
    ] = None,
) -> None:
    """Count what is in a dataset."""
    from rich.console import Console

    from mammoscope.datasets.overview import describe as run
    from mammoscope.datasets.overview import load_splits, render_overview, write_overview

    overviews = {name: run(part) for name, part in load_splits(dataset).items()}
    for overview in overviews.values():
        Console().print(render_overview(overview))
    if out:
        write_overview(overviews, out)
        typer.echo(out)


@app.command()
def train(
    task: Task,
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped one goes on.")],
    recipe: Annotated[str, typer.Option(help="A TOML file, or the name of a recipe that comes along.")] = "default",
    init: Annotated[
        str | None,
        typer.Option(
            help="Where a backbone starts: a safetensors file of timm's, or 'timm' for its own weights. Where a whole "
            "detector or segmenter starts: best.safetensors of an earlier run."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="For the reducer: whose detector proposes the regions; without it that of the default one."),
    ] = None,
) -> None:
    """Train a stage; a training that was stopped at any moment goes on where it was. Needs the extra 'train'."""
    _need_training()
    from mammoscope.training.run import train as run

    run(task.value, dataset, recipe, out, init, proposing=bundle)
    typer.echo(out)


@app.command()
def evaluate(
    stage: Stage,
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json, report.html and cases.csv.")],
    bundle: BundleOption = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    draws: Annotated[int, typer.Option(min=10, help="Of the bootstrap.")] = 2000,
) -> None:
    """Measure a stage of a bundle, or the whole chain, with 95% intervals by patient."""
    from mammoscope.bundle import load_bundle
    from mammoscope.evaluation.run import evaluate as run

    with _progress(f"evaluating the {stage.value}") as advance:
        report = run(stage.value, dataset, out, load_bundle(bundle), seed=seed, draws=draws, progress=advance)
    typer.echo(report)


@bundles.command("build")
def build(
    dataset: Annotated[Path, typer.Argument(help="The dataset that the trainings used.")],
    detector: Annotated[Path, typer.Option(help="Run of the detector, or a bundle to take it from.")],
    segmenter: Annotated[Path, typer.Option(help="Run of the segmenter, or a bundle.")],
    classifier: Annotated[Path, typer.Option(help="Run of the classifier, or a bundle.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    reducer: Annotated[
        Path | None, typer.Option(help="Run of the reducer, or a bundle; without it there is none.")
    ] = None,
    name: Annotated[str, typer.Option(help="The bundle's name.")] = "mammoscope-cbis-ddsm",
    version: Annotated[str, typer.Option(help="The bundle's version.")] = __version__,
) -> None:
    """Export trainings, calibrate and measure them on their validation patients. Needs the extra 'train'."""
    _need_training()
    from mammoscope.training.build import build_bundle

    build_bundle(
        detector, segmenter, classifier, dataset, out, reducer=reducer, name=name, version=version, log=typer.echo
    )
    typer.echo(out)


@bundles.command("verify")
def verify(bundle: BundleOption = None) -> None:
    """Check every file of a bundle against its hash, and that each stage loads."""
    from mammoscope.bundle import load_bundle

    models = load_bundle(bundle)
    for stage in (models.proposer, models.reducer, models.segmenter, models.classifier):
        if stage is not None:
            typer.echo(f"{type(stage).__name__}: loads")
    typer.echo(f"{models.manifest.name} {models.manifest.version}: every file is as the manifest says, {models.sha256}")


@bundles.command("show")
def show(bundle: BundleOption = None) -> None:
    """Print a bundle's manifest: models, data, split, figures, licence."""
    from mammoscope.bundle import load_bundle

    typer.echo(load_bundle(bundle).manifest.model_dump_json(indent=2))


@audits.command("verify")
def verify_audit(
    folder: Annotated[Path, typer.Argument(help="Folder of the audit trail.")],
    head: Annotated[
        str | None, typer.Option(help="A head that was noted elsewhere: the trail must still hold that line.")
    ] = None,
) -> None:
    """Check every line of an audit trail; ends with 1 where one was changed, taken out or put in.

    The trail cannot prove that lines at its end were not taken away, nor that all of it was not written anew: note its
    head elsewhere from time to time, and give it as --head later.
    """
    from mammoscope.audit import verify_trail

    found = verify_trail(folder, head)
    for place in found.torn:
        typer.echo(f"{place}: torn by a crash, what it was to say is lost; the chain goes on")
    typer.echo(f"chain {found.chain}: {found.entries} analyses{', up to the break' if found.broken else ''}")
    typer.echo(f"head {found.head}: note it elsewhere, for lines taken away at the end do not show without it")
    if found.broken:
        typer.echo(f"broken: {found.broken}", err=True)
        raise typer.Exit(TRAIL_BROKEN)


def _inputs(paths: list[Path]) -> tuple[list[Path], list[InputError]]:
    """The files that paths name, and what was wrong with some, which has been said; ends where there is no file."""
    from mammoscope.readers import find_inputs

    failures: list[InputError] = []

    def refuse(error: InputError) -> None:
        failures.append(error)
        _complain(error)

    files = find_inputs(paths, refuse)
    if not files:
        raise typer.Exit(USAGE_ERROR)
    return files, failures


def _need_training() -> None:
    from importlib.util import find_spec

    from mammoscope.errors import MammoscopeError

    missing = [name for name in ("torch", "torchvision", "timm", "safetensors", "onnx") if find_spec(name) is None]
    if missing:
        raise MammoscopeError(f"{', '.join(missing)} not installed: this needs mammoscope's extra 'train'")


def _complain(error: Exception) -> None:
    from mammoscope.readers.source import printable

    typer.secho(f"error: {printable(str(error))}", fg=typer.colors.RED, err=True)


class _progress:  # noqa: N801 (used as a function)
    """A progress bar on standard error for the length of a block, as a function of what is done and of all."""

    def __init__(self, label: str, total: int | None = None) -> None:
        self._label, self._total = label, total

    def __enter__(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        task = self._bar.add_task(self._label, total=self._total)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
