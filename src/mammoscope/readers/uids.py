"""UIDs as archives keep them: an archive finds an object by the very UID that it has, well written or not."""

from __future__ import annotations

import re

_LONGEST = 64
_KEPT = re.compile(r"[0-9.]*[0-9][0-9.]*")
_STANDARD = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def kept_uid(value: object) -> str | None:
    """The UID in a value, without padding: up to 64 digits and dots, as they stand; None where it is none.

    PS3.5 9.1 allows no leading zeros and no empty components, which some units write: such a UID identifies an object
    as well as any other, but only if nobody corrects it.
    """
    text = str(value).strip(" \0") if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST and _KEPT.fullmatch(text) else None


def is_standard_uid(uid: str) -> bool:
    """Whether a UID is written as PS3.5 9.1 says; pydicom's own check quotes the UID in a warning."""
    return len(uid) <= _LONGEST and _STANDARD.fullmatch(uid) is not None
