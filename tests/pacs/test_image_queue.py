"""The queue: what is accepted stays, moves on once, and is given up only after enough failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Admission, Image, ImageState
from mammoscope.pacs.retries import LONGEST_PAUSE, pause
from mammoscope.readers.source import data_set_sha256

CLASS = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def queue(tmp_path: Path) -> ImageQueue:
    return ImageQueue(tmp_path / "data", working=True, attempts=3, first_pause=0.0)


def admitted(queue: ImageQueue, number: int = 1) -> Image:
    assert queue.admit(f"1.2.{number}", CLASS, b"film %d" % number) is Admission.NEW
    image = queue.image(f"1.2.{number}")
    assert image is not None
    return image


def files(queue: ImageQueue) -> list[str]:
    return sorted(str(path.relative_to(queue.folder / "files")) for path in (queue.folder / "files").rglob("*"))


def test_an_image_goes_from_state_to_state(queue: ImageQueue) -> None:
    assert queue.next(ImageState.RECEIVED) is None
    image = admitted(queue)
    assert queue.next(ImageState.RECEIVED) == image and image.state is ImageState.RECEIVED
    assert queue.place(image).image.read_bytes() == b"film 1"
    queue.analysed(image, ["1.9.1"])
    assert (
        queue.next(ImageState.RECEIVED) is None
        and queue.memory.is_result("1.9.1")
        and not queue.memory.is_result("1.9.2")
    )
    image = queue.next(ImageState.ANALYSED)  # type: ignore[assignment]
    queue.finish(image, ImageState.SENT)
    assert queue.counts() == {state: int(state is ImageState.SENT) for state in ImageState}
    assert files(queue) == []


def test_images_are_due_in_the_order_in_which_they_came_and_when_they_have_waited(queue: ImageQueue) -> None:
    queue.admit("1.2.0", CLASS, b"for processing", wait=1000)
    first, second = admitted(queue, 1), admitted(queue, 2)
    assert queue.next(ImageState.RECEIVED) == first
    queue.postpone(first, 1000, "the PACS is away")
    assert queue.next(ImageState.RECEIVED) == second
    queue.postpone(second, 1000, "the PACS is away")
    assert queue.next(ImageState.RECEIVED) is None
    assert queue.image("1.2.1").failures == 0  # type: ignore[union-attr]
    queue.hasten(ImageState.RECEIVED)  # the PACS is back
    assert queue.next(ImageState.RECEIVED) == queue.image("1.2.1")
    queue.finish(queue.next(ImageState.RECEIVED), ImageState.SKIPPED)  # type: ignore[arg-type]
    queue.finish(queue.next(ImageState.RECEIVED), ImageState.SKIPPED)  # type: ignore[arg-type]
    assert queue.next(ImageState.RECEIVED) is None  # the one that is held waits for something else


@pytest.mark.parametrize("state", [ImageState.RECEIVED, ImageState.SENT])
def test_an_image_that_comes_again_is_known_and_another_version_counts(queue: ImageQueue, state: ImageState) -> None:
    image = admitted(queue)
    if state is ImageState.SENT:
        queue.finish(image, ImageState.SENT)
    assert queue.admit(image.sop_instance, CLASS, b"film 1") is Admission.KNOWN
    assert queue.counts()[state] == 1 and len(files(queue)) == (2 if state is ImageState.RECEIVED else 0)
    assert queue.admit(image.sop_instance, CLASS, b"another") is Admission.CHANGED
    (changed,) = queue.images(ImageState.RECEIVED)
    assert queue.is_whole(changed) and queue.place(changed).image.read_bytes() == b"another"
    queue.analysed(image, [])  # what was under way when it came was about the version before
    queue.finish(image, ImageState.SENT)
    assert queue.images(ImageState.RECEIVED) == [changed] and len(files(queue)) == 2


def test_the_meta_header_does_not_make_another_image() -> None:
    def file(implementation: bytes) -> bytes:
        meta = b"\x02\x00\x13\x00SH" + len(implementation).to_bytes(2, "little") + implementation
        group = b"\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little")
        return bytes(128) + b"DICM" + group + meta + b"data set"

    assert data_set_sha256(file(b"PYNETDICOM_303")) == data_set_sha256(file(b"PYNETDICOM_304 "))
    assert data_set_sha256(file(b"PYNETDICOM_303")) != data_set_sha256(file(b"PYNETDICOM_303") + b"!")


def test_after_enough_failures_an_image_is_given_up_until_it_is_revived(queue: ImageQueue) -> None:
    image = admitted(queue)
    queue.analysed(image, [])
    for attempt in range(3):
        due = queue.next(ImageState.ANALYSED)
        assert due is not None and due.failures == attempt
        assert queue.fail(due, "the PACS did not store it") is (attempt == 2)
    (dead,) = queue.images(ImageState.DEAD)
    assert dead.problem == "the PACS did not store it" and queue.next(ImageState.ANALYSED) is None
    assert queue.revive(["another"]) == 0 and queue.revive([dead.key]) == 1
    again = queue.next(ImageState.ANALYSED)  # not analysed again: its results are there
    assert again is not None and again.failures == 0


def test_all_that_are_chosen_are_revived(queue: ImageQueue) -> None:
    for number in range(4):
        queue.fail(admitted(queue, number), "the PACS did not store it", final=True)
    dead = queue.images(ImageState.DEAD)
    assert queue.revive(image.key for image in dead[:3]) == 3
    assert queue.images(ImageState.DEAD) == dead[3:] and queue.revive() == 1


def test_what_will_always_fail_is_given_up_at_once(queue: ImageQueue) -> None:
    assert queue.fail(admitted(queue), "is no mammogram", final=True)
    assert queue.counts()[ImageState.DEAD] == 1


def test_success_forgets_failures(queue: ImageQueue) -> None:
    image = admitted(queue)
    queue.fail(image, "the analysis process ended on it")
    queue.analysed(queue.next(ImageState.RECEIVED), [])  # type: ignore[arg-type]
    assert queue.next(ImageState.ANALYSED).failures == 0  # type: ignore[union-attr]


def test_pauses_grow_spread_and_end() -> None:
    for failures in range(1, 40):
        pauses = [pause(failures, 5.0) for _ in range(20)]
        middle = min(5.0 * 2 ** (failures - 1), LONGEST_PAUSE)
        assert all(0.5 * middle <= value <= 1.5 * middle for value in pauses) and len(set(pauses)) > 1


def test_a_restart_finds_all_and_tidies_what_was_never_accepted(queue: ImageQueue) -> None:
    kept, done = admitted(queue, 1), admitted(queue, 2)
    queue.finish(done, ImageState.SENT)
    place = queue.place(done)
    place.folder.mkdir()  # killed between the state and the files
    place.image.write_bytes(b"film 2")
    (queue.folder / "files" / ".0123").write_bytes(b"half a fi")
    queue.close()
    again = ImageQueue(queue.folder, working=True)
    assert again.next(ImageState.RECEIVED) == kept
    assert files(again) == [kept.key, f"{kept.key}/image.dcm"]


def test_what_is_kept_stays(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, keep=True)
    image = admitted(queue)
    queue.finish(image, ImageState.SENT)
    queue.close()
    again = ImageQueue(tmp_path / "data", working=True, keep=True)
    assert again.is_whole(again.image(image.sop_instance))  # type: ignore[arg-type]
    again.place(image).image.write_bytes(b"rotten")
    assert not again.is_whole(image)


def test_a_disk_without_room_takes_nothing(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path / "data", working=True, reserve=1 << 60)
    with pytest.raises(OSError, match="No space left"):
        queue.admit("1.2.1", CLASS, b"film")
    assert queue.image("1.2.1") is None and files(queue) == []


def test_a_folder_has_one_worker_and_any_lookers(queue: ImageQueue) -> None:
    with pytest.raises(MammoscopeError, match="another process works on this queue"):
        ImageQueue(queue.folder, working=True)
    image = admitted(queue)
    queue.fail(image, "is no mammogram", final=True)
    looker = ImageQueue(queue.folder, working=False)
    assert looker.revive() == 1
    assert queue.next(ImageState.RECEIVED) is not None
    with pytest.raises(MammoscopeError, match="holds no queue"):
        ImageQueue(queue.folder / "files", working=False)


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from mammoscope.pacs.image_queue import ImageQueue;"
        f"s = ImageQueue(Path({str(tmp_path / 'data')!r}), working=True); s.admit('1.2.1', '{CLASS}', b'film 1');"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode != 0
    queue = ImageQueue(tmp_path / "data", working=True)
    assert queue.image("1.2.1") is not None and len(files(queue)) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_others_on_the_machine_see_nothing(queue: ImageQueue) -> None:
    image = admitted(queue)
    for path in (queue.folder, queue.folder / "files", queue.place(image).folder, queue.folder / "state.sqlite"):
        assert path.stat().st_mode & 0o077 == 0
