"""Texts that are safe to show: names from files and headers hold anything."""

from __future__ import annotations

_LONGEST_NAME = 200  # bytes; file systems take 255, and results add an extension


def printable(text: str, instead: str = "?") -> str:
    """A text in one line: control characters, and characters that cannot be encoded, are replaced."""
    return "".join(sign if sign.isprintable() else instead for sign in text)


def result_name(text: str) -> str:
    """A name that results can have in JSON, in images and on disk: printable, and with room for an extension."""
    return printable(text, "_").encode()[:_LONGEST_NAME].decode(errors="ignore")
