"""Texts that are safe to show: names from files and headers hold anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

_LONGEST_NAME = 200  # bytes; file systems take 255, and results add an extension


def printable(text: str, instead: str = "?") -> str:
    """A text in one line: control characters, and characters that cannot be encoded, are replaced."""
    return "".join(sign if sign.isprintable() else instead for sign in text)


def utc_stamp(timespec: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """This moment, in ISO 8601: ``"2026-01-31T12:00:00Z"``."""
    return datetime.now(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def result_name(text: str) -> str:
    """A name that results can have in JSON, in images and on disk: printable, and with room for an extension."""
    return printable(text, "_").encode()[:_LONGEST_NAME].decode(errors="ignore")
