"""``croissant.json``: a dataset's tables, images and licence in the vocabulary that data catalogues read.

Source: Croissant Format Specification 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from __future__ import annotations

from typing import Any

from mammoscope.datasets.dataset import Dataset
from mammoscope.datasets.tables import read_header
from mammoscope.files import file_sha256, write_json

CROISSANT_FILE = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_TABLES = {"images.csv": "images", "lesions.csv": "lesions"}
_ABOUT = {
    "images.csv": "Mammograms, one a row",
    "lesions.csv": "Lesions, one a row, with box, kind and pathology",
}
_NUMBERS = frozenset({"x", "y", "width", "height", "pixel_aspect"})
# As the specification gives it, so that other readers find the terms under their own names.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_croissant(dataset: Dataset) -> None:
    """Write ``croissant.json`` beside the tables of a dataset, which must be there.

    Raises
    ------
    MammoscopeError
        It cannot be written.
    """
    write_json(dataset.folder / CROISSANT_FILE, croissant_of(dataset))


def croissant_of(dataset: Dataset) -> dict[str, Any]:
    """The metadata of a dataset as JSON-LD."""
    info, tables = dataset.info, [name for name in _TABLES if (dataset.folder / name).is_file()]
    stated = {
        "license": info.licence,
        "citeAs": info.citation,
        "url": info.url.partition(";")[0],
        "creditText": info.credit,
    }
    suffixes = sorted({image.rpartition(".")[2] for image in dataset.images})
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": info.name or dataset.folder.resolve().name,
        "description": _description(dataset),
        **{key: value for key, value in stated.items() if value},
        "distribution": [
            *(_table(dataset, name) for name in tables),
            *(_pictures(f"images-{suffix}", "Mammograms", f"images/*.{suffix}") for suffix in suffixes),
            *_pieces(dataset),
        ],
        "recordSet": [_records(dataset, name) for name in tables],
    }


def _description(dataset: Dataset) -> str:
    made = f" Made by: {dataset.info.made}." if dataset.info.made else ""
    return (
        f"{len(dataset.images)} mammograms of {len(dataset.patients)} patients with {len(dataset.lesions)} lesions; "
        f"{len(dataset.normals)} images without a lesion.{made} Research use only. Not for diagnostic use."
    )


def _table(dataset: Dataset, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": _ABOUT[name],
        "contentUrl": name,
        "encodingFormat": "text/csv",
        "sha256": file_sha256(dataset.folder / name),
    }


def _pictures(name: str, about: str, pattern: str) -> dict[str, Any]:
    suffix = pattern.rpartition(".")[2].lower()
    kinds = {"jpg": "jpeg", "tif": "tiff", "pgm": "x-portable-graymap"}
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": about,
        "encodingFormat": f"image/{kinds.get(suffix, suffix)}",
        "includes": pattern,
    }


def _pieces(dataset: Dataset) -> list[dict[str, Any]]:
    listed = {
        "crops": ("Squares around lesions", any(lesion.crop for lesion in dataset.lesions)),
        "masks": ("Masks of lesions, of the crops", any(lesion.mask for lesion in dataset.lesions)),
    }
    return [_pictures(name, about, f"{name}/*.png") for name, (about, is_there) in listed.items() if is_there]


def _records(dataset: Dataset, table: str) -> dict[str, Any]:
    name = _TABLES[table]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": _ABOUT[table],
        **({"key": {"@id": "images/image"}} if name == "images" else {}),
        "field": [_field(name, table, column) for column in read_header(dataset.folder / table)],
    }


def _field(records: str, table: str, column: str) -> dict[str, Any]:
    is_image_of_lesion = (records, column) == ("lesions", "image")
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column}",
        "name": column,
        "description": f"Column {column} of {table}",
        "dataType": "sc:Float" if column in _NUMBERS else "sc:Text",
        "source": {"fileObject": {"@id": table}, "extract": {"column": column}},
        **({"references": {"field": {"@id": "images/image"}}} if is_image_of_lesion else {}),
    }
