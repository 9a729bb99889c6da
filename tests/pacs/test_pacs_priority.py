"""Urgent images go first, wherever their urgency is stated, and others are not left waiting."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from films import encoded, film, film_uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE

from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Admission, ImageState
from mammoscope.pacs.rebuild import rebuild
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.urgency import is_urgent

CLASS = film(0).SOPClassUID


def header(syntax: str = ExplicitVRLittleEndian, **values: Any) -> bytes:
    """A film's header, with sequences of unstated length before the priority, one in the other."""
    dataset = film(0, **values)
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.RequestedProcedurePriority = "113014", "STAT"  # not the image's own
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    dataset.SourceImageSequence = Sequence([outer, inner])
    dataset["SourceImageSequence"].is_undefined_length = True
    for item in (inner, outer):
        item.is_undefined_length_sequence_item = True
    stream = BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    is_implicit, is_little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(stream, dataset, implicit_vr=is_implicit, little_endian=is_little, force_encoding=True)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, False),
        ({"RequestedProcedurePriority": "STAT"}, True),
        ({"RequestedProcedurePriority": "HIGH"}, True),
        ({"RequestedProcedurePriority": "urgent"}, True),
        ({"StudyPriorityID": "HIGH"}, True),
        ({"RequestedProcedurePriority": "ROUTINE"}, False),
        ({"StudyPriorityID": "MED", "RequestedProcedurePriority": ""}, False),
        ({"StudyPriorityID": "LOW", "RequestedProcedurePriority": "HIGH"}, True),
    ],
)
def test_what_is_urgent(syntax: str, values: dict[str, str], expected: bool) -> None:
    assert is_urgent(header(syntax, **values)) is expected


def test_what_cannot_be_read_is_not_urgent() -> None:
    whole = header(StudyPriorityID="HIGH")
    assert is_urgent(whole)
    for syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        assert not is_urgent(whole.replace(ExplicitVRLittleEndian.encode() + b"\0", syntax.encode() + b"\0"))
    chance = random.Random(0)
    for _ in range(300):
        spoilt = bytearray(whole[: chance.randrange(len(whole))])
        for position in chance.choices(range(len(spoilt)), k=20 if spoilt else 0):
            spoilt[position] = chance.randrange(256)
        is_urgent(bytes(spoilt))  # whatever it says
    for content in (b"", b"\0" * 5000, whole[:400] + b"\xff" * 100_000):
        assert not is_urgent(content)


def taken(queue: ImageQueue) -> list[str]:
    """In which order what is received is analysed."""
    order = []
    while (image := queue.next(ImageState.RECEIVED)) is not None:
        order.append(image.sop_instance)
        queue.finish(image, ImageState.SKIPPED)
    return order


def test_urgent_images_go_first_and_others_have_every_fifth_turn(tmp_path: Path) -> None:
    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        for number in range(12):
            queue.admit(f"1.2.{number}", CLASS, b"film %d" % number, is_urgent=number >= 2)
        expected = [2, 3, 4, 5, 0, 6, 7, 8, 9, 1, 10, 11]
        assert taken(queue) == [f"1.2.{number}" for number in expected]


def test_urgency_is_read_of_what_is_received_or_fetched_and_changes_with_its_version(tmp_path: Path) -> None:
    urgent, other = (encoded(film(1, RequestedProcedurePriority=one)) for one in ("STAT", "ROUTINE"))
    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        queue.admit(film_uid(0), CLASS, encoded(film(0)))
        queue.find(film_uid(2), CLASS, "1.3", "1.4")
        (found,) = queue.images(ImageState.FOUND)
        queue.fetched(found, [encoded(film(2, StudyPriorityID="HIGH"))])
        queue.admit(film_uid(1), CLASS, urgent)

        def first() -> str:
            image = queue.next(ImageState.RECEIVED)
            assert image is not None
            return image.sop_instance

        assert first() == film_uid(2)
        assert queue.admit(film_uid(1), CLASS, other) is Admission.CHANGED
        assert taken(queue) == [film_uid(2), film_uid(0), film_uid(1)]


def test_the_priority_of_c_store_counts(receiving: Callable[..., tuple[Receiver, ImageQueue]]) -> None:
    receiver, queue = receiving()
    entity = AE("MODALITY")
    entity.add_requested_context(CLASS)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MAMMOSCOPE")
    for number, priority in enumerate((2, 0, 1)):
        association.send_c_store(film(number), priority=priority)
    association.release()
    assert taken(queue) == [film_uid(2), film_uid(0), film_uid(1)]


def test_urgency_survives_a_restart_and_damage_and_is_forgotten_when_done(tmp_path: Path) -> None:
    def urgent() -> int:
        with closing(sqlite3.connect(tmp_path / "data" / "state.sqlite")) as database:
            return int(database.execute("SELECT count(*) FROM urgent").fetchone()[0])

    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        for number in range(3):
            queue.admit(film_uid(number), CLASS, encoded(film(number)), is_urgent=number == 2)
    rebuild(tmp_path / "data")
    assert urgent() == 1
    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        assert taken(queue) == [film_uid(2), film_uid(0), film_uid(1)]
    assert urgent() == 0
