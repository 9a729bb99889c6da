"""COCO JSON, as annotation tools export it: boxes, polygons and run-length masks.

Layout: one ``.json`` file with ``images``, ``annotations`` and ``categories``, and the image files beside it or in
folders below it, where ``file_name`` says. Source of the format: https://cocodataset.org/#format-data.

The name of a category says kind and pathology: ``mass``, ``malignant mass``, ``calcification``, ``benign``. An image
may have, besides what COCO defines, ``patient_id``, ``breast_side`` (or ``laterality``), ``view``, ``exam`` and
``split``; without ``patient_id`` the folder in ``file_name`` stands for the patient, without a folder the image does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mammoscope.datasets.importers.folders import told_of, wrong_layout
from mammoscope.datasets.importers.grey import ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, ReadMask
from mammoscope.datasets.importers.labels import SIDES, Label, label_of, says_nothing
from mammoscope.datasets.importers.outlines import Polygons, RunLengths, outline_digest, unpacked_counts
from mammoscope.datasets.info import DatasetInfo
from mammoscope.errors import DatasetError

_LAYOUT = "one .json file with 'images', 'annotations' and 'categories'"
_KEYS = ("images", "annotations", "categories")
_PATIENT, _SIDE = ("patient_id", "patient"), ("breast_side", "laterality", "side")


class Coco:
    """Every image of the file, those without an annotation too: they are normal."""

    name = "coco"
    title = "COCO annotations"
    licence = ""
    credit = ""
    citation = ""
    url = ""

    def find(self, source: Path) -> Found:
        """List the images of the file, which may be given itself or as the folder that holds it.

        Raises
        ------
        DatasetError
            There is not one such file, or something in it cannot be used; names it.
        """
        path = _file(source)
        content = _content(path)
        labels = _labels(path, content["categories"])
        annotations: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            annotations[annotation.get("image_id")].append(annotation)
        problems: list[tuple[str, str]] = []
        images = []
        for image in content["images"]:
            with told_of(f"{path}: image {image.get('id')!r}"):
                images.append(_image(path, image, annotations.pop(image.get("id"), []), labels, problems))
        if annotations:
            raise DatasetError(f"{path}: an annotation is of image {next(iter(annotations))!r}, which 'images' lacks")
        return Found(tuple(images), tuple(problems), info=_info(content))


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("*.json")) if source.is_dir() else []
    found = [path for path in found if len(found) == 1 or set(_KEYS) <= _keys(path)]
    if len(found) != 1:
        raise wrong_layout(source, _LAYOUT)
    return found[0]


def _keys(path: Path) -> set[str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(content) if isinstance(content, dict) else set()


def _content(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON ({type(error).__name__})") from None
    for key in _KEYS:
        listed = content.get(key) if isinstance(content, dict) else None
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise DatasetError(f"{path}: has no list {key!r} of objects, as COCO annotations have")
    return dict(content)


def _labels(path: Path, categories: list[dict[str, Any]]) -> dict[Any, Label | None]:
    """What each category is; None: no lesion."""
    labels: dict[Any, Label | None] = {}
    for category in categories:
        name = str(category.get("name", ""))
        labels[category.get("id")] = label_of(name)
        if labels[category.get("id")] is None and not says_nothing(name):
            raise DatasetError(
                f"{path}: category {name!r} is of no kind that is known: expected a name with mass, calcification, "
                "asymmetry, distortion, malignant or benign in it"
            )
    return labels


def _image(
    path: Path,
    image: Mapping[str, Any],
    annotations: list[dict[str, Any]],
    labels: Mapping[Any, Label | None],
    problems: list[tuple[str, str]],
) -> FoundImage:
    relative = PurePosixPath(str(image.get("file_name", "")).replace("\\", "/"))
    if not relative.name or relative.is_absolute() or ".." in relative.parts or ":" in str(relative):
        raise DatasetError(f"{path}: 'file_name' is {str(relative)!r}, expected a path below the file's folder")
    name = "_".join(relative.with_suffix("").parts)
    lesions = []
    for annotation in annotations:
        if annotation.get("category_id") not in labels:
            raise DatasetError(
                f"{path}: an annotation has category {annotation.get('category_id')!r}, which is not listed"
            )
        label = labels[annotation["category_id"]]
        if label is not None:
            try:
                lesions.append(_lesion(annotation, label))
            except (ValueError, TypeError, IndexError) as error:
                problems.append((f"{name}_{annotation.get('id')}", f"its place cannot be used ({error})"))
    folder = "_".join(relative.parts[:-1])
    side = str(_first(image, _SIDE)).upper()
    if side not in SIDES:
        raise DatasetError(f"{path}: the side of image {relative.name!r} is {side!r}, expected L, R, LEFT or RIGHT")
    return FoundImage(
        name=name,
        patient_id=str(_first(image, _PATIENT)) or folder or name,
        read=ShownImage(_place(path.parent, relative)),
        source=str(relative),
        breast_side=SIDES[side],
        view=str(image.get("view") or "").upper(),
        exam=str(image.get("exam") or ""),
        split=str(image.get("split") or ""),
        normal=False
        if annotations and not lesions and any(labels[one["category_id"]] for one in annotations)
        else None,
        lesions=tuple(lesions),
    )


def _place(folder: Path, relative: PurePosixPath) -> Path:
    """Where the file is: as ``file_name`` says, or in ``images/``, as many tools put it."""
    beside = folder / relative
    return beside if beside.is_file() else folder / "images" / relative


def _first(image: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((image[key] for key in keys if image.get(key) not in (None, "")), "")


def _lesion(annotation: Mapping[str, Any], label: Label) -> FoundLesion:
    outline = _outline(annotation.get("segmentation"))
    box = annotation.get("bbox")
    if outline is None and not box:
        raise ValueError("neither 'bbox' nor 'segmentation'")
    x, y, width, height = (float(side) for side in box) if box else (0.0, 0.0, 1.0, 1.0)
    return FoundLesion(
        abnormality_id=str(annotation.get("id", "")),
        source=outline_digest(outline) if outline else "",
        box=(x, y, width, height),
        read_mask=outline,
        is_one_part=False,
        kind=label.kind,
        pathology=label.pathology,
    )


def _outline(segmentation: Any) -> ReadMask | None:
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        counts, (rows, columns) = segmentation.get("counts"), segmentation.get("size", ())
        runs = unpacked_counts(counts) if isinstance(counts, str) else tuple(int(run) for run in counts or ())
        return RunLengths(runs, (int(rows), int(columns)))
    polygons = tuple(
        tuple(zip(map(float, polygon[::2]), map(float, polygon[1::2]), strict=True)) for polygon in segmentation
    )
    if any(len(polygon) < 3 for polygon in polygons):
        raise ValueError("a polygon of fewer than three corners")
    return Polygons(polygons)


def _info(content: Mapping[str, Any]) -> DatasetInfo:
    """Name, licence and credit as the file states them."""
    info = content.get("info") if isinstance(content.get("info"), dict) else {}
    licences = content.get("licenses")
    names = (
        [str(one.get("name", "")) for one in licences if isinstance(one, dict)] if isinstance(licences, list) else []
    )
    return DatasetInfo(
        layout=2,
        name=str((info or {}).get("description") or ""),
        licence="; ".join(name for name in names if name),
        credit=str((info or {}).get("contributor") or ""),
        url=str((info or {}).get("url") or ""),
    )
