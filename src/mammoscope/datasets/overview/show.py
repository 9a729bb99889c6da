"""Show what a dataset holds: on a terminal, as a page with charts, and as a table of every number."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from mammoscope.datasets.overview.charts import Kinds
from mammoscope.datasets.overview.page import Described, overview_page
from mammoscope.datasets.overview.records import SIZE_STEP, Overview, Pathologies, overview_labels, overview_sizes
from mammoscope.files import write_json, write_text

OVERVIEW_FILE, OVERVIEW_PAGE, OVERVIEW_TABLE = "overview.json", "overview.html", "overview.csv"


def render_overview(overview: Overview) -> RenderableType:
    """The overview for a terminal."""
    facts = Table("", "", title=overview.name, show_header=False)
    for label, value in _facts(overview).items():
        facts.add_row(label, value)
    sizes = Table("Size", "min", "5%", "25%", "50%", "75%", "95%", "max", title="Sizes")
    for label, quantiles in overview_sizes(overview).items():
        sizes.add_row(label, *(f"{value:.3g}" for value in quantiles.model_dump().values()))
    unknown = ("Unknown",) if overview.unknown else ()
    labels = Table("Label", "Value", "Malignant", "Benign", *unknown, title="Lesions by label")
    for label, groups in overview_labels(overview).items():
        for position, (value, group) in enumerate(groups.items(), start=1):
            last = position == len(groups)
            counts = (group.malignant, group.benign, group.unknown)[: 2 + len(unknown)]
            labels.add_row(label if position == 1 else "", value, *map(str, counts), end_section=last)
    return Group(facts, sizes, labels)


def write_overview(overviews: Mapping[str, Overview], folder: Path) -> None:
    """Write overviews by the name of their split.

    ``overview.html`` is a page of its own with charts, ``overview.csv`` holds every number that it shows, and
    ``overview.json`` the overviews.

    Raises
    ------
    MammoscopeError
        The folder cannot be written to.
    """
    write_json(folder / OVERVIEW_FILE, {name: overview.model_dump(mode="json") for name, overview in overviews.items()})
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("split", "distribution", "group", "measure", "value"))
    for name, overview in overviews.items():
        writer.writerows((name, *row) for row in overview_rows(overview))
    write_text(folder / OVERVIEW_TABLE, stream.getvalue())
    described = {
        name: Described(
            facts=_facts(overview),
            sizes={label: quantiles.model_dump() for label, quantiles in overview_sizes(overview).items()},
            labels={
                label: {value: _kinds(group) for value, group in groups.items()}
                for label, groups in overview_labels(overview).items()
            },
            pathology=_kinds(_all(overview)),
            size_bins=[(size.width_from, size.height_from, size.lesions.lesions) for size in overview.size_bins],
        )
        for name, overview in overviews.items()
    }
    write_text(folder / OVERVIEW_PAGE, overview_page(described, SIZE_STEP))


def overview_rows(overview: Overview) -> Iterator[tuple[str, str, str, float]]:
    """Every number of an overview: distribution, group, measure and value."""
    for count in ("images", "patients", "lesions", "crops", "masks", "normals", "unlisted"):
        yield "counts", "", count, getattr(overview, count)
    listed = (
        ("Sides", overview.sides),
        ("Kinds", overview.kinds),
        ("Images by label of the breast", overview.whole_breasts),
        ("Images by lesions", overview.lesions_per_image),
    )
    unknown = None if overview.unknown else {"unknown"}  # left out where every pathology is known
    for distribution, counts in listed:
        for value, number in counts.items():
            yield distribution, value, "images" if "Images" in distribution else "lesions", number
    for label, groups in {"Pathology": {"": _all(overview)}, **overview_labels(overview)}.items():
        for value, group in groups.items():
            for measure, number in group.model_dump(exclude=unknown).items():
                yield label, value, measure, number
    for size in overview.size_bins:
        place = f"width from {size.width_from:.3f}, height from {size.height_from:.3f}"
        for measure, number in size.lesions.model_dump(exclude=unknown).items():
            yield "Box width by height, of the image", place, measure, number
    for label, quantiles in overview_sizes(overview).items():
        for measure, length in quantiles.model_dump().items():
            yield label, "", measure, length


def _facts(overview: Overview) -> dict[str, str]:
    unknown = f", {overview.unknown} unknown" if overview.unknown else ""
    return {
        "Images": str(overview.images),
        "Images without a lesion": _without(overview),
        "Patients": str(overview.patients),
        "Lesions": f"{overview.lesions} ({overview.malignant} malignant, {overview.benign} benign{unknown})",
        "Kinds": _in_words(overview.kinds),
        **({"Images by label of the breast": _in_words(overview.whole_breasts)} if overview.whole_breasts else {}),
        "With crop, with mask": f"{overview.crops}, {overview.masks}",
        "Pathology": _in_words(overview.pathology),
        "Sides": _in_words(overview.sides),
        "Views": _in_words({view: group.lesions for view, group in overview.views.items()}),
        "Images by lesions": _in_words(overview.lesions_per_image),
    }


def _without(overview: Overview) -> str:
    unlisted = f", and {overview.unlisted} with one that is not listed" if overview.unlisted else ""
    return f"{overview.normals}{unlisted}"


def _all(overview: Overview) -> Pathologies:
    without = overview.pathology.get("BENIGN_WITHOUT_CALLBACK", 0)
    return Pathologies(
        malignant=overview.malignant, benign=overview.benign, without_callback=without, unknown=overview.unknown
    )


def _kinds(group: Pathologies) -> Kinds:
    return group.malignant, group.benign - group.without_callback, group.without_callback, group.unknown


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{value} {count}" for value, count in counts.items())
