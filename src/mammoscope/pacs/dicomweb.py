"""Search, fetch and store over DICOMweb (PS3.18: QIDO-RS, WADO-RS, STOW-RS)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from io import BytesIO
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.web import _Transaction
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from mammoscope.pacs.retries import FailedError, UnavailableError
from mammoscope.pacs.settings import WebServer
from mammoscope.pacs.stow import ANSWER_TYPES, CONFLICT, read_store_answer
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.uids import kept_uid

logger = logging.getLogger(__name__)

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of an answer
_PAGE = 200
# Status codes about the server or our account, not about the one image.
_EVERYBODYS = frozenset({401, 403, 407, 408, 429, 502, 503, 504})
_NO_SERVICE = frozenset({404, 405})  # for a search or a store; for a fetch the image is gone
_SEARCH, _FETCH, _STORE = "search", "fetch", "store"
_BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"


@dataclass(frozen=True)
class Study:
    """A study that a server has; ``instances`` is None if it does not state how many."""

    uid: str
    instances: int | None


@dataclass(frozen=True)
class Instance:
    """An instance that a server has, by its UIDs."""

    study: str
    series: str
    sop_instance: str
    sop_class: str


class DicomWeb:
    """A DICOMweb server; calls from several threads need one of these each.

    All calls raise ``UnavailableError`` if the server cannot be reached or refuses access, and ``FailedError`` if it
    refuses this one request.
    """

    def __init__(self, server: WebServer) -> None:
        session = requests.Session()
        session.trust_env = False  # no proxies and no password file from the environment
        if server.user is not None:
            session.auth = (server.user, server.password or "")
        if server.token is not None:
            session.headers["Authorization"] = f"Bearer {server.token}"
        tls = server.tls
        session.verify = True if tls.authority is None else str(tls.authority)
        if tls.certificate is not None and tls.key is not None:
            session.cert = (str(tls.certificate), str(tls.key))
        self._server = server
        self._client = _Client(server.url.rstrip("/"), session=session, timeout=_TIMEOUT)
        self._client.set_http_retry_params(retry=False)  # the queue retries

    def studies(self, modality: str, since: date | None) -> list[Study]:
        """Studies with images of a modality, those dated from a day on."""
        filters = {"ModalitiesInStudy": modality}
        if since is not None:
            filters["StudyDate"] = f"{since:%Y%m%d}-"
        found = self._pages(
            lambda offset: self._client.search_for_studies(limit=_PAGE, offset=offset, search_filters=filters)
        )
        studies, left_out = {}, 0
        for item in found:
            if uid := _uid(item, "0020000D"):
                studies[uid] = Study(uid, _number(_value(item, "00201208")))
            else:
                left_out += 1
        _note_left_out("studies", left_out)
        return list(studies.values())

    def instances(self, study: str, modality: str) -> list[Instance]:
        """Instances of a modality in a study."""
        found = self._pages(
            lambda offset: self._client.search_for_instances(
                study, limit=_PAGE, offset=offset, search_filters={"Modality": modality}
            )
        )
        instances, left_out = [], 0
        for item in found:
            series, sop_instance, sop_class = (_uid(item, tag) for tag in ("0020000E", "00080018", "00080016"))
            if series and sop_instance and sop_class:
                instances.append(Instance(study, series, sop_instance, sop_class))
            else:
                left_out += 1
        _note_left_out("images of a study", left_out)
        return instances

    def fetch(self, study: str, series: str, sop_instance: str) -> bytes:
        """The DICOM file of an instance, as the server stores it; nothing of it is parsed here."""
        with self._talking(_FETCH):
            return self._client.retrieve_encoded(study, series, sop_instance)

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store all instances or fail; one that exists already counts as stored."""
        with self._talking(_STORE):
            response = self._client.store(datasets)
            answer = read_store_answer(response.content)
        if problem := answer.problem((str(dataset.SOPInstanceUID) for dataset in datasets), response.status_code):
            raise FailedError(f"{self._server} {problem}")

    def _pages(self, search: Callable[[int], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Everything that a search finds. A page that holds nothing new is the last: not all servers know offsets."""
        seen: set[str] = set()
        offset = 0
        while True:
            with self._talking(_SEARCH):
                page = search(offset)
            new = {text: item for item in page if (text := json.dumps(item, sort_keys=True)) not in seen}
            seen.update(new)
            yield from new.values()
            offset += len(page)
            if not new:
                return

    @contextmanager
    def _talking(self, what: str) -> Iterator[None]:
        try:
            yield
        except requests.HTTPError as error:
            code = 0 if error.response is None else error.response.status_code
            problem = f"{self._server} answers {code} to '{what}'"
            is_everybodys = code in _EVERYBODYS or (code in _NO_SERVICE and what != _FETCH)
            raise (UnavailableError if is_everybodys else FailedError)(problem) from None
        except (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise UnavailableError(f"{self._server} cannot be reached ({type(error).__name__})") from None
        except requests.ConnectionError as error:
            if "NewConnectionError" in str(error) or "NameResolutionError" in str(error):
                raise UnavailableError(f"{self._server} cannot be reached") from None
            raise FailedError(f"{self._server} ended the connection on '{what}'") from None
        except requests.RequestException as error:
            raise FailedError(f"{self._server} gave no answer to '{what}' ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            # What the client library raises for an invalid answer.
            raise FailedError(f"{self._server} gave no valid answer to '{what}' ({type(error).__name__})") from None


class _Client(DICOMwebClient):
    """Adds a way to get a file without having it parsed, and with a limit on its size."""

    def retrieve_encoded(self, study: str, series: str, sop_instance: str) -> bytes:
        """The bytes of an instance in whatever transfer syntax the server has it."""
        url = self._get_instances_url(_Transaction.RETRIEVE, study, series, sop_instance)
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        headers = {
            "Accept": accept,
            "Accept-Encoding": "identity",
        }  # compressing would take the server seconds, for little gain
        with self._http_get(url, headers=headers, stream=True) as response:
            _limit(response, DEFAULT_LIMITS.file_bytes)
            if response.headers.get("Content-Type", "").startswith("application/dicom"):
                return b"".join(response.iter_content(1 << 20))
            (part,) = self._decode_multipart_message(response, stream=True)
            return bytes(part)

    def store(self, datasets: Sequence[Dataset]) -> requests.Response:
        """The answer to a request to store, also one that says what was not stored and why."""
        kind = f'multipart/related; type="application/dicom"; boundary="{_BOUNDARY}"'
        content = self._encode_multipart_message([_encoded(dataset) for dataset in datasets], kind)
        url = self._get_studies_url(_Transaction.STORE, None)
        *others, last = ANSWER_TYPES
        for accepted in others:
            try:
                return self._posted(url, content, {"Content-Type": kind, "Accept": accepted})
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != HTTPStatus.NOT_ACCEPTABLE:
                    raise
        return self._posted(url, content, {"Content-Type": kind, "Accept": last})

    def _posted(self, url: str, content: bytes, headers: dict[str, str]) -> requests.Response:
        try:
            return self._http_post(url, content, headers)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != CONFLICT:
                raise
            return error.response


def _encoded(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, dataset)
    return stream.getvalue()


def _limit(response: requests.Response, most: int) -> None:
    """Raise ``ValueError`` if an answer gets too large."""
    original = response.iter_content

    def limited(chunk_size: int = 1 << 20) -> Iterator[bytes]:
        total = 0
        for chunk in original(chunk_size):
            total += len(chunk)
            if total > most:
                raise ValueError(f"more than {most} bytes")
            yield chunk

    response.iter_content = limited  # type: ignore[method-assign,assignment]


def _note_left_out(what: str, count: int) -> None:
    if count:
        logger.warning("%d %s are left out: the server gives no UID of theirs, or none that is one", count, what)


def _value(item: dict[str, Any], tag: str) -> Any:
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]


def _uid(item: dict[str, Any], tag: str) -> str | None:
    return kept_uid(_value(item, tag))


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
