"""Search, fetch and store over DICOMweb (PS3.18: QIDO-RS, WADO-RS, STOW-RS)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import TypeVar
from urllib.parse import urlencode

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from mammoscope.peers.bounded_http import BoundedHttp, NoConnectionError
from mammoscope.peers.bounds import AnswerError, Bounds
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.peers.file_start import of_instance
from mammoscope.peers.found import Instance, Series, Study, instance_in, series_in, study_in
from mammoscope.peers.json_answers import Item, items_of
from mammoscope.peers.limits import LARGEST_IMAGE
from mammoscope.peers.listing import PAGE, Days, Listing, Page
from mammoscope.peers.multipart import joined, only_part, parameters_of
from mammoscope.peers.stow import ANSWER_TYPES, CONFLICT, read_store_answer
from mammoscope.peers.web_server import WebServer

logger = logging.getLogger(__name__)

_LISTED = {
    "studies": "studies",
    "series": "series of a study",
    "instances": "images of a study",
}  # by the end of a path
_SEARCH, _FETCH, _STORE = "search", "fetch", "store"
_BOUNDS = {_SEARCH: Bounds(32 << 20, 120.0), _FETCH: Bounds(LARGEST_IMAGE, 600.0), _STORE: Bounds(8 << 20, 600.0)}
_OURS = frozenset({401, 407})  # about our account, not about the one image
_MAY_BE_THEIRS = frozenset({403, 408, 425, 429, 507})  # as 500 and above; a quota, a lock, a full disk
_NO_SERVICE = frozenset({404, 405})  # for a search or a store; for a fetch the image is gone
_PASSING = frozenset({0x0110, *range(0xA700, 0xA800)})  # processing failure, out of resources (PS3.18 I.2.2)
_ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'

Found = TypeVar("Found", Study, Instance, Series)


class DicomWeb:
    """A DICOMweb server; calls from several threads need one of these each.

    All calls raise ``UnavailableError`` if the server cannot be reached or refuses access, ``FailedError`` if it
    refuses this one request, and ``UncertainError`` if it is not known which of them.
    """

    def __init__(self, server: WebServer) -> None:
        self._server, self._root = server, server.url.rstrip("/")
        self._http = BoundedHttp(server)

    def __str__(self) -> str:
        return str(self._server)

    def interrupt(self) -> None:
        """End the call under way, from another thread, and allow no further one."""
        self._http.interrupt()

    def studies(self, days: Days, modality: str | None) -> Generator[Study, None, bool]:
        """Studies of a range of days, with images of a modality or of any; returns whether that is certainly all.

        A search that cannot be read to its end is divided by date, and at last repeated without the modality, because
        some servers (Orthanc 1.10) give no second page to a search for a modality.
        """
        return (yield from self._studies(Listing(), days, modality))

    def _studies(self, listing: Listing[Study], days: Days, modality: str | None) -> Generator[Study, None, bool]:
        filters = days.filters if modality is None else {**days.filters, "ModalitiesInStudy": modality}
        if (yield from listing.read(partial(self._page, "/studies", filters, study_in))):
            return True
        if listing.is_cut_off:
            return False
        if (halves := days.halves()) is not None:
            is_whole = days != Days()  # what has no date is in neither half
            for half in halves:
                is_whole &= yield from self._studies(listing, half, modality)
            return is_whole
        if modality is None:
            return False
        reading = listing.read(partial(self._page, "/studies", days.filters, study_in))
        while True:
            try:
                study = next(reading)
            except StopIteration as ended:
                return bool(ended.value)
            if modality in study.modalities or not study.modalities:
                yield study

    def instances(self, study: str, modality: str) -> tuple[list[Instance], bool]:
        """Instances of a modality in a study, and whether that is certainly all.

        Where a server cannot be read to the end with the modality, instances of other modalities are among them.
        """
        listing: Listing[Instance] = Listing()
        found: list[Instance] = []
        instance = partial(instance_in, study)

        def read(path: str, filters: Mapping[str, str]) -> bool:
            reading = listing.read(partial(self._page, path, filters, instance))
            while True:
                try:
                    found.append(next(reading))
                except StopIteration as ended:
                    return bool(ended.value)

        path = f"/studies/{study}"
        if read(f"{path}/instances", {"Modality": modality}) or read(f"{path}/instances", {}):
            return found, True
        every: Listing[Series] = Listing()
        series = list(every.read(partial(self._page, f"{path}/series", {}, series_in)))
        return found, bool(series) and all(
            [read(f"{path}/series/{one.uid}/instances", {}) for one in series]  # noqa: C419 (each is to be read)
        )

    @contextmanager
    def fetch(self, study: str, series: str, sop_instance: str) -> Iterator[Iterator[bytes]]:
        """The DICOM file of an instance as the server stores it, in pieces to be read in the block.

        Its start is compared with the UID that was asked for, and its end with what was announced.
        """
        path = f"/studies/{study}/series/{series}/instances/{sop_instance}"
        # Compressing would take the server seconds, for little gain.
        headers = {"Accept": _ANY_SYNTAX, "Accept-Encoding": "identity"}
        with self._talking(_FETCH), self._http.asking("GET", self._root + path, _BOUNDS[_FETCH], headers) as answer:
            self._check(answer.status, _FETCH)
            kind, boundary = parameters_of(answer.content_type)
            blocks = answer.blocks()
            if kind.startswith("multipart/") and boundary:
                blocks = only_part(blocks, boundary)
            yield of_instance(blocks, sop_instance)

    def check(self) -> None:
        """See whether the server answers, and accepts our account; also that it offers no search is an answer."""
        headers = {"Accept": "application/dicom+json", "Accept-Encoding": "identity"}
        url = f"{self._root}/studies?limit=1"
        with self._talking(_SEARCH), self._http.asking("GET", url, _BOUNDS[_SEARCH], headers) as answer:
            answer.body()
            if answer.status not in _NO_SERVICE:
                self._check(answer.status, _SEARCH)

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store all instances or fail; one that exists already counts as stored."""
        body, content_type = joined([_encoded(dataset) for dataset in datasets], "application/dicom")
        with self._talking(_STORE):
            for accepted in ANSWER_TYPES:
                status, text = self._post(body, content_type, accepted)
                if status != HTTPStatus.NOT_ACCEPTABLE:
                    break
            if status != CONFLICT:
                self._check(status, _STORE)
            stored = read_store_answer(text)
        if problem := stored.problem((str(dataset.SOPInstanceUID) for dataset in datasets), status):
            may_pass = stored.failures and all(reason in _PASSING for reason in stored.failures)
            raise (UncertainError if may_pass else FailedError)(f"{self} {problem}")

    def _post(self, body: bytes, content_type: str, accepted: str) -> tuple[int, bytes]:
        """Status of a request to store, and the answer, which a refused one may have too."""
        headers = {"Content-Type": content_type, "Accept": accepted, "Accept-Encoding": "identity"}
        with self._http.asking("POST", f"{self._root}/studies", _BOUNDS[_STORE], headers, body) as answer:
            has_answer = answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status == CONFLICT
            return answer.status, answer.body() if has_answer else b""

    def _page(
        self, path: str, filters: Mapping[str, str], read: Callable[[Item], Found | None], offset: int
    ) -> Page[Found]:
        url = f"{self._root}{path}?{urlencode({'limit': PAGE, 'offset': offset, **filters})}"
        headers = {"Accept": "application/dicom+json", "Accept-Encoding": "identity"}
        with self._talking(_SEARCH), self._http.asking("GET", url, _BOUNDS[_SEARCH], headers) as answer:
            self._check(answer.status, _SEARCH)
            size, items = 0, []
            for item in items_of(answer.body()):
                size += 1
                if item is not None and (found := read(item)) is not None:
                    items.append(found)
        if size and not items:
            raise UncertainError(f"{self} gave no valid answer to '{_SEARCH}' (nothing with the UIDs it must state)")
        if left_out := size - len(items):
            logger.warning(
                "%d %s are left out: the server gives no UID of theirs, or none that is one",
                left_out,
                _LISTED[path.rpartition("/")[2]],
            )
        return Page(items, size, answer.has_more)

    def _check(self, status: int, what: str) -> None:
        if status < 300:
            return
        problem = f"{self} answers {status} to '{what}'"
        if status in _OURS or (status in _NO_SERVICE and what != _FETCH):
            raise UnavailableError(problem)
        if status >= 500 or status in _MAY_BE_THEIRS:
            raise UncertainError(problem)
        raise FailedError(problem)

    @contextmanager
    def _talking(self, what: str) -> Iterator[None]:
        try:
            yield
        except NoConnectionError as error:
            raise UnavailableError(f"{self} {error}") from None
        except AnswerError as error:
            raise UncertainError(f"{self} {error} on '{what}'") from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            # What an invalid answer makes the libraries raise.
            raise UncertainError(f"{self} gave no valid answer to '{what}' ({type(error).__name__})") from None


def _encoded(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, dataset)
    return stream.getvalue()
