"""``mammoscope example``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammoscope.example import PhantomSettings


def example(
    out: Annotated[Path, typer.Option(help="Folder for the DICOM files and truth.json.")] = Path("example-exam"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed makes another patient.")] = 0,
    mass: Annotated[
        list[str] | None,
        typer.Option(
            help="round, oval, lobulated, irregular or spiculated; may be given several times.",
            show_default="spiculated, or none with --calcifications",
        ),
    ] = None,
    calcifications: Annotated[
        list[str] | None,
        typer.Option(
            help="A cluster: amorphous, pleomorphic or linear, perhaps with its distribution, grouped, linear, "
            "segmental or regional, as in pleomorphic-segmental; may be given several times.",
            show_default="none",
        ),
    ] = None,
    density: Annotated[
        str | None, typer.Option(help="Composition of the breasts, A to D.", show_default="by the seed")
    ] = None,
    look: Annotated[str, typer.Option(help="digital, or film: scanned.")] = "digital",
    dose: Annotated[float, typer.Option(help="Against the usual one, 0.02 to 50: less is noisier.")] = 1.0,
    blur: Annotated[float, typer.Option(help="A further blur, in mm, 0 to 3.")] = 0.0,
    prior: Annotated[
        str, typer.Option(help="smaller or absent: also an exam of the year before, and how its lesions are.")
    ] = "none",
    compare: Annotated[
        Path | None,
        typer.Option(help="Results of analyze: draw nothing, print what is in the exam at --out beside them."),
    ] = None,
) -> None:
    """Make a synthetic four-view exam to try things out with. It does not show how accurate the models are."""
    if compare is not None:
        _print_compared(out, compare)
        return
    from mammoscope.example import write_exam

    masses = {"masses": mass or ()} if mass or calcifications else {}
    settings = _settings(
        density=density,
        calcifications=calcifications or (),
        dose=dose,
        blur_mm=blur,
        look=look,
        prior=prior,
        **masses,
    )
    for path in write_exam(out, seed, settings=settings):
        typer.echo(path)


def _settings(**chosen: object) -> PhantomSettings:
    from pydantic import ValidationError

    from mammoscope.example import PhantomSettings

    try:
        return PhantomSettings.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) + ": " if first["loc"] else ""
        raise typer.BadParameter(f"{name}{first['msg']}, got {first['input']!r}" if name else first["msg"]) from None


def _print_compared(exam: Path, results: Path) -> None:
    from rich.console import Console

    from mammoscope.example.compare import compared, summary, truth_table

    rows = compared(exam, results)
    Console().print(truth_table(rows))
    typer.echo(summary(rows))
