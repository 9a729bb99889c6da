"""What an image is by its header alone, so that results can refer to one that could not be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mammoscope.mammogram import Laterality
from mammoscope.readers.uids import kept_uid

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # PS3.5 6.2, CS


def code_string(value: object) -> str | None:
    """A code string; None where a value is none."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


@dataclass(frozen=True)
class StatedImage:
    """An image by its UIDs.

    Attributes
    ----------
    sop_class, sop_instance, study, series
        UIDs; only the last may be missing.
    modality, view
        Code strings; None: not stated, or no code strings.
    laterality
        None: not stated.

    Raises
    ------
    ValueError
        A UID or a code string is none.
    """

    sop_class: str
    sop_instance: str
    study: str
    series: str | None
    modality: str | None
    laterality: Laterality | None
    view: str | None

    def __post_init__(self) -> None:
        for name in ("sop_class", "sop_instance", "study", "series"):
            uid = getattr(self, name)
            if uid != kept_uid(uid) or (uid is None and name != "series"):
                raise ValueError(f"{name} of an image is no UID")
        for name in ("modality", "view"):
            code = getattr(self, name)
            if code is not None and code_string(code) is None:
                raise ValueError(f"{name} of an image is no code string")

    def to_message(self) -> dict[str, Any]:
        """For the pipe from a child process."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> StatedImage:
        """What ``to_message`` made; ValueError or TypeError where it is something else."""
        side = message.get("laterality")
        return cls(**{**message, "laterality": None if side is None else Laterality(side)})
