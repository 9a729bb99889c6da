"""What must hold of any file, however mean: it is read, or refused in one clear line that names no patient."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fuzz.seeds import PATIENT_WORDS
from fuzz.structure import elements
from mammoscope.errors import InputError
from mammoscope.mammogram import Mammogram
from mammoscope.readers import Limits

_PATIENT_TAGS = (0x00100010, 0x00100020, 0x00100030)
_LONGEST_LINE = 400
_FAULT = re.compile(r"cannot be read \(\w+\)")
_VIEW = re.compile(r"[A-Z]{2,8}")


def check_refusal(path: Path, error: InputError, data: bytes) -> str:
    """The kind of refusal, its values blanked; AssertionError where it breaks what it must keep."""
    assert error.path == path
    assert str(error).startswith(f"{path}: "), "the message does not name the file"
    assert error.problem.strip(), "the message is empty"
    assert not _FAULT.fullmatch(error.problem), "a fault of the reader itself"
    _check_line(error.problem, data)
    kind = re.sub(r"decoded \(.*\)", "decoded (…)", re.sub(r"'.*'", "'…'", error.problem))
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", kind)


def check_mammogram(read: Mammogram, limits: Limits, data: bytes) -> str:
    """``"read"``; AssertionError where the mammogram breaks what it must keep."""
    assert read.pixels.dtype == np.uint16
    assert limits.size_problem(read.height, read.width) is None
    assert 8 <= read.bits <= 16
    assert read.view is None or _VIEW.fullmatch(read.view)
    for text in (read.manufacturer, read.sop_instance_uid, read.modality, *read.warnings):
        _check_line(text or "", data)
    return "read"


def _check_line(text: str, data: bytes) -> None:
    assert text.isprintable(), "a message of several lines, or with control characters"
    assert len(text) <= _LONGEST_LINE, "an endless message"
    for word in PATIENT_WORDS:
        # A mutation may move a name into an element where nothing tells it from any other text.
        assert word not in text.casefold() or not _names_patient(data, word), "a message that tells of the patient"


def _names_patient(data: bytes, word: str) -> bool:
    """Whether an element of the patient's still holds the word."""
    own = (element for element in elements(data) if element.tag in _PATIENT_TAGS)
    return any(word.encode() in data[element.value : element.end].lower() for element in own)
