"""Ask a DICOM application, whose answers are bounded in bytes, messages and time."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.bounded_association import cut
from mammoscope.pacs.dimse import associated
from mammoscope.pacs.settings import Node
from mammoscope.peers.bounds import AnswerError, Bounds
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.processes.child import Deadline

_MOST_MESSAGES = 100_000  # some 4 kB each, until they are read
_NO_SERVICE = frozenset({0x0122, 0x0124, 0xA801})  # SOP class not supported, not authorised, destination unknown
_REFUSED = frozenset({0x0112, *range(0xA900, 0xAA00)})  # no such object; the identifier is not what is expected


class NotOfferedError(UnavailableError):
    """The other side accepts none of the services that are asked for."""


class BoundedCalls:
    """Associations that are opened with one application, one at a time; threads need one of these each.

    Parameters
    ----------
    node
        Whom to call.
    title
        mammoscope's own AE title.
    tls
        None: unencrypted.
    """

    def __init__(self, node: Node, title: str, tls: ssl.SSLContext | None) -> None:
        self.node, self.title, self._tls = node, title, tls
        self._association: Association | None = None
        self._is_over = False

    def interrupt(self) -> None:
        """End the call under way, from another thread, and allow no further one."""
        self._is_over = True
        if (association := self._association) is not None:
            cut(association)

    @contextmanager
    def associated(
        self,
        what: str,
        contexts: Iterable[tuple[str, Sequence[str]]],
        bounds: Bounds,
        *,
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
        handlers: Sequence[tuple[Any, ...]] = (),
    ) -> Iterator[Association]:
        """An association, to be used within the block.

        Parameters
        ----------
        what
            What it is for, for messages.
        contexts
            SOP classes to request, each with transfer syntaxes; without any, those that every application has.
        bounds
            Bytes and seconds of all that is received.
        roles, handlers
            As ``dimse.associated`` takes them.

        Raises
        ------
        UnavailableError
            It cannot be reached, rejects the association, or accepts none of the contexts (``NotOfferedError``).
        UncertainError
            What it sends is no valid answer, is beyond the bounds, or nothing.
        """
        entity = AE(self.title)
        for sop_class, syntaxes in contexts:
            entity.add_requested_context(sop_class, list(syntaxes or DEFAULT_TRANSFER_SYNTAXES))
        received = _Received(bounds.size)
        counted = [(evt.EVT_DATA_RECV, received.add), (evt.EVT_DIMSE_RECV, received.add_message)]
        with ExitStack() as stack:
            if self._is_over:
                raise UnavailableError(f"{self.node} is not asked any more")
            try:
                association = stack.enter_context(
                    associated(entity, self.node, self._tls, roles, [*counted, *handlers])
                )
            except FailedError as error:
                raise NotOfferedError(str(error)) from None
            self._association = association
            stack.callback(self._forget)
            if self._is_over:  # meanwhile
                cut(association)
            with Deadline(bounds.seconds, partial(cut, association)) as deadline:
                try:
                    yield association
                except MammoscopeError:
                    raise
                except Exception as error:  # what an invalid answer makes the libraries raise is not bounded
                    problem = (
                        str(error) if isinstance(error, AnswerError) else f"gave no valid answer ({place_of(error)})"
                    )
                    if association.acse.is_aborted() or not association.is_established:
                        problem = "ended the association"  # Orthanc does where it does not know who calls
                    if received.excess is not None:
                        problem = f"gave {received.excess}"
                    elif deadline.passed:
                        problem = f"took more than {bounds.seconds:g} s"
                    raise UncertainError(f"{self.node} {problem} on {what}") from None

    def refusal(self, what: str, status: int) -> MammoscopeError:
        """The error for a status of failure: whose fault it is."""
        problem = f"{self.node} fails on {what} (status 0x{status:04X})"
        if status in _NO_SERVICE:
            return UnavailableError(problem)
        return FailedError(problem) if status in _REFUSED else UncertainError(problem)

    def _forget(self) -> None:
        self._association = None


def status_of(answer: Dataset) -> int:
    """The status of an answer; raises ``AnswerError`` if there is none."""
    status = answer.get("Status")
    if status is None:
        raise AnswerError("gave no answer")
    return int(status)


class _Received:
    """What an association has received; one that receives too much is cut."""

    def __init__(self, most: int) -> None:
        self._most, self._size, self._messages = most, 0, 0
        self.excess: str | None = None

    def add(self, event: evt.Event) -> None:
        self._size += len(event.data)
        if self._size > self._most:
            self.excess = f"more than {self._most >> 20} MiB"
            cut(event.assoc)

    def add_message(self, event: evt.Event) -> None:
        self._messages += 1
        if self._messages > _MOST_MESSAGES:
            self.excess = f"more than {_MOST_MESSAGES} messages"
            cut(event.assoc)
