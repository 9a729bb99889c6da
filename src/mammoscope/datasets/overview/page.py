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
        Least width, least height (shares of the image) and number of lesions.
    """

    facts: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, float]]
    labels: Mapping[str, Mapping[str, Kinds]]
    pathology: Kinds
    size_bins: Sequence[tuple[float, float, int]]


def overview_page(described: Mapping[str, Described], size_step: float) -> str:
    """The page as HTML, for splits by their name; ``size_step`` is the side of a size bin."""
    splits = list(described.values())
    kinds = KINDS if any(one.pathology[-1] for one in splits) else KINDS[:-1]
    sections = [
        _section("Pathology", {name: _pathology(one.pathology, kinds) for name, one in described.items()}, kinds),
        _section(
            "Pathology, both kinds of benign merged",
            {name: _merged(one.pathology, kinds) for name, one in described.items()},
            kinds,
        ),
    ]
    for label, title in _TITLES.items():
        groups = {name: one.labels[label] for name, one in described.items()}
        if any(groups.values()):
            sections.append(_section(title, groups, kinds, most=_TOP_SHAPES if label == "Shape" else None))
    bins = {name: one.size_bins for name, one in described.items()}
    template = (files("mammoscope.datasets.overview") / "overview.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(template)
    return page.render(
        title=next(iter(described)) if len(described) == 1 else "Splits: " + ", ".join(described),
        splits=list(described),
        facts=[(label, [one.facts[label] for one in splits]) for label in splits[0].facts],
        heads=list(next(iter(splits[0].sizes.values()))),
        sizes=[
            (label, name, one.sizes[label])
            for label in dict.fromkeys(label for one in splits for label in one.sizes)
            for name, one in described.items()
            if label in one.sizes
        ],
        size_chart=size_chart(bins, size_step) if any(bins.values()) else None,
        sections=sections,
        kinds=kinds,
        version=__version__,
        notice=NOTICE,
    )


def _pathology(counts: Kinds, kinds: Sequence[str]) -> dict[str, Kinds]:
    return {kind: _only(counts, (place,)) for place, kind in enumerate(kinds)}


def _merged(counts: Kinds, kinds: Sequence[str]) -> dict[str, Kinds]:
    merged = {"malignant": _only(counts, (0,)), "benign, both kinds": _only(counts, (1, 2))}
    return merged | {kind: _only(counts, (place,)) for place, kind in enumerate(kinds) if place > 2}


def _only(counts: Kinds, kept: Iterable[int]) -> Kinds:
    return tuple(number if place in set(kept) else 0 for place, number in enumerate(counts))


def _section(
    title: str, groups: Mapping[str, Mapping[str, Kinds]], kinds: Sequence[str], *, most: int | None = None
) -> dict[str, object]:
    """Chart and table of one distribution with a column for each of ``kinds``; groups that a split lacks have none."""
    none = (0,) * len(kinds)
    values = list(dict.fromkeys(value for split in groups.values() for value in split))
    ranked = sorted(values, key=lambda value: -sum(sum(split.get(value, ())) for split in groups.values()))
    shown = ranked[:most] if most else values
    whole = {name: {value: split.get(value, none)[: len(kinds)] for value in values} for name, split in groups.items()}
    charted = {name: {value: split[value] for value in shown} for name, split in whole.items()}
    rows = [(value, [split[value] for split in whole.values()]) for value in values]
    return {"title": title, "chart": bars_chart(charted), "rows": rows}
