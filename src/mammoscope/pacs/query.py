"""Search by C-FIND (PS3.4 C), study root: studies of a range of days, and the images of a study."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
)
from pynetdicom.association import Association

from mammoscope.pacs.bounded_calls import BoundedCalls, status_of
from mammoscope.peers.bounds import Bounds
from mammoscope.peers.errors import UncertainError
from mammoscope.peers.found import Instance, Series, Study, instance_in, series_in, study_in
from mammoscope.peers.json_answers import Item
from mammoscope.peers.listing import Days

logger = logging.getLogger(__name__)

FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")  # Study Root Query/Retrieve Information Model - FIND
SUCCESS, PENDING, _CANCELLED = 0x0000, frozenset({0xFF00, 0xFF01}), 0xFE00
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_NOT_UNDERSTOOD = (*range(0xA900, 0xAA00), *range(0xC000, 0xD000))  # also of keys that it does not know
_BOUNDS = Bounds(32 << 20, 120.0)
_MOST_MATCHES, _MOST_QUERIES, _MOST_SECONDS = 20_000, 5000, 1800.0
_LEAST_SUSPICIOUS, _ROUND = 50, (50, 64)

Found = TypeVar("Found", Study, Instance, Series)

_LEVEL, _DATE, _MODALITY, _MODALITIES = "00080052", "00080020", "00080060", "00080061"
_STUDY, _SERIES, _INSTANCE, _CLASS, _NUMBER = "0020000D", "0020000E", "00080018", "00080016", "00201208"
# The class is an optional key: where it is not stated, what images of a modality usually are. The image says it itself.
_USUAL_CLASSES = {
    "MG": DigitalMammographyXRayImageStorageForPresentation,
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
}


@dataclass(frozen=True)
class _Matches:
    """The answer to one query.

    Attributes
    ----------
    items
        What it holds; empty data sets where it could not be read.
    is_cut_off
        Whether there is more, as the archive says, or as we ended it.
    """

    items: list[Item]
    is_cut_off: bool


@dataclass
class _Listing:
    """Queries that belong together: each study is found once, within bounds on queries and time."""

    seen: set[str] = field(default_factory=set)
    queries_left: int = _MOST_QUERIES
    end: float = field(default_factory=lambda: time.monotonic() + _MOST_SECONDS)

    def take(self) -> bool:
        """Whether a further query is allowed."""
        self.queries_left -= 1
        return self.queries_left >= 0 and time.monotonic() < self.end


class Query:
    """The searches of one archive; raises as ``Source`` does."""

    def __init__(self, calls: BoundedCalls) -> None:
        self._calls = calls
        self._largest: dict[str, int] = {}
        self._is_plain = False

    def studies(self, days: Days, modality: str | None) -> Generator[Study, None, bool]:
        """As ``Source``. A search that may not have been answered to its end is divided by date."""
        return (yield from self._studies(_Listing(), days, modality))

    def _studies(self, listing: _Listing, days: Days, modality: str | None) -> Generator[Study, None, bool]:
        if not listing.take():
            return False
        matches = self._matching_studies(days, modality)
        for study in self._read(matches.items, study_in, "studies"):
            is_wanted = modality is None or not study.modalities or modality in study.modalities
            if is_wanted and study.uid not in listing.seen:
                listing.seen.add(study.uid)
                yield study
        if self._is_certainly_all(matches, "STUDY"):
            return True
        if (halves := days.halves()) is None:
            return False
        known, is_whole = len(listing.seen), True
        for half in halves:
            is_whole &= yield from self._studies(listing, half, modality)
        # What has no date is in neither half; if these held nothing new, nothing was cut off.
        return is_whole and (days != Days() or (not matches.is_cut_off and len(listing.seen) == known))

    def instances(self, study: str, modality: str) -> tuple[list[Instance], bool]:
        """As ``Source``, series by series."""
        found: list[Instance] = []
        with self._calls.associated("C-FIND", [(FIND, ())], _BOUNDS) as association:
            keys = {_STUDY: study, _SERIES: "", _MODALITY: modality}
            every = self._find(association, 1, "SERIES", keys)
            is_whole = self._is_certainly_all(every, "SERIES")
            # Not every archive filters by each key.
            of_modality = [item for item in every.items if item.texts(_MODALITY) <= {modality}]
            for number, series in enumerate(self._read(of_modality, series_in, "series of a study"), start=2):
                if not association.is_established:  # it was ended because there was too much
                    return found, False
                keys = {_STUDY: study, _SERIES: series.uid, _INSTANCE: "", _CLASS: ""}
                images = self._find(association, number, "IMAGE", keys)
                stated = [_completed(item, series.uid, modality) for item in images.items]
                found += self._read(stated, partial(instance_in, study), "images of a study")
                is_whole &= self._is_certainly_all(images, "IMAGE")
        return found, is_whole

    def _matching_studies(self, days: Days, modality: str | None) -> _Matches:
        """Ask with all keys; an archive that does not take those that are optional is asked without them."""
        keys = {_STUDY: "", _DATE: days.filters.get("StudyDate", "")}
        full = {**keys, _MODALITIES: modality or "", _NUMBER: ""}
        with self._calls.associated("C-FIND", [(FIND, ())], _BOUNDS) as association:
            if self._is_plain:
                return self._find(association, 1, "STUDY", keys)
            try:
                return self._asked(association, 1, "STUDY", full)
            except _RefusedError as refused:
                error = self._calls.refusal("C-FIND", refused.status)
                if refused.status not in _NOT_UNDERSTOOD or not association.is_established:
                    raise error from None
                try:
                    found = self._asked(association, 2, "STUDY", keys)
                except _RefusedError:
                    raise error from None
                self._is_plain = True
                logger.info("%s searches only by date: each study of the days is looked into", self._calls.node)
                return found

    def _find(self, association: Association, number: int, level: str, keys: Mapping[str, str]) -> _Matches:
        """As ``_asked``; raises as ``Source`` does."""
        try:
            return self._asked(association, number, level, keys)
        except _RefusedError as refused:
            raise self._calls.refusal("C-FIND", refused.status) from None

    def _asked(self, association: Association, number: int, level: str, keys: Mapping[str, str]) -> _Matches:
        """The answer to one query, whose message has this number; raises ``_RefusedError``."""
        items: list[Item] = []
        unreadable = 0
        for answer, identifier in association.send_c_find(identifier_of(level, keys), FIND, msg_id=number):
            status = status_of(answer)
            if status in PENDING:
                if identifier is None:
                    unreadable += 1
                else:
                    items.append(_item(identifier, keys))
                if len(items) + unreadable >= _MOST_MATCHES:
                    association.send_c_cancel(number, query_model=FIND)
                    association.abort()
                    return _Matches(items, is_cut_off=True)
            elif status == _CANCELLED or (items and status in _OUT_OF_RESOURCES):
                return _Matches(items, is_cut_off=True)
            elif status != SUCCESS:
                raise _RefusedError(status)
        # The library gives what it cannot read twice.
        return _Matches(items + [Item({})] * (unreadable // 2), is_cut_off=False)

    def _is_certainly_all(self, matches: _Matches, level: str) -> bool:
        """Whether nothing was cut off: there is no second page that would show it.

        Archives limit the number of matches at numbers that are round. One that has given more is not limited at that.
        """
        size, largest = len(matches.items), self._largest.get(level, 0)
        self._largest[level] = max(size, largest)
        is_round = size >= _LEAST_SUSPICIOUS and not all(size % one for one in _ROUND)
        return not matches.is_cut_off and (size < largest or not is_round)

    def _read(self, items: Sequence[Item], read: Callable[[Item], Found | None], what: str) -> list[Found]:
        found = [one for item in items if (one := read(item)) is not None]
        if items and not found:
            raise UncertainError(
                f"{self._calls.node} gave no valid answer to C-FIND (nothing with the UIDs it must state)"
            )
        if left_out := len(items) - len(found):
            logger.warning(
                "%d %s are left out: the archive gives no UID of theirs, or none that is one", left_out, what
            )
        return found


class _RefusedError(Exception):
    """The status of a query that was not answered."""

    def __init__(self, status: int) -> None:
        self.status = status


def identifier_of(level: str, keys: Mapping[str, str]) -> Dataset:
    """The identifier of a query: its level, and its keys by tag; UIDs are not judged, but asked for as they stand."""
    identifier = Dataset()
    for tag, value in {_LEVEL: level, **keys}.items():
        number = int(tag, 16)
        identifier.add(DataElement(number, dictionary_VR(number), value, validation_mode=config.IGNORE))
    return identifier


def _item(identifier: Dataset, keys: Mapping[str, str]) -> Item:
    """What an answer states of these keys, from the bytes that came: nothing else of it is looked at."""
    return Item({tag: {"Value": _values(identifier, tag)} for tag in keys})


def _values(identifier: Dataset, tag: str) -> list[str]:
    number = int(tag, 16)
    value = identifier.get_item(number).value if number in identifier else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return [part for value in text.split("\\") if (part := value.strip(" \0"))]


def _completed(item: Item, series: str, modality: str) -> Item:
    """The answer about an image, with what need not be stated: its series, and its class."""
    elements = {**item.elements, _SERIES: {"Value": [series]}}
    if item.uid(_CLASS) is None and modality in _USUAL_CLASSES:
        elements[_CLASS] = {"Value": [str(_USUAL_CLASSES[modality])]}
    return Item(elements)
