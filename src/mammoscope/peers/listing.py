"""Read a search to its end, whatever a server makes of limit and offset; and know where that was not possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, Protocol, TypeVar

PAGE = 200
_MOST_PAGES, _MOST_SECONDS = 5000, 1800.0
_EARLIEST = date(1900, 1, 1)
_LEAST_SUSPICIOUS = 10


class Identified(Protocol):
    """What a search finds."""

    @property
    def uid(self) -> str: ...


T = TypeVar("T", bound=Identified)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One answer to a search.

    Attributes
    ----------
    items
        What it holds.
    size
        How many items the server sent, those that could not be read included.
    has_more
        Whether the server says that there is more.
    """

    items: list[T]
    size: int
    has_more: bool = False


class Listing(Generic[T]):
    """Pages of searches that belong together: each thing is found once, within bounds on pages and time.

    Attributes
    ----------
    is_cut_off
        Whether it was ended by these bounds.
    """

    def __init__(self) -> None:
        self.is_cut_off = False
        self._seen: set[str] = set()
        self._pages_left, self._end = _MOST_PAGES, time.monotonic() + _MOST_SECONDS

    def read(self, ask: Callable[[int], Page[T]]) -> Generator[T, None, bool]:
        """What a search finds; returns whether that is certainly all.

        It is if the server shows that it knows offsets and then sends a smaller page or none, or if its only page is
        neither full nor of a suspicious size: servers cap pages at sizes of their own, which are round.

        Parameters
        ----------
        ask
            Gets the page at an offset.
        """
        offset, first_size, here = 0, 0, set[str]()
        while True:
            if self._pages_left <= 0 or time.monotonic() > self._end:
                self.is_cut_off = True
                return False
            self._pages_left -= 1
            page = ask(offset)
            new_here = [item for item in page.items if item.uid not in here]
            here.update(item.uid for item in new_here)
            for item in new_here:
                if item.uid not in self._seen:
                    self._seen.add(item.uid)
                    yield item
            knows_offsets = offset > first_size or (offset > 0 and bool(new_here))
            if not new_here:
                return page.size == 0 and (offset == 0 or knows_offsets)
            offset, first_size = offset + page.size, first_size or page.size
            if not page.has_more and (page.size < first_size if knows_offsets else not _may_be_full(page.size)):
                return True


def _may_be_full(size: int) -> bool:
    return size >= PAGE or (size >= _LEAST_SUSPICIOUS and (size % 10 == 0 or size % 32 == 0))


@dataclass(frozen=True)
class Days:
    """A range of days; None is open."""

    first: date | None = None
    last: date | None = None

    @property
    def filters(self) -> dict[str, str]:
        """Range matching (PS3.4 C.2.2.2.5.1). An open range of both sides also finds what has no date."""
        if self.first is None and self.last is None:
            return {}
        return {"StudyDate": "-".join("" if day is None else f"{day:%Y%m%d}" for day in (self.first, self.last))}

    def halves(self) -> tuple[Days, Days] | None:
        """Two ranges that are this one together, but for what has no date; None for a single day."""
        first, last = self.first or _EARLIEST, self.last or max(datetime.now(UTC).date(), self.first or _EARLIEST)
        if first >= last:
            return None
        middle = first + (last - first) // 2
        return Days(self.first, middle), Days(middle + timedelta(days=1), self.last)
