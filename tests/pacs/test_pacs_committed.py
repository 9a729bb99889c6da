"""Results count as stored once the archive has committed itself to them: none is lost, none is sent without end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

import pytest
from films import film, film_uid
from orthanc import Orthanc, free_port
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from typer.testing import CliRunner

from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.pacs import commitment_user
from mammoscope.pacs.commitment import COMMITMENT_INSTANCE, STORAGE_COMMITMENT, Commitments
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.committed_archive import CommittedArchive
from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.retries import NotYetError
from mammoscope.pacs.settings import Listening, Node
from mammoscope.peers.errors import FailedError, UncertainError

FILMS = [film(0), film(1)]
UIDS = [film_uid(0), film_uid(1)]
Refusing = tuple[UID, ...]


class CommittingPeer:
    """Stores anything, and reports that it keeps all but ``refused``, unless ``reports`` is False.

    ``status`` is what it answers to N-ACTION, ``stored`` and ``asked`` the UIDs of what was stored and asked for.
    """

    def __init__(self, *, offers: bool = True) -> None:
        self.refused: Refusing = ()
        self.reports, self.swaps, self.status = True, False, 0x0000
        self.stored: list[UID] = []
        self.asked: list[list[UID]] = []
        entity = AE("KEEPER")
        entity.add_supported_context(film(0).SOPClassUID)
        if offers:
            entity.add_supported_context(STORAGE_COMMITMENT)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act)]
        self._server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.node = Node("KEEPER", "127.0.0.1", self._server.server_address[1])

    def __enter__(self) -> CommittingPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def archive(self, within: float = 60.0) -> CommittedArchive:
        return CommittedArchive(
            Dimse(self.node, "MAMMOSCOPE", None), CommitmentUser(self.node, "MAMMOSCOPE", None), within
        )

    def _store(self, event: evt.Event) -> int:
        self.stored.append(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        return 0x0000

    def _act(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.asked.append([one.ReferencedSOPInstanceUID for one in request.ReferencedSOPSequence])
        if self.status == 0x0000 and self.reports:
            Thread(target=self._report, args=(event.assoc, request), daemon=True).start()
        return self.status, None

    def _report(self, association: Any, request: Dataset) -> None:
        time.sleep(0.05)
        report = Dataset()
        report.TransactionUID = "2.25.1" if self.swaps else request.TransactionUID
        report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
        for one in request.ReferencedSOPSequence:
            if one.ReferencedSOPInstanceUID in self.refused:
                one.FailureReason = 0x0112
                report.FailedSOPSequence.append(one)
            else:
                report.ReferencedSOPSequence.append(one)
        association.send_n_event_report(report, 2 if self.refused else 1, STORAGE_COMMITMENT, COMMITMENT_INSTANCE)


@contextmanager
def listening(port: int, user: CommitmentUser) -> Iterator[None]:
    """Take reports at a port."""
    destination = MoveDestination(Listening("MAMMOSCOPE", port=port), user)
    destination.start()
    yield
    destination.stop()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_user, "_HERE_SECONDS", 0.5)


def stored(archive: CommittedArchive, seconds: float = 10) -> None:
    """Store until it is done, as the queue does."""
    end = time.monotonic() + seconds
    while True:
        try:
            archive.store(FILMS)
        except NotYetError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def test_all_are_kept() -> None:
    with CommittingPeer() as peer:
        peer.archive().store(FILMS)
        assert peer.stored == UIDS and peer.asked == [UIDS]


def test_only_what_is_refused_by_name_is_stored_again() -> None:
    with CommittingPeer() as peer:
        archive, peer.refused = peer.archive(), (UIDS[1],)
        for times in (1, 2):
            with pytest.raises(FailedError, match=r"1 of 2 results \(failure 0x0112\); they are stored again"):
                archive.store(FILMS)
            assert peer.stored == [*UIDS, *[UIDS[1]] * (times - 1)]
        peer.refused = ()
        archive.store(FILMS)
        assert peer.stored == [*UIDS, UIDS[1], UIDS[1]] and peer.asked == [UIDS] * 3


@pytest.mark.parametrize("swaps", [False, True], ids=["no report", "a report on something else"])
def test_what_is_not_reported_on_is_asked_for_again_and_not_stored_again(swaps: bool) -> None:
    with CommittingPeer() as peer:
        archive, peer.reports, peer.swaps = peer.archive(0.8), swaps, swaps
        with pytest.raises(NotYetError):
            archive.store(FILMS)
        time.sleep(0.9)
        with pytest.raises(UncertainError, match=r"reported no storage commitment within 0\.8 s"):
            archive.store(FILMS)
        peer.reports, peer.swaps = True, False
        archive.store(FILMS)
        assert peer.stored == UIDS and peer.asked == [UIDS, UIDS]


def test_an_archive_that_offers_no_commitment_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with CommittingPeer(offers=False) as peer:
        archive = peer.archive()
        archive.store(FILMS)
        archive.store([film(3)])
        assert peer.stored == [*UIDS, film_uid(3)]
    assert caplog.text.count("results count as stored without its storage commitment") == 1


def test_a_request_that_fails_is_made_again_without_storing_again() -> None:
    with CommittingPeer() as peer:
        archive, peer.status = peer.archive(), 0x0110
        for _ in range(2):
            with pytest.raises(UncertainError, match=r"fails on storage commitment \(status 0x0110\)"):
                archive.store(FILMS)
        peer.status = 0x0000
        archive.store(FILMS)
        assert peer.stored == UIDS and len(peer.asked) == 3


@pytest.mark.parametrize("apart", [False, True], ids=["on the association of the request", "on one of its own"])
def test_our_own_receiver_commits_itself_to_what_it_has(
    receiving: Callable[..., tuple[Receiver, ImageQueue]], apart: bool
) -> None:
    ours = free_port()
    nodes = [Node("MAMMOSCOPE", "127.0.0.1", ours)] if apart else []
    receiver, _ = receiving(Listening("KEEPER", port=0), commit=lambda queue: Commitments(queue, "KEEPER", nodes, None))
    node = Node("KEEPER", "127.0.0.1", receiver.port)
    user = CommitmentUser(node, "MAMMOSCOPE", None)
    with listening(ours, user):
        stored(CommittedArchive(Dimse(node, "MAMMOSCOPE", None), user, 60.0))
        transaction = user.ask([FILMS[0], film(7)])
        while (report := user.report(transaction)) is None:
            time.sleep(0.05)
        assert (report.kept, report.reasons) == ({film_uid(0)}, {"0x0112"})


def test_an_orthanc_commits_itself_to_what_it_has(orthanc: Orthanc) -> None:
    ours = free_port()
    orthanc.knows("MAMMOSCOPE", ours)
    node = Node.parse(orthanc.node)
    user = CommitmentUser(node, "MAMMOSCOPE", None)
    with listening(ours, user):
        stored(CommittedArchive(Dimse(node, "MAMMOSCOPE", None), user, 60.0))
        assert len(orthanc.tags("SOPInstanceUID")) == 2
        transaction = user.ask([FILMS[0], film(7)])
        while (report := user.report(transaction)) is None:
            time.sleep(0.05)
        assert (report.kept, report.reasons) == ({film_uid(0)}, {"0x0112"})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["watch", "http://h/", "--commit"], "--commit is for TITLE@host:port"),
        (["watch", "A@h:1", "--commit", "--move-to", "OTHER"], "--move-to OTHER must be the same as it, MAMMOSCOPE"),
        (["receive", "--send-to", "http://h/", "--commit"], "--commit is for TITLE@host:port"),
    ],
)
def test_where_nothing_can_be_committed_is_refused(arguments: list[str], problem: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["pacs", *arguments, "--data", str(tmp_path / "data")])
    assert isinstance(outcome.exception, MammoscopeError) and problem in str(outcome.exception)
