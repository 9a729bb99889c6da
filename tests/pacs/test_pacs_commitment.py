"""Storage commitment: said of what is kept, byte for byte, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from archive_peer import ArchivePeer, ask_for_commitment
from films import encoded, film, film_uid
from orthanc import TITLE, Orthanc, free_port
from pydicom.uid import CTImageStorage

from mammoscope.pacs.commitment import Commitments
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.settings import Listening, Node

Receiving = Callable[..., tuple[Receiver, ImageQueue]]
FILM_CLASS = film(0).SOPClassUID


@pytest.mark.parametrize("own_association", [False, True])
def test_what_is_kept_is_committed_and_what_is_not_is_said(receiving: Receiving, own_association: bool) -> None:
    with ArchivePeer() as peer:
        nodes = [Node.parse(peer.node)] if own_association else []
        receiver, queue = receiving(commit=lambda queue: Commitments(queue, "MAMMOSCOPE", nodes, None))
        for number in range(3):
            queue.admit(film_uid(number), FILM_CLASS, encoded(film(number)))
        done, rotten = queue.images(ImageState.RECEIVED)[1:]
        queue.finish(done, ImageState.SENT)
        content = bytearray(queue.place(rotten).image.read_bytes())
        content[-1] ^= 1
        queue.place(rotten).image.write_bytes(content)
        asked = [(FILM_CLASS, film_uid(number)) for number in range(2)]
        assert ask_for_commitment(peer, receiver.port, asked) == 0
        unkept = [(FILM_CLASS, film_uid(2)), (FILM_CLASS, film_uid(9)), (CTImageStorage, film_uid(0))]
        peer.reported.clear()
        assert ask_for_commitment(peer, receiver.port, asked[:1] + unkept) == 0
        assert ask_for_commitment(peer, receiver.port, []) == 0x0115
    (all_kept, first), (some_not, second) = peer.reports
    assert (all_kept, some_not) == (1, 2)
    assert first.TransactionUID == "2.25.815" and "FailedSOPSequence" not in first
    assert [item.ReferencedSOPInstanceUID for item in first.ReferencedSOPSequence] == [film_uid(0), film_uid(1)]
    assert [item.ReferencedSOPInstanceUID for item in second.ReferencedSOPSequence] == [film_uid(0)]
    failed = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in second.FailedSOPSequence]
    assert failed == [(film_uid(2), 0x0112), (film_uid(9), 0x0112), (film_uid(0), 0x0119)]


def test_who_keeps_nothing_commits_to_nothing(receiving: Receiving) -> None:
    receiver, _ = receiving()
    with ArchivePeer() as peer:
        assert ask_for_commitment(peer, receiver.port, [(FILM_CLASS, film_uid(0))]) == -1


def test_an_orthanc_asks_and_is_told(orthanc: Orthanc, receiving: Receiving) -> None:
    port = free_port()
    orthanc.end()
    orthanc.start(DicomModalities={"us": ["MAMMOSCOPE", "127.0.0.1", port]})
    receiver, queue = receiving(
        Listening(port=port),
        commit=lambda queue: Commitments(queue, "MAMMOSCOPE", [Node.parse(orthanc.node)], None),
    )
    assert receiver.port == port and orthanc.node.startswith(TITLE)
    for number in range(2):
        orthanc.add(encoded(film(number)))
    (kept,) = [
        name
        for name in orthanc.client.get("/instances").json()
        if film_uid(0) in orthanc.client.get(f"/instances/{name}/simplified-tags").text
    ]
    orthanc.client.post("/modalities/us/store", json=kept).raise_for_status()
    assert [image.sop_instance for image in queue.images(ImageState.RECEIVED)] == [film_uid(0)]
    instances = [{"SOPClassUID": FILM_CLASS, "SOPInstanceUID": film_uid(number)} for number in range(2)]
    asked = orthanc.client.post("/modalities/us/storage-commitment", json={"DicomInstances": instances})
    transaction = asked.raise_for_status().json()["ID"]
    end = time.monotonic() + 20
    while (answer := orthanc.client.get(f"/storage-commitment/{transaction}").json())["Status"] == "Pending":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answer["Status"] == "Failure"
    assert [item["SOPInstanceUID"] for item in answer["Success"]] == [film_uid(0)]
    assert [item["SOPInstanceUID"] for item in answer["Failures"]] == [film_uid(1)]
