"""``dataset.json``: name, licence and credit of a dataset, and figures that others published on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mammoscope.datasets.tables import read_table
from mammoscope.errors import DatasetError
from mammoscope.files import write_json, write_text

INFO_FILE = "dataset.json"
STAGES = ("detector", "segmenter", "classifier", "pipeline")

Stage = Literal["detector", "segmenter", "classifier", "pipeline"]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedFigures(_Record):
    """What others published for one stage, for comparison."""

    split: str = Field(description="What it was measured on.")
    note: str
    model: str
    figures: dict[str, JsonValue] = Field(description="By the names of this program's reports.")
    highest_leak_free_elsewhere: tuple[dict[str, JsonValue], ...] | None = None
    warning: str | None = None
    seconds_per_mammogram: str | None = None


class DatasetInfo(_Record):
    """The content of ``dataset.json``; all keys are optional."""

    layout: Literal[2] = Field(2, description="Edition of the layout.")
    name: str = Field("", description="As the dataset is known: CBIS-DDSM.")
    licence: str = ""
    credit: str = Field("", description="One line for whatever was trained on it.")
    citation: str = Field("", description="What a paper cites.")
    url: str = Field("", description="Where the dataset is to be had.")
    made: str = Field("", description="How the folder was made.")
    folds: str | None = Field(None, description="Table beside it with columns patient_id and fold.")
    assumed_film_aspect: Annotated[float, Field(ge=0.2, le=5)] | None = Field(
        None,
        description="Height over width of the films that square files of unknown proportions are taken to be stretched "
        "from; null: their pixels are square.",
    )
    reference_figures: dict[Stage, PublishedFigures] = Field({}, description="Published figures by stage.")
    size_edges: tuple[Share, Share] | None = Field(
        None, description="Root of a box's share of its image from which a lesion is of medium size, and large."
    )
    marks: Literal["box", "circle"] = Field(
        "box", description="How lesions without a mask are marked; the box of a circle is the square around it."
    )
    ids_across_views: bool = Field(
        False, description="Whether lesions of one breast with one abnormality_id in several views are one lesion."
    )
    shapes: tuple[str, ...] = Field((), description="Values of mass_shape that are groups of their own in reports.")

    def published(self, stage: str) -> dict[str, Any] | None:
        """The published figures of a stage (``detector``, ``segmenter``, ``classifier`` or ``pipeline``) as JSON."""
        found = {str(name): figures for name, figures in self.reference_figures.items()}.get(stage)
        return None if found is None else found.model_dump(mode="json", exclude_none=True)


def read_info(path: Path) -> DatasetInfo:
    """Read ``dataset.json``.

    Raises
    ------
    DatasetError
        It cannot be read, or a key is unknown or has an invalid value; names the file, the key and the value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is not UTF-8 text") from None
    try:
        info = DatasetInfo.model_validate_json(text)
    except ValidationError as error:
        raise DatasetError(f"{path}: {_first_problem(error)}") from None
    if info.folds is not None and (not info.folds or info.folds != Path(info.folds).name):
        raise DatasetError(f"{path}: 'folds' is {info.folds!r}, expected a plain file name")
    return info


def write_info(path: Path, info: DatasetInfo) -> None:
    """Write ``dataset.json`` with what is stated; reading it again gives the same."""
    write_json(path, {"layout": info.layout, **info.model_dump(mode="json", exclude_none=True, exclude_defaults=True)})


def read_folds(path: Path) -> dict[str, int]:
    """Fold number, from 0, of each patient id in a table of published folds.

    Raises
    ------
    DatasetError
        It cannot be read, a column is missing, a patient is listed twice, or a fold is not a whole number.
    """
    folds: dict[str, int] = {}
    for row in read_table(path, ("patient_id", "fold")):
        patient = row.text("patient_id")
        if not patient or patient in folds:
            raise row.error("patient_id", "an id that is in no row above")
        if not row.text("fold").isdecimal():
            raise row.error("fold", "a whole number from 0")
        folds[patient] = int(row.text("fold"))
    return folds


def write_folds(path: Path, folds: Mapping[str, int]) -> None:
    """Write a table of folds; reading it again gives the same."""
    write_text(path, "".join(["patient_id,fold\n", *(f"{patient},{fold}\n" for patient, fold in folds.items())]))


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return f"is not JSON ({first['msg']})"
    if first["type"] == "extra_forbidden":
        return f"{place!r} is not a key of the layout; it knows {', '.join(DatasetInfo.model_fields)}"
    return f"{place!r} is {first['input']!r}: {first['msg']}"
