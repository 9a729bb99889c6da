"""The figures of a report as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from mammoscope.evaluation.metrics.intervals import Json

_NONE = "–"
_TITLES = {
    "at_lesion_count": "At as many detections as lesions (at_lesion_count)",
    "at_one_false_positive": "At 1 false positive an image (at_one_false_positive)",
    "box_errors": "How the boxes err (box_errors)",
    "breakdown": "By group of lesions (breakdown)",
    "froc": "FROC (froc)",
    "froc_any_view": "FROC by lesion, found in any view (froc_any_view)",
    "jittered": "Boxes that err (jittered)",
    "kinds": "By kind of lesion (kinds)",
    "operating_point": "At the bundle's own threshold (operating_point)",
    "thresholds": "At fixed thresholds (thresholds)",
    "wider": "Wider cuts (wider)",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a header. ``last_is_text``: the last column holds sentences, not numbers."""

    title: str
    intro: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    last_is_text: bool = False


def figure_tables(
    figures: Json, definition: Mapping[str, str], title: str = "Figures", intro: str = ""
) -> Iterator[Table]:
    """Tables of figures with their definitions beside them; objects inside ``figures`` get tables of their own."""
    rows = []
    nested: list[tuple[str, object]] = []
    for key, value in figures.items():
        if isinstance(value, list) or (isinstance(value, dict) and "value" not in value):
            nested.append((key, value))
        else:
            rows.append((key, *_value_and_interval(value), definition.get(key, "")))
    if rows:
        yield Table(title, intro, ("figure", "value", "95% interval", "definition"), tuple(rows), last_is_text=True)
    for key, value in nested:
        named = _TITLES.get(key, key)
        below = named if title == "Figures" else f"{title} · {named}"
        if isinstance(value, list):
            yield _matrix(below, definition.get(key, ""), cast(list[Json], value))
        elif _holds_rows(cast(Json, value)):
            rows_with_name = [{"": name, **cast(Json, row)} for name, row in cast(Json, value).items()]
            yield _matrix(below, definition.get(key, ""), rows_with_name)
        else:
            yield from figure_tables(cast(Json, value), definition, below, definition.get(key, ""))


def reference_tables(reference: Json) -> Iterator[Table]:
    """The published figures as tables."""
    figures = cast(Json, reference["figures"])
    model = f"{reference['model']}, {reference['split']}"
    rows: list[Json] = [{"model": model, **{k: v for k, v in figures.items() if not isinstance(v, list)}}]
    rows += [
        {"model": row["model"], **row} for row in cast(list[Json], reference.get("highest_leak_free_elsewhere", []))
    ]
    lists = [value for value in figures.values() if isinstance(value, list)]
    intro = " ".join(str(reference[key]) for key in ("note", "warning") if key in reference)
    if lists:
        for value in lists:
            yield _matrix("Published reference", f"{intro} {model}.", cast(list[Json], value))
    else:
        yield _matrix("Published reference", intro, rows)


def _holds_rows(value: Json) -> bool:
    return bool(value) and all(
        isinstance(row, dict) and "value" not in row and all(isinstance(cell, dict) for cell in row.values())
        for row in value.values()
    )


def _matrix(title: str, intro: str, rows: Sequence[Json]) -> Table:
    header = tuple(dict.fromkeys(key for row in rows for key in row))
    return Table(title, intro, header, tuple(tuple(_cell(row.get(key)) for key in header) for row in rows))


def _cell(value: object) -> str:
    number, interval = _value_and_interval(value)
    return f"{number} ({interval})" if isinstance(value, dict) and value["ci95"] is not None else number


def _value_and_interval(value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        return _text(value), ""
    if value["ci95"] is None:
        return _text(value["value"]), str(value.get("reason", ""))
    low, high = value["ci95"]
    return _text(value["value"]), f"{_text(low)} – {_text(high)}"


def _text(value: object) -> str:
    if value is None:
        return _NONE
    return f"{value:.3f}" if isinstance(value, float) else str(value)
