"""Learning curves as SVG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mammoscope.studies.comparison import Comparison
from mammoscope.studies.plan import Item
from mammoscope.studies.records import curve_of

# Okabe and Ito 2008: distinguishable with any kind of colour blindness; then the same dashed.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":")
# What trainings choose their best epoch by: the first of these that metrics.csv has.
_CRITERIA = {
    "detect": ("ap",),
    "segment": ("iou_mean", "iou_pooled", "iou_pooled_cuts"),
    "classify": ("auc",),
    "joint": ("mean",),
}


@dataclass(frozen=True)
class Drawing:
    """A plot as SVG, with its title and a sentence on how to read it."""

    title: str
    caption: str
    svg: str

    @property
    def data_uri(self) -> str:
        """As a data URI, so that the page needs no other file."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode("ascii")


def learning_curves(comparison: Comparison, items: Sequence[Item]) -> list[Drawing]:
    """What each training was validated by, over its epochs and over its time; empty if none has begun.

    Parameters
    ----------
    items
        All of the study, also those that are not finished.
    """
    drawings = []
    for title, label, by_time in (
        ("Learning curves over epochs", "Epoch", False),
        ("Learning curves over time", "Hours of training", True),
    ):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        names = _draw(axes, comparison, items, by_time=by_time)
        if not names:
            return []
        axes.set(xlabel=label, ylabel=" or ".join(sorted(names)))
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
        caption = "On validation patients after each epoch, by which the best is chosen; one line a fold and seed."
        drawings.append(Drawing(title, caption, _svg(figure)))
    return drawings


def _draw(axes: Axes, comparison: Comparison, items: Sequence[Item], *, by_time: bool) -> set[str]:
    """Draw all curves; the names of the metrics that they show."""
    study = comparison.study
    trained = [entry.name for entry in study.entries if entry.recipe]
    names: set[str] = set()
    labelled: set[str] = set()
    for item in items:
        role = study.role_of(item.entry)
        rows = curve_of(item, role)
        name = next((name for name in _CRITERIA.get(role, ()) if rows and name in rows[0]), None)
        if name is None:
            continue
        names.add(name)
        place = trained.index(item.entry.name)
        hours = np.cumsum([float(row["seconds"]) for row in rows]) / 3600
        x = hours if by_time else np.array([float(row["epoch"]) for row in rows])
        axes.plot(
            x,
            [float(row[name]) for row in rows],
            color=_COLOURS[place % len(_COLOURS)],
            linestyle=_STYLES[place // len(_COLOURS) % len(_STYLES)],
            marker="." if len(rows) == 1 else None,
            linewidth=1.3,
            label=None if item.entry.name in labelled else item.entry.name,
        )
        labelled.add(item.entry.name)
    return names


def _svg(figure: Figure) -> str:
    stream = StringIO()
    FigureCanvasSVG(figure)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mammoscope"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
