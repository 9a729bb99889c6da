"""Fetch an image by C-GET, or by C-MOVE to ourselves (PS3.4 C), study root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_role, evt

from mammoscope.pacs.arrival import Arrival
from mammoscope.pacs.bounded_calls import BoundedCalls, status_of
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.query import PENDING, SUCCESS, identifier_of
from mammoscope.peers.bounds import Bounds
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.peers.limits import LARGEST_IMAGE
from mammoscope.readers.dicom.admission import IMAGE_CLASSES
from mammoscope.readers.dicom.compressed import NATIVE_SYNTAXES, READABLE_SYNTAXES
from mammoscope.writers.dicom.result_kind import REPORT_CLASSES

GET = UID("1.2.840.10008.5.1.4.1.2.2.3")  # Study Root Query/Retrieve Information Model - GET
MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")  # and - MOVE
_SOME_FAILED = range(0xB000, 0xC000)
_BOUNDS = Bounds(LARGEST_IMAGE + (LARGEST_IMAGE >> 6), 600.0)  # of one image, with what is sent around it
_LATE_SECONDS = 5.0  # an archive may say that it is done before the last object has come


@dataclass(frozen=True)
class _Outcome:
    """The last answer to a request, with its numbers of sub-operations."""

    status: int
    completed: int
    failed: int


class Retrieval:
    """Fetches from one archive, one image at a time; raises as ``Source`` does.

    Parameters
    ----------
    calls
        To the archive.
    destination
        Where it sends images by C-MOVE; None: they are fetched by C-GET.
    """

    def __init__(self, calls: BoundedCalls, destination: MoveDestination | None) -> None:
        self._calls, self._destination = calls, destination

    def fetched(self, study: str, series: str, sop_instance: str) -> Arrival:
        """An image, when it has arrived."""
        keys = {"0020000D": study, "0020000E": series, "00080018": sop_instance}
        identifier = identifier_of("IMAGE", keys)
        if self._destination is None:
            return self._got(identifier, sop_instance)
        return self._moved(identifier, sop_instance, self._destination)

    def _got(self, identifier: Dataset, sop_instance: str) -> Arrival:
        arrival = Arrival(sop_instance)
        # One context for each encoding, so that an image can come as it is stored.
        storage = [(sop_class, [syntax]) for sop_class in sorted(IMAGE_CLASSES) for syntax in READABLE_SYNTAXES]
        storage += [(UID(sop_class), list(NATIVE_SYNTAXES)) for sop_class in sorted(REPORT_CLASSES)]
        roles = [build_role(sop_class, scp_role=True) for sop_class in sorted(IMAGE_CLASSES | REPORT_CLASSES)]
        with self._calls.associated(
            "C-GET", [(GET, ()), *storage], _BOUNDS, roles=roles, handlers=[(evt.EVT_C_STORE, arrival.take)]
        ) as association:
            accepted = association.accepted_contexts
            if all(context.abstract_syntax != GET for context in accepted):
                raise UnavailableError(f"{self._calls.node} offers no C-GET: fetch by C-MOVE, with --move-to")
            if not any(context.as_scp for context in accepted):
                raise UnavailableError(
                    f"{self._calls.node} does not store on the association of C-GET: fetch by C-MOVE, with --move-to"
                )
            outcome = self._outcome("C-GET", association.send_c_get(identifier, GET))
            self._check("C-GET", outcome, arrival)
        return arrival

    def _moved(self, identifier: Dataset, sop_instance: str, destination: MoveDestination) -> Arrival:
        with (
            destination.expecting(sop_instance) as arrival,
            self._calls.associated("C-MOVE", [(MOVE, ())], _BOUNDS) as association,
        ):
            outcome = self._outcome("C-MOVE", association.send_c_move(identifier, destination.title, MOVE))
            if outcome.completed:
                arrival.wait(_LATE_SECONDS)
            self._check("C-MOVE", outcome, arrival)
        return arrival

    def _outcome(self, what: str, answers: Iterator[tuple[Dataset, Dataset | None]]) -> _Outcome:
        for answer, _ in answers:
            if (status := status_of(answer)) not in PENDING:
                completed = int(answer.get("NumberOfCompletedSuboperations") or 0)
                completed += int(answer.get("NumberOfWarningSuboperations") or 0)
                return _Outcome(status, completed, int(answer.get("NumberOfFailedSuboperations") or 0))
        raise UncertainError(f"{self._calls.node} ended the association on {what}")

    def _check(self, what: str, outcome: _Outcome, arrival: Arrival) -> None:
        """Raise unless the image has arrived: then it counts, whatever the archive says of it."""
        if arrival.is_here:
            return
        if arrival.others:
            raise UncertainError(f"{self._calls.node} sent another object than the one that {what} asked for")
        if outcome.status == SUCCESS and not outcome.completed and not outcome.failed:
            raise FailedError(f"{self._calls.node} does not have it any more ({what} found nothing)")
        if outcome.status == SUCCESS or outcome.status in _SOME_FAILED:
            raise UncertainError(
                f"{self._calls.node} did not send it on {what} "
                f"(status 0x{outcome.status:04X}, {outcome.completed} sent, {outcome.failed} failed)"
            )
        raise self._calls.refusal(what, outcome.status)
