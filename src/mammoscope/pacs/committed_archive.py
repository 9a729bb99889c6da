"""An archive that has results only once it has committed itself to keep them."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from mammoscope.pacs.bounded_calls import NotOfferedError
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.retries import NotYetError
from mammoscope.pacs.sender import Archive
from mammoscope.peers.errors import FailedError, UncertainError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 5.0
_MOST_PENDING = 10_000  # beyond, the oldest are stored again


@dataclass
class _Pending:
    """Results that were stored.

    Attributes
    ----------
    to_store
        UIDs of those that have to be stored again.
    transaction
        The request that is to be reported on; None: it has to be asked.
    asked
        When it was asked, by a clock that is never set.
    """

    to_store: frozenset[str] = frozenset()
    transaction: str | None = None
    asked: float = field(default_factory=time.monotonic)


class CommittedArchive:
    """As ``Archive``; one thread uses it. What has been stored and what is asked for is known until the process ends.

    Parameters
    ----------
    archive
        Where results are stored.
    user
        Asks it.
    within
        Seconds in which a report must come; after them it is asked again, and nothing is stored again.
    """

    def __init__(self, archive: Archive, user: CommitmentUser, within: float) -> None:
        self._archive, self._user, self._within = archive, user, within
        self._pending: OrderedDict[frozenset[str], _Pending] = OrderedDict()
        self._has_said = False

    def check(self) -> None:
        """As ``Archive``."""
        self._archive.check()

    def interrupt(self) -> None:
        """As ``Archive``."""
        self._user.interrupt()
        self._archive.interrupt()

    def store(self, datasets: Sequence[Dataset]) -> None:
        """As ``Archive``, but returns only once all are committed; to be called again until then.

        Raises
        ------
        NotYetError
            There is no report yet.
        FailedError
            The archive does not keep some, which the next call stores again.
        UncertainError
            No report came in time.
        """
        by_uid = {str(one.SOPInstanceUID): one for one in datasets}
        key = frozenset(by_uid)
        pending = self._pending.setdefault(key, _Pending(to_store=key))
        if len(self._pending) > _MOST_PENDING:
            self._pending.popitem(last=False)
        if pending.to_store:
            self._archive.store([one for uid, one in by_uid.items() if uid in pending.to_store])
            pending.to_store = frozenset()
        try:
            self._check(pending, by_uid)
        except NotOfferedError as error:
            if not self._has_said:
                logger.warning("%s: results count as stored without its storage commitment", error)
                self._has_said = True
        del self._pending[key]

    def _check(self, pending: _Pending, by_uid: dict[str, Dataset]) -> None:
        if pending.transaction is None:
            pending.transaction, pending.asked = self._user.ask(by_uid.values()), time.monotonic()
        report = self._user.report(pending.transaction)
        is_over = time.monotonic() - pending.asked > self._within
        if report is None and not is_over:
            raise NotYetError("its results wait for their storage commitment", min(_POLL_SECONDS, self._within))
        self._user.forget(pending.transaction)
        pending.transaction = None
        if report is None:
            raise UncertainError(f"{self._user.node} reported no storage commitment within {self._within:g} s")
        if missing := by_uid.keys() - report.kept:
            pending.to_store = frozenset(missing)
            reasons = ", ".join(sorted(report.reasons)) or "not given"
            raise FailedError(
                f"{self._user.node} does not commit itself to {len(missing)} of {len(by_uid)} results "
                f"(failure {reasons}); they are stored again"
            )
