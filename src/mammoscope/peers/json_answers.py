"""Read data sets in JSON (PS3.18 F) from a server that may answer anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mammoscope.readers.uids import kept_uid

_BLANKS = re.compile(r"[ \t\r\n]*")
_USUAL_ITEM, _LARGEST_ITEM = 1 << 12, 1 << 20  # characters
_MOST_ITEMS = 200_000  # of a server that ignores the limit of a page
_LARGEST_NUMBER = 1 << 31


@dataclass(frozen=True)
class Item:
    """One data set of an answer, of which any element may be missing or anything else than expected."""

    elements: Mapping[str, Any]

    def values(self, tag: str) -> list[Any]:
        """The values of an element; empty if it is missing or none."""
        element = self.elements.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        return values if isinstance(values, list) else []

    def uid(self, tag: str) -> str | None:
        """A UID as the server has it, well written or not."""
        return kept_uid(next(iter(self.values(tag)), None))

    def texts(self, tag: str) -> frozenset[str]:
        """All texts among the values, also those of a value that a server has left in one piece."""
        return frozenset(
            part.strip() for value in self.values(tag) if isinstance(value, str) for part in value.split("\\") if part
        )

    def count(self, tag: str) -> int | None:
        """A number of things."""
        value = next(iter(self.values(tag)), None)
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 12:  # IS is a text in PS3.5
            value = int(value)
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_NUMBER
        return value if whole else None

    def day(self, tag: str) -> date | None:
        """A date; None also for one that the calendar does not have."""
        value = next(iter(self.values(tag)), None)
        if not isinstance(value, str):
            return None
        try:
            return date(int(value[:4]), int(value[4:6]), int(value[6:])) if len(value) == 8 else None
        except ValueError:
            return None


def items_of(body: bytes) -> Iterator[Item | None]:
    """Each data set of an answer, one at a time, so that a large answer costs no more than its text; None: no data set.

    Raises
    ------
    ValueError
        The answer is no list in JSON, or holds too many items, or one that is too large or too deep.
    """
    text = body.decode("utf-8-sig")
    position = _past_blanks(text, 0)
    if position == len(text):  # 204, or 200 without a body: nothing was found
        return
    if text[position] != "[":
        raise ValueError("no list")
    position = _past_blanks(text, position + 1)
    if text[position : position + 1] == "]":
        return
    for _ in range(_MOST_ITEMS):
        value, position = _value_at(text, position)
        yield Item(value) if isinstance(value, dict) else None
        position = _past_blanks(text, position)
        separator = text[position : position + 1]
        if separator == "]":
            return
        if separator != ",":
            raise ValueError("the list was cut off")
        position = _past_blanks(text, position + 1)
    raise ValueError("too many")


def _value_at(text: str, position: int) -> tuple[Any, int]:
    decoder = json.JSONDecoder()
    for size in (_USUAL_ITEM, _LARGEST_ITEM):
        try:
            # A number at the end of a piece would be cut off without an error; items of lists are not numbers.
            value, length = decoder.raw_decode(text[position : position + size])
        except RecursionError:
            raise ValueError("too deep") from None
        except ValueError:
            if size == _LARGEST_ITEM or position + size >= len(text):
                raise
        else:
            return value, position + length
    raise AssertionError("unreachable")


def _past_blanks(text: str, position: int) -> int:
    blanks = _BLANKS.match(text, position)
    return position if blanks is None else blanks.end()
