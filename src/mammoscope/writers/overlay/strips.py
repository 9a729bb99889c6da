"""The strips above and below an overlay: what it shows, legend, models and notice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammoscope.findings import Analysis
from mammoscope.kinds import GRADES, UNGRADED, kinds_shown, score_word
from mammoscope.mammogram import Laterality
from mammoscope.writers.malignancy import NOT_GRADED, operating_point_percent
from mammoscope.writers.overlay.ink import (
    PALETTE,
    PLATE,
    SOFT_WHITE,
    WHITE,
    YELLOW,
    Colour,
    Picture,
    draw_box,
    draw_text,
    text_width,
)

_SIDES = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}
_SHOWN_WARNINGS = 2


@dataclass(frozen=True)
class Run:
    """A piece of a line.

    Attributes
    ----------
    swatch
        Draws a sample box before the text: solid (False) or dashed (True); None draws none.
    """

    text: str
    colour: Colour = SOFT_WHITE
    bold: bool = False
    swatch: bool | None = None


def top_strip(analysis: Analysis, width: int, size: int) -> Picture:
    """Side, view, file name and outcome: ``(h, width, 3) uint8``, with type of ``size`` pixels."""
    facts = analysis.input
    side = _SIDES[facts.laterality] if facts.laterality else None
    shown = " ".join(part for part in (side, facts.view) if part)
    if side is None or facts.view is None:
        unknown = " and ".join(name for name, value in (("side", side), ("view", facts.view)) if value is None)
        shown = f"{shown}   ({unknown} not known)".strip()
    lines = _wrapped([Run(shown, WHITE, bold=True), Run(facts.name, SOFT_WHITE)], width, size)
    lines += _wrapped_text(analysis.statement, width, size, WHITE)
    return _strip(lines, width, size)


def bottom_strip(analysis: Analysis, width: int, size: int, *, unlabelled: int = 0) -> Picture:
    """Legend, warnings, models and notice: ``(h, width, 3) uint8``.

    Parameters
    ----------
    unlabelled
        Findings for whose label the overlay has no room.
    """
    lines: list[list[Run]] = []
    kinds = kinds_shown((finding.kind for finding in analysis.findings), analysis.bundle.kinds)
    scores = [finding.malignancy_score for finding in analysis.findings]
    point = operating_point_percent(analysis.thresholds.malignancy, scores)
    if analysis.findings:
        legend = [
            *(
                Run(
                    f"malignancy {side} the operating point of {point}",
                    PALETTE[grade.colour],
                    bold=True,
                    swatch=grade.line == "dashed",
                )
                for grade, side in zip(GRADES, ("above", "below"), strict=True)
            ),
            *([_not_graded()] if any(score is None for score in scores) else []),
            *(Run(f"{kind.word}: detection score") for kind in kinds),
        ]
        lines += _wrapped(legend, width, size)
    if unlabelled:
        lines += _wrapped_text(f"{unlabelled} more labels have no room here: see the table.", width, size, SOFT_WHITE)
    for warning in analysis.warnings[:_SHOWN_WARNINGS]:
        lines.append([Run(_elided(f"Note: {warning}", width - 2 * size, size))])
    if len(analysis.warnings) > _SHOWN_WARNINGS:
        lines.append(
            [Run(_elided(f"{len(analysis.warnings) - _SHOWN_WARNINGS} more notes in the report.", width, size))]
        )
    made_by = [
        Run(analysis.notice, YELLOW, bold=True),
        Run(analysis.software),
        Run(f"bundle {analysis.bundle.name} {analysis.bundle.version} ({analysis.bundle.sha256[:8]})"),
        Run(f"thresholds: {score_word(kinds)} {analysis.thresholds.detection:.2f}, malignancy {point}"),
    ]
    if analysis.input.spacing is None:
        made_by.append(Run("no scale: pixel spacing not known"))
    lines += _wrapped(made_by, width, size)
    return _strip(lines, width, size)


def _not_graded() -> Run:
    return Run(f"malignancy {NOT_GRADED}", PALETTE[UNGRADED.colour], bold=True)


def _strip(lines: list[list[Run]], width: int, size: int) -> Picture:
    pitch, edge = round(1.55 * size), round(0.6 * size)
    strip = np.empty((len(lines) * pitch + 2 * edge, width, 3), dtype=np.uint8)
    strip[:] = PLATE
    for number, line in enumerate(lines):
        x, middle = float(size), edge + (number + 0.5) * pitch
        for run in line:
            if run.swatch is not None:
                box = (x, middle - 0.42 * size, x + 1.5 * size, middle + 0.42 * size)
                draw_box(strip, box, run.colour, max(2, size // 9), dashed=run.swatch)
                x += _swatch_width(size)
            draw_text(strip, (x, middle), run.text, size, run.colour, bold=run.bold)
            x += text_width(run.text, size, bold=run.bold) + _space(size)
    return strip


def _wrapped(runs: list[Run], width: int, size: int) -> list[list[Run]]:
    """Runs in lines no wider than the strip; a run that is too wide alone is shortened in its middle."""
    room = width - 2 * size
    lines: list[list[Run]] = []
    used = 0
    for run in runs:
        swatch = 0 if run.swatch is None else _swatch_width(size)
        text = _elided(run.text, room - swatch, size, bold=run.bold)
        needed = swatch + text_width(text, size, bold=run.bold)
        if not lines or used + _space(size) + needed > room:
            lines.append([])
            used = needed
        else:
            used += _space(size) + needed
        lines[-1].append(Run(text, run.colour, run.bold, run.swatch))
    return lines


def _wrapped_text(text: str, width: int, size: int, colour: Colour) -> list[list[Run]]:
    """A sentence in lines no wider than the strip."""
    room = width - 2 * size
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(_elided(word, room, size))
    return [[Run(line, colour)] for line in lines if line]


def _elided(text: str, room: int, size: int, *, bold: bool = False) -> str:
    """The text, or its beginning and end around an ellipsis where it is wider than ``room``."""
    if text_width(text, size, bold=bold) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        if text_width(_shortened(text, kept), size, bold=bold) <= room:
            low = kept
        else:
            high = kept - 1
    return _shortened(text, low)


def _shortened(text: str, kept: int) -> str:
    """``kept`` characters of a text, one third of them from its end."""
    tail = kept // 3
    return text[: kept - tail] + "…" + (text[-tail:] if tail else "")


def _space(size: int) -> int:
    return round(1.4 * size)


def _swatch_width(size: int) -> int:
    return round(2.0 * size)
