"""Send by C-STORE (PS3.4 B), as the calling side."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation

from mammoscope.pacs.bounded_association import bound_reading
from mammoscope.pacs.settings import Node
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError

VERIFICATION = UID("1.2.840.10008.1.1")
_CONNECT_SECONDS, _ANSWER_SECONDS = 10, 120
_SUCCESS, _WARNINGS, _DUPLICATE = 0x0000, range(0xB000, 0xC000), 0x0111
_OURS = 0x0124  # not authorised (PS3.7 C.4.2)
_MAY_BE_THEIRS = frozenset({0x0110, 0x0211, 0x0213, *range(0xA700, 0xA800)})  # processing failure, out of resources
# By source and reason (PS3.8 9.3.4).
_REJECTIONS: dict[tuple[int | None, int | None], str] = {
    (1, 3): "it does not know the calling AE title",
    (1, 7): "it has another AE title",
    (2, 2): "it does not support this protocol version",
    (3, 1): "it is overloaded",
    (3, 2): "it has too many associations",
}


class Dimse:
    """A DICOM application that results are sent to.

    Parameters
    ----------
    node
        Where it is.
    title
        mammoscope's own AE title.
    tls
        None: unencrypted.
    """

    def __init__(self, node: Node, title: str, tls: ssl.SSLContext | None) -> None:
        self._node, self._title, self._tls = node, title, tls
        self._association: Association | None = None

    def __str__(self) -> str:
        return str(self._node)

    def interrupt(self) -> None:
        """End the call under way, from another thread."""
        if (association := self._association) is not None:
            association.abort()

    def check(self) -> None:
        """See whether it answers, by C-ECHO; raises ``UnavailableError`` or ``UncertainError`` if it does not."""
        entity = AE(self._title)
        entity.add_requested_context(VERIFICATION)
        try:
            with associated(entity, self._node, self._tls) as association:
                self._association = association
                if association.send_c_echo().get("Status") != _SUCCESS:
                    raise UncertainError(f"{self._node} gave no answer to C-ECHO")
        except FailedError:  # it answered that it offers no C-ECHO
            pass
        finally:
            self._association = None

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store all instances or fail; one that exists already counts as stored.

        Raises
        ------
        UnavailableError
            It cannot be reached, or rejects the association.
        FailedError
            It does not accept one of them.
        UncertainError
            It fails on one of them, and perhaps on any other as well.
        """
        entity = AE(self._title)
        for sop_class, syntax in {(item.SOPClassUID, item.file_meta.TransferSyntaxUID) for item in datasets}:
            # One context each, so that the other side cannot choose an encoding that we do not have.
            entity.add_requested_context(sop_class, syntax)
            if syntax == ExplicitVRLittleEndian:
                entity.add_requested_context(sop_class, ImplicitVRLittleEndian)
        with associated(entity, self._node, self._tls) as association:
            self._association = association
            try:
                for number, dataset in enumerate(datasets, start=1):
                    self._store_one(association, dataset, number)
            finally:
                self._association = None

    def _store_one(self, association: Association, dataset: Dataset, number: int) -> None:
        try:
            answer = association.send_c_store(dataset, msg_id=number)
        except (ValueError, RuntimeError):
            if association.is_established:
                raise FailedError(f"{self._node} does not accept it ({dataset.SOPClassUID.name})") from None
            raise UncertainError(f"{self._node} ended the association ({dataset.SOPClassUID.name})") from None
        status = answer.get("Status")
        if status is None:
            raise UncertainError(f"{self._node} gave no answer to C-STORE")
        if status in (_SUCCESS, _DUPLICATE) or status in _WARNINGS:
            return
        problem = f"{self._node} did not store it (status 0x{status:04X})"
        if status == _OURS:
            raise UnavailableError(problem)
        raise UncertainError(problem) if status in _MAY_BE_THEIRS else FailedError(problem)


@contextmanager
def associated(
    entity: AE,
    node: Node,
    tls: ssl.SSLContext | None,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Association]:
    """An association that is released at the end, or aborted after an error.

    Parameters
    ----------
    entity
        Ours, with the contexts to request.
    node, tls
        Whom to call; None: unencrypted.
    roles
        Those to propose.
    handlers
        What to do with what arrives, as pynetdicom takes them.

    Raises
    ------
    UnavailableError
        There is none.
    FailedError
        There is none, because the other side accepts none of the objects to be sent.
    """
    entity.connection_timeout = entity.acse_timeout = _CONNECT_SECONDS
    entity.dimse_timeout = entity.network_timeout = _ANSWER_SECONDS
    try:
        association = entity.associate(
            node.host,
            node.port,
            ae_title=node.title,
            tls_args=None if tls is None else (tls, node.host),
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, bound_reading), *handlers],
        )
    except OSError:  # before it connects, the library looks the name up
        raise UnavailableError(f"{node} cannot be reached: its name is not known") from None
    if association.rejected_contexts and not association.accepted_contexts:
        names = {UID(context.abstract_syntax or "").name for context in association.rejected_contexts}
        raise FailedError(f"{node} does not accept {', '.join(sorted(names))}")
    if not association.is_established:
        raise UnavailableError(f"{node} {_refusal(association)}")
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _refusal(association: Association) -> str:
    """Why there is no association."""
    if not association.is_rejected:
        return "cannot be reached"
    answer = association.acceptor.primitive
    said = _REJECTIONS.get((answer.result_source, answer.diagnostic)) if isinstance(answer, A_ASSOCIATE) else None
    return f"rejects the association ({said})" if said else "rejects the association"
