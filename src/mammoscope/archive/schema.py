"""The tables of an archive: their columns, types and meaning. ``docs/archive.md`` lists them."""

from __future__ import annotations

import pyarrow as pa

from mammoscope import NOTICE
from mammoscope.errors import MammoscopeError

SCHEMA_VERSION = "1"
KINDS_OF_ERROR = ("refused", "failed", "crashed", "duplicate")
RETRIED = ("failed", "crashed")  # what another try may mend
IMAGES, FINDINGS, EXAMS, ERRORS = "images", "findings", "exams", "errors"

_TEXTS = pa.list_(pa.string())
_COLUMNS: dict[str, list[tuple[str, pa.DataType, bool, str]]] = {
    IMAGES: [
        ("image", pa.string(), False, "SHA-256 of the file's bytes: the key, each once"),
        ("exam", pa.string(), False, "the exam it belongs to"),
        ("source_key", pa.string(), False, "hash of place, size and time of the file, by which a later run skips it"),
        ("source", pa.string(), True, "path or URL of the file; null unless --keep-paths"),
        ("sop_uid_sha256", pa.string(), True, "SHA-256 of the SOP Instance UID; null: none is stated"),
        ("outcome", pa.string(), False, "findings, no_finding or no_breast_found"),
        ("findings", pa.int32(), False, "how many findings it has"),
        ("highest_detection_score", pa.float32(), True, "of its findings; null: none"),
        ("highest_malignancy_score", pa.float32(), True, "of its findings; null: none"),
        ("laterality", pa.string(), True, "left or right; null: not known"),
        ("view", pa.string(), True, "CC, MLO or another; null: not known"),
        ("file_format", pa.string(), False, "DICOM, PNG, JPEG, TIFF or PGM"),
        ("rows", pa.int32(), False, "height in pixels"),
        ("columns", pa.int32(), False, "width in pixels"),
        ("bits", pa.int32(), False, "of a pixel"),
        ("row_spacing_mm", pa.float64(), True, "between the centres of two rows; null: not known"),
        ("column_spacing_mm", pa.float64(), True, "between the centres of two columns; null: not known"),
        ("spacing_source", pa.string(), True, "where the spacing was read"),
        ("pixel_aspect", pa.float64(), False, "height of a pixel by its width"),
        ("modality", pa.string(), True, "as the header states it"),
        ("manufacturer", pa.string(), True, "as the header states it"),
        ("warnings", _TEXTS, False, "what a reader must know, as full sentences"),
        ("seconds", pa.map_(pa.string(), pa.float64()), False, "time spent preparing and in each step"),
        ("software", pa.string(), False, "name and version of the program"),
        ("bundle_name", pa.string(), False, "the models"),
        ("bundle_version", pa.string(), False, "their version"),
        ("bundle_sha256", pa.string(), False, "hash of their manifest"),
        ("detection_threshold", pa.float64(), False, "findings below it are not reported"),
        ("malignancy_threshold", pa.float64(), False, "findings at or above it are called malignant"),
    ],
    FINDINGS: [
        ("image", pa.string(), False, "the image that shows it"),
        ("exam", pa.string(), False, "the image's exam"),
        ("number", pa.int32(), False, "among the image's findings, from 1, highest detection score first"),
        ("kind", pa.string(), False, "what the detector takes it for"),
        ("x0", pa.float64(), False, "left side of the box, in pixels of the original image"),
        ("y0", pa.float64(), False, "its upper side"),
        ("x1", pa.float64(), False, "its right side"),
        ("y1", pa.float64(), False, "its lower side"),
        ("outline_x", pa.list_(pa.float32()), False, "closed polygon, in pixels of the original image; empty: none"),
        ("outline_y", pa.list_(pa.float32()), False, "the same points' rows"),
        ("detection_score", pa.float32(), False, "how sure the detector is"),
        ("malignancy_score", pa.float32(), True, "calibrated probability that it is malignant; null: not graded"),
        ("malignancy", pa.string(), True, "malignant or benign: what the score means; null: not graded"),
        ("area_mm2", pa.float64(), True, "inside the outline; null: not known"),
        ("longest_diameter_mm", pa.float64(), True, "of the outline; null: not known"),
        ("lesion", pa.string(), True, "a UID that findings of one lesion share; null: no counterpart"),
    ],
    EXAMS: [
        ("exam", pa.string(), False, "hash of the hashes of its images: the key, each once"),
        ("images", _TEXTS, False, "its images, as they hang"),
        ("views", _TEXTS, False, "their sides and views, such as R CC; ? where not known"),
        ("not_analysed", pa.int32(), True, "its files that could not be analysed; null: not known, as for URLs"),
        ("findings", pa.int32(), False, "in all its images"),
        ("lesions", pa.int32(), False, "the same, those that are taken for one lesion counted once"),
        ("highest_detection_score", pa.float32(), True, "of its findings; null: none"),
        ("highest_malignancy_score", pa.float32(), True, "of its findings; null: none"),
        ("warnings", _TEXTS, False, "such as missing views, as full sentences"),
    ],
    ERRORS: [
        ("source_key", pa.string(), False, "hash of place, size and time of the file: the key, each once"),
        ("source", pa.string(), True, "path or URL of the file; null unless --keep-paths"),
        ("kind", pa.string(), False, "refused, failed, crashed or duplicate"),
        ("problem", pa.string(), False, "what is wrong, without the file's name"),
        ("image", pa.string(), True, "of a duplicate: the image that has its row"),
    ],
}
# The commit comes last: a part of the other tables counts once there is one of the same name here.
TABLES = (FINDINGS, EXAMS, ERRORS, IMAGES)


def schema_of(table: str) -> pa.Schema:
    """The columns of a table, with their meaning as metadata."""
    fields = [
        pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})
        for name, kind, nullable, meaning in _COLUMNS[table]
    ]
    return pa.schema(fields, metadata={"mammoscope": SCHEMA_VERSION, "notice": NOTICE})


def check_version(name: str, version: object) -> None:
    """Refuse an archive of another version.

    Raises
    ------
    MammoscopeError
        Names the file and both versions.
    """
    if version != SCHEMA_VERSION:
        raise MammoscopeError(f"{name}: is an archive of version {version!r}, this program writes {SCHEMA_VERSION!r}")
