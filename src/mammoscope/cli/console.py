"""Shared by the commands: inputs, error messages, progress and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from mammoscope.errors import InputError

USAGE_ERROR, SOME_FAILED, LEAKAGE_FOUND, TRAIL_BROKEN = 2, 3, 1, 1


def inputs_of(paths: list[Path]) -> tuple[list[Path], list[InputError]]:
    """The files that paths name, and the errors, which are printed already; exits if there is no file."""
    from mammoscope.readers import find_inputs

    failures: list[InputError] = []

    def refuse(error: InputError) -> None:
        failures.append(error)
        complain(error)

    files = find_inputs(paths, refuse)
    if not files:
        raise typer.Exit(USAGE_ERROR)
    return files, failures


def need_training() -> None:
    from importlib.util import find_spec

    from mammoscope.errors import MammoscopeError

    missing = [name for name in ("torch", "torchvision", "timm", "safetensors", "onnx") if find_spec(name) is None]
    if missing:
        raise MammoscopeError(f"{', '.join(missing)} not installed: this needs mammoscope's extra 'train'")


def need_archive() -> None:
    from importlib.util import find_spec

    from mammoscope.errors import MammoscopeError

    missing = [name for name in ("pyarrow", "fsspec") if find_spec(name) is None]
    if missing:
        raise MammoscopeError(f"{', '.join(missing)} not installed: this needs mammoscope's extra 'archive'")


def complain(error: Exception) -> None:
    from mammoscope.text import printable

    typer.secho(f"error: {printable(str(error))}", fg=typer.colors.RED, err=True)


def silence_libraries() -> None:
    """Keep what libraries warn of and log from terminal and log files: they quote what they read, send and receive."""
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in ("pydicom", "highdicom", "pynetdicom", "dicognito", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def log_to_standard_error() -> None:
    """What a service does, line by line."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


class progress_bar:  # noqa: N801 (used as a function)
    """A progress bar on standard error during a block, as a function of the items done, of all, and of the work."""

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

        def advance(done: int, total: int, label: str = self._label) -> None:
            if label != self._bar.tasks[0].description:  # work of another speed
                self._bar.reset(task, description=label)
            self._bar.update(task, completed=done, total=total)

        return advance

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
