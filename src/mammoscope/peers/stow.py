"""What a DICOMweb server answers to a request to store (PS3.18 10.5.3): which objects it has now, and which not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from mammoscope.readers.uids import kept_uid

ANSWER_TYPES = ("application/dicom+json", "application/dicom+xml")  # the second where a server has not the first
CONFLICT = 409  # some were not stored; the body says which and why
_STORED_ALL = 200
_REFERENCED, _FAILED, _REASON, _INSTANCE = "00081199", "00081198", "00081197", "00081155"
# Duplicate SOP instance, and what Microsoft's servers say instead; then warnings, with which an object is stored.
_THERE = frozenset({0x0111, 0xB00E, 0xB000, 0xB006, 0xB007})


@dataclass(frozen=True)
class StoreAnswer:
    """What became of the objects of one request.

    Attributes
    ----------
    there
        UIDs of the objects that the server has: stored now, or before.
    failures
        Why others were not stored; None where no reason is given.
    lists
        Whether the answer names objects at all.
    """

    there: frozenset[str]
    failures: tuple[int | None, ...]
    lists: bool

    def problem(self, sent: Iterable[str], status: int) -> str | None:
        """What is wrong, as the end of a sentence about the server; None: it has all that was sent."""
        if self.failures:
            reasons = sorted({"not given" if reason is None else f"0x{reason:04X}" for reason in self.failures})
            return f"did not store it (failure {', '.join(reasons)})"
        # Status 200 means that all are stored, also where nothing is listed.
        if set(sent) <= self.there or (status == _STORED_ALL and not self.lists):
            return None
        return "does not confirm that it stored it"


def read_store_answer(body: bytes) -> StoreAnswer:
    """Read an answer in JSON or XML, whatever its media type is called.

    Raises
    ------
    ValueError
        It is neither.
    """
    text = body.decode("utf-8-sig").strip()
    if not text:
        return StoreAnswer(frozenset(), (), lists=False)
    elements = _of_xml(text) if text.startswith("<") else _of_json(json.loads(text))
    there = {uid for item in elements.get(_REFERENCED, ()) if (uid := kept_uid(item.get(_INSTANCE))) is not None}
    failures = []
    for item in elements.get(_FAILED, ()):
        uid, reason = kept_uid(item.get(_INSTANCE)), _number(item.get(_REASON))
        if reason in _THERE and uid is not None:
            there.add(uid)
        elif uid not in there:
            failures.append(reason)
    return StoreAnswer(frozenset(there), tuple(failures), lists=bool(there or failures))


_Items = dict[str, list[dict[str, Any]]]


def _of_json(answer: Any) -> _Items:
    """The items of the two sequences, each as its first values by tag; some servers answer a list of data sets."""
    found: _Items = {}
    for dataset in answer if isinstance(answer, list) else [answer]:
        for tag in (_REFERENCED, _FAILED):
            items = dataset.get(tag, {}).get("Value") or []
            found.setdefault(tag, []).extend(
                {name.upper(): (element.get("Value") or [None])[0] for name, element in item.items()} for item in items
            )
    return found


def _of_xml(text: str) -> _Items:
    """As ``_of_json``, of the Native DICOM Model (PS3.19 A.1)."""
    if "<!" in text.replace("<!--", ""):
        raise ValueError("an XML document with declarations")
    try:
        root = ET.fromstring(text)  # noqa: S314 (no entities: there are no declarations)
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    return {
        element.get("tag", ""): [
            {one.get("tag", "").upper(): _first_value(one) for one in _children(item, "DicomAttribute")}
            for item in _children(element, "Item")
        ]
        for element in _children(root, "DicomAttribute")
    }


def _children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    """Children of a name, in whatever namespace."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _first_value(element: ET.Element) -> str | None:
    return next((value.text for value in _children(element, "Value")), None)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
