"""The page about a dataset: tables and charts in one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from mammoscope import NOTICE, __version__
from mammoscope.datasets.overview.charts import KINDS, Kinds, bars_chart, size_chart

_TOP_SHAPES = 5
_TITLES = {
    "BI-RADS": "BI-RADS assessment by pathology",
    "Density": "Breast density by pathology",
    "Shape": "The five most frequent shapes by pathology",
    "Margins": "Margins by pathology",
    "Subtlety": "Subtlety, from 1 (hard) to 5 (easy), by pathology",
    "View": "Views by pathology",
}


@dataclass(frozen=True)
class Described:
    """What the page shows of one split.

    Attributes
    ----------
    facts
        Sentences by their label.
    sizes
        Quantiles by the name of the length.
    labels
        Lesions of each pathology by value, by the name of the label.
    pathology
        All lesions of each pathology.
    size_bins
        Least width, least height (shares of the image) and number of masses.
    """

    facts: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, float]]
    labels: Mapping[str, Mapping[str, Kinds]]
    pathology: Kinds
    size_bins: Sequence[tuple[float, float, int]]


def overview_page(described: Mapping[str, Described], size_step: float) -> str:
    """The page as HTML, for splits by their name; ``size_step`` is the side of a size bin."""
    splits = list(described.values())
    sections = [
        _section("Pathology", {name: _pathology(one.pathology) for name, one in described.items()}),
        _section(
            "Pathology, both kinds of benign merged", {name: _merged(one.pathology) for name, one in described.items()}
        ),
    ]
    for label, title in _TITLES.items():
        groups = {name: one.labels[label] for name, one in described.items()}
        sections.append(_section(title, groups, most=_TOP_SHAPES if label == "Shape" else None))
    template = (files("mammoscope.datasets.overview") / "overview.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(template)
    return page.render(
        title=next(iter(described)) if len(described) == 1 else "Splits: " + ", ".join(described),
        splits=list(described),
        facts=[(label, [one.facts[label] for one in splits]) for label in splits[0].facts],
        heads=list(next(iter(splits[0].sizes.values()))),
        sizes=[(label, name, one.sizes[label]) for label in splits[0].sizes for name, one in described.items()],
        size_chart=size_chart({name: one.size_bins for name, one in described.items()}, size_step),
        sections=sections,
        kinds=KINDS,
        version=__version__,
        notice=NOTICE,
    )


def _pathology(kinds: Kinds) -> dict[str, Kinds]:
    return {kind: _only(kinds, (place,)) for place, kind in enumerate(KINDS)}


def _merged(kinds: Kinds) -> dict[str, Kinds]:
    return {"malignant": _only(kinds, (0,)), "benign, both kinds": _only(kinds, (1, 2))}


def _only(kinds: Kinds, kept: Iterable[int]) -> Kinds:
    malignant, benign, without_callback = (number if place in set(kept) else 0 for place, number in enumerate(kinds))
    return malignant, benign, without_callback


def _section(title: str, groups: Mapping[str, Mapping[str, Kinds]], *, most: int | None = None) -> dict[str, object]:
    """Chart and table of one distribution; groups that one split lacks have none there."""
    values = list(dict.fromkeys(value for split in groups.values() for value in split))
    ranked = sorted(values, key=lambda value: -sum(sum(split.get(value, ())) for split in groups.values()))
    shown = ranked[:most] if most else values
    whole = {name: {value: split.get(value, (0, 0, 0)) for value in values} for name, split in groups.items()}
    charted = {name: {value: split[value] for value in shown} for name, split in whole.items()}
    rows = [(value, [split[value] for split in whole.values()]) for value in values]
    return {"title": title, "chart": bars_chart(charted), "rows": rows}
