"""``mammoscope calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mammoscope.cli.console import progress_bar
from mammoscope.cli.options import BundleOption

if TYPE_CHECKING:
    from mammoscope.evaluation.metrics.intervals import Json


def calibrate(
    folder: Annotated[
        Path, typer.Argument(metavar="LABELLED_FOLDER", help="Some 100 local cases, in the dataset layout.")
    ],
    out: Annotated[Path, typer.Option(help="The new bundle's folder; calibration.json lies in it.")],
    bundle: BundleOption = None,
    sensitivity: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="Share of the lesions that shall be found.")
    ] = None,
    false_positives: Annotated[
        float | None,
        typer.Option(min=0, help="Or: false positives an image, on images without a lesion where there are any."),
    ] = None,
    malignancy_sensitivity: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Share of the malignant lesions found that shall be called malignant."),
    ] = None,
    keep_malignancy: Annotated[
        bool, typer.Option("--keep-malignancy", help="Leave malignancy scores as they are.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of folds and bootstrap.")] = 0,
    draws: Annotated[int, typer.Option(min=10, help="Of the bootstrap.")] = 2000,
) -> None:
    """Fit a bundle's thresholds, and its malignancy scores, to local cases; says what they are worth, cross-validated.

    One of --sensitivity and --false-positives says what the detection threshold shall reach.
    """
    from mammoscope import NOTICE
    from mammoscope.bundle import load_bundle
    from mammoscope.bundling.recalibrate import Wanted, recalibrate

    wanted = Wanted(sensitivity, false_positives, malignancy_sensitivity, keep_malignancy)
    with progress_bar("analysing the cases") as advance:
        report = recalibrate(folder, load_bundle(bundle), out, wanted, seed=seed, draws=draws, progress=advance)
    for line in _lines(report):
        typer.echo(line)
    typer.echo(NOTICE)
    typer.echo(out)


def _lines(report: Json) -> list[str]:
    """What was fitted, in words."""
    detection = cast(dict[str, Any], report["detection"])
    on, before, after = detection["false_positives_on"], detection["before"], detection["cross_validated"]
    lines = [
        f"{report['images']} images, {report['lesions']} lesions, {report['patients']} patients",
        f"detection threshold {_shown(detection['threshold'])}, before {before['threshold']:.3f}",
        f"lesions found, cross-validated: {_shown(after['sensitivity'])}, before {_shown(before['sensitivity'])}",
        f"false positives an image, on {on}, cross-validated: {_shown(after['false_positives_per_image'])}, "
        f"before {_shown(before['false_positives_per_image'])}",
    ]
    if "malignancy" in report:
        lines += _malignancy_lines(cast(dict[str, Any], report["malignancy"]))
    if "malignancy_threshold" in report:
        of = cast(dict[str, Any], report["malignancy_threshold"])
        crossed = of["cross_validated"]
        lines.append(
            f"malignancy threshold {_shown(of['threshold'])}; cross-validated it catches "
            f"{_shown(crossed['sensitivity'])} of the malignant lesions found, and "
            f"{_shown(crossed['benign_called_malignant'])} of the benign ones"
        )
    parts = (report.get(name) for name in ("detection", "malignancy", "malignancy_threshold"))
    return lines + [f"warning: {part['warning']}" for part in parts if isinstance(part, dict) and "warning" in part]


def _malignancy_lines(of: dict[str, Any]) -> list[str]:
    if "slope" not in of:
        return []
    verb = "recalibrated" if of["recalibrated"] else "left as they are"
    return [
        f"malignancy scores {verb}: slope {_shown(of['slope'])}, intercept {of['intercept']:.3f}; Brier score, "
        f"cross-validated: {_shown(of['cross_validated']['brier'])}, before {_shown(of['before']['brier'])}"
    ]


def _shown(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "unknown"
    interval = figure["ci95"]
    return f"{figure['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
