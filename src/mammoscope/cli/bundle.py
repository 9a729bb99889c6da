"""``mammoscope bundle``: build, verify and show model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from mammoscope import __version__
from mammoscope.cli.console import need_training
from mammoscope.cli.options import BundleOption

app = typer.Typer(help="Build, verify, compare and show model bundles.", no_args_is_help=True)


@app.command("build")
def build(
    dataset: Annotated[Path, typer.Argument(help="The dataset that the trainings used.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    detector: Annotated[Path | None, typer.Option(help="Run of the detector, or a bundle to take it from.")] = None,
    segmenter: Annotated[Path | None, typer.Option(help="Run of the segmenter, or a bundle.")] = None,
    classifier: Annotated[Path | None, typer.Option(help="Run of the classifier, or a bundle.")] = None,
    rescorer: Annotated[
        Path | None,
        typer.Option("--rescorer", "--reducer", help="Run of the rescorer, or a bundle; without it there is none."),
    ] = None,
    joint: Annotated[
        Path | None,
        typer.Option(help="Run of a joint network, or a bundle; in place of detector, segmenter and classifier."),
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:IMPLEMENTATION[:ROLE]",
            help="A step of another package, which runs after the built-in ones of its role (detect, rescore, segment, "
            "classify, joint, or other: before candidates are selected); may be given several times.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="STEP.SETTING=VALUE",
            help="A setting of a step to change before anything is fitted, such as classify.flips=true; may be given "
            "several times.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The bundle's name.", show_default="mammoscope- and the dataset's")
    ] = None,
    version: Annotated[str, typer.Option(help="The bundle's version.")] = __version__,
) -> None:
    """Export trainings, calibrate and measure them on their validation patients. Needs the extra 'train'."""
    need_training()
    from mammoscope.bundling.build import build_bundle
    from mammoscope.bundling.sources import ExtraStep
    from mammoscope.families.changes import nested, parsed
    from mammoscope.families.family import RoleName

    given: dict[RoleName, Path | None] = {
        "detect": detector,
        "joint": joint,
        "rescore": rescorer,
        "segment": segmenter,
        "classify": classifier,
    }
    build_bundle(
        {role: folder for role, folder in given.items() if folder is not None},
        dataset,
        out,
        name=name,
        version=version,
        extra_steps=[ExtraStep.of(text) for text in step or ()],
        changes=nested(parsed(set_ or ())),
        log=typer.echo,
    )
    typer.echo(out)


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="Folder that 'evaluate --bundle FIRST' wrote.")],
    second: Annotated[Path, typer.Argument(help="That of the other bundle, of the same stage and dataset.")],
    out: Annotated[Path | None, typer.Option(help="JSON file for all figures.", show_default="none")] = None,
    seed: Annotated[int, typer.Option(help="Of bootstrap and permutations.")] = 0,
    draws: Annotated[int, typer.Option(min=100, help="Of bootstrap and permutations.")] = 2000,
) -> None:
    """Say which of two bundles is better on the same cases, from their evaluations: paired, a sentence a figure."""
    from mammoscope import NOTICE
    from mammoscope.evaluation.compare.reports import compare_reports
    from mammoscope.evaluation.metrics.intervals import Bootstrap
    from mammoscope.files import write_json

    compared = compare_reports(first, second, Bootstrap(draws, seed))
    if out is not None:
        write_json(out, compared)
    for row in cast(list[dict[str, str]], compared["figures"]):
        typer.echo(row["sentence"])
    typer.echo(NOTICE)


@app.command("verify")
def verify(bundle: BundleOption = None) -> None:
    """Check every file of a bundle against its hash, and that each stage loads."""
    from mammoscope.bundle import load_bundle

    models = load_bundle(bundle)
    for step in models.steps:
        typer.echo(f"{step.manifest.name}: {type(step.step).__name__} loads")
    typer.echo(f"{models.manifest.name} {models.manifest.version}: every file matches the manifest, {models.sha256}")


@app.command("show")
def show(bundle: BundleOption = None) -> None:
    """Print a bundle's manifest: models, data, split, figures, licence."""
    from mammoscope.bundle import load_bundle

    typer.echo(load_bundle(bundle).manifest.model_dump_json(indent=2))
