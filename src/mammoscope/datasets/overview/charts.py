"""Charts of a dataset, one panel for each split, as PNG inside the page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Kinds = tuple[int, ...]  # lesions of each of KINDS, or of the first of them

KINDS = ("malignant", "benign", "benign without callback", "unknown")
# Okabe and Ito 2008: distinguishable with any kind of colour blindness.
_COLOURS = ("#D55E00", "#0072B2", "#56B4E9", "#999999")
_MOST_GROUPS = 10
_WIDTH = 10.0
_DPI = 110


def bars_chart(splits: Mapping[str, Mapping[str, Kinds]]) -> str:
    """Stacked bars of the groups, one panel a split; groups after the first ten are joined."""
    kinds = KINDS[: max(len(group) for groups in splits.values() for group in groups.values())]
    longest = min(max(len(groups) for groups in splits.values()), _MOST_GROUPS + 1)
    figure, panels = _panels(len(splits), 1.4 + 0.32 * longest)
    for axes, (name, groups) in zip(panels, splits.items(), strict=True):
        shown = _first_groups(groups)
        places, start = np.arange(len(shown)), np.zeros(len(shown))
        for place, (kind, colour) in enumerate(zip(kinds, _COLOURS, strict=False)):
            numbers = np.array([group[place] for group in shown.values()])
            axes.barh(places, numbers, left=start, color=colour, label=kind)
            start = start + numbers
        for y, number in zip(places, start, strict=True):
            axes.annotate(
                f"{number:g}", (number, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(places, [_in_words(group) for group in shown], fontsize=8)
        axes.margins(x=0.12)
        axes.set(title=name if len(splits) > 1 else "", xlabel="Lesions")
    panels[0].invert_yaxis()
    figure.legend(
        *panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=4, loc="outside lower center"
    )
    return _as_uri(figure)


def size_chart(splits: Mapping[str, Sequence[tuple[float, float, int]]], step: float) -> str:
    """Lesions by width and height of their box, as squares of ``step``; one panel a split."""
    largest = max((max(width, height) for bins in splits.values() for width, height, _ in bins), default=0.0)
    side = round(largest / step) + 1
    figure, panels = _panels(len(splits), 4.2)
    for axes, (name, bins) in zip(panels, splits.items(), strict=True):
        counts = np.zeros((side, side))
        for width, height, number in bins:
            counts[round(height / step), round(width / step)] = number
        extent = (0, 100 * side * step, 0, 100 * side * step)
        drawn = axes.imshow(np.where(counts > 0, counts, np.nan), origin="lower", extent=extent, cmap="viridis_r")
        axes.set(title=name if len(splits) > 1 else "", xlabel="Width of the box, % of the image")
        figure.colorbar(drawn, ax=axes, label="Lesions", shrink=0.8)
    panels[0].set_ylabel("Height of the box, % of the image")
    return _as_uri(figure)


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH if count > 1 else 0.62 * _WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(np.ravel(figure.subplots(1, count, sharey=True, squeeze=False)))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _first_groups(groups: Mapping[str, Kinds]) -> dict[str, Kinds]:
    shown = dict(list(groups.items())[:_MOST_GROUPS])
    rest = np.array(list(groups.values())[_MOST_GROUPS:])
    if len(rest):
        shown[f"{len(rest)} others"] = tuple(int(number) for number in rest.sum(axis=0))
    return shown


def _in_words(name: str) -> str:
    return name if name.isupper() and len(name) <= 3 else name.replace("_", " ").replace("-", " + ").capitalize()


def _as_uri(figure: Figure) -> str:
    target = BytesIO()
    figure.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode("ascii")
