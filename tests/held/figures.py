"""Every figure of the four evaluations, as the command line gives them, by its path in ``report.json``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from math import isclose
from pathlib import Path

STAGES = ("detector", "segmenter", "classifier", "pipeline")
# ONNX Runtime adds up in another order on another processor or with another number of threads, which moves a score by
# 1e-7: means and areas move with it, counts and shares do not. There, four digits after the point are held.
SAME_MACHINE = 1e-9  # relative
OTHER_DIGITS, OTHER_ROUNDING = 4, 1e-6  # the second, for a figure that lies where the fourth digit turns
_NO_FIGURES = {"definition", "dataset", "bundle", "published_reference", "code_version", "notice", "stage"}

Figures = dict[str, float | None]


def evaluated(stage: str, dataset: Path, out: Path, *options: str) -> Figures:
    """Run ``mammoscope evaluate`` and read what it found."""
    command = [sys.executable, "-m", "mammoscope", "evaluate", stage, str(dataset), "--out", str(out), *options]
    _run(command)
    return figures_of(out / "report.json")


def divided(dataset: Path, out: Path) -> Path:
    """Divide a dataset by patient as ``mammoscope data split`` does; the part that validates."""
    _run([sys.executable, "-m", "mammoscope", "data", "split", str(dataset), str(out)])
    return out / "validation"


def figures_of(report: Path) -> Figures:
    """Every number of a report, None where a figure has no value; texts and what is no figure are left out."""
    content = json.loads(report.read_text(encoding="utf-8"))
    return dict(_numbers("", {key: value for key, value in content.items() if key not in _NO_FIGURES}))


def differences(stage: str, held: Figures, now: Figures, *, same_machine: bool) -> Iterator[str]:
    """One sentence for each figure that is gone or has moved; new figures may come."""
    for path, old in held.items():
        if path not in now:
            yield f"{stage}: {path} is gone, was {old}"
        elif not _same(old, now[path], same_machine=same_machine):
            yield f"{stage}: {path} is {now[path]}, was {old}"


def _same(held: float | None, now: float | None, *, same_machine: bool) -> bool:
    if held is None or now is None:
        return held is now
    if isclose(held, now, rel_tol=SAME_MACHINE, abs_tol=SAME_MACHINE):
        return True
    alike = round(held, OTHER_DIGITS) == round(now, OTHER_DIGITS) or abs(held - now) <= OTHER_ROUNDING
    return alike and not same_machine


def _numbers(path: str, value: object) -> Iterator[tuple[str, float | None]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _numbers(f"{path}.{key}" if path else key, inner)
        case list():
            for number, inner in enumerate(value):
                yield from _numbers(f"{path}[{number}]", inner)
        case bool() | str():
            return
        case int() | float() | None:
            yield path, value


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stdout}{done.stderr}")
