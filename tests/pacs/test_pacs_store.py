"""The queue: what is accepted stays, moves on once, and is given up only after enough failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.image_queue import Admission, Image, State, Store
from mammoscope.pacs.retries import LONGEST_PAUSE, pause
from mammoscope.readers.source import data_set_sha256

CLASS = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", working=True, attempts=3, first_pause=0.0)


def admitted(store: Store, number: int = 1) -> Image:
    assert store.admit(f"1.2.{number}", CLASS, b"film %d" % number) is Admission.NEW
    image = store.image(f"1.2.{number}")
    assert image is not None
    return image


def files(store: Store) -> list[str]:
    return sorted(str(path.relative_to(store.folder / "files")) for path in (store.folder / "files").rglob("*"))


def test_an_image_goes_from_state_to_state(store: Store) -> None:
    assert store.next(State.RECEIVED) is None
    image = admitted(store)
    assert store.next(State.RECEIVED) == image and image.state is State.RECEIVED
    assert store.place(image).image.read_bytes() == b"film 1"
    store.analysed(image, ["1.9.1"])
    assert store.next(State.RECEIVED) is None and store.is_result("1.9.1") and not store.is_result("1.9.2")
    image = store.next(State.ANALYSED)  # type: ignore[assignment]
    store.finish(image, State.SENT)
    assert store.counts() == {state: int(state is State.SENT) for state in State}
    assert files(store) == []


def test_images_are_due_in_the_order_in_which_they_came_and_when_they_have_waited(store: Store) -> None:
    store.admit("1.2.0", CLASS, b"for processing", wait=1000)
    first, second = admitted(store, 1), admitted(store, 2)
    assert store.next(State.RECEIVED) == first
    store.postpone(first, 1000)
    assert store.next(State.RECEIVED) == second
    store.postpone(second, 1000)
    assert store.next(State.RECEIVED) is None
    assert store.image("1.2.1").failures == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("state", [State.RECEIVED, State.SENT])
def test_an_image_that_comes_again_is_known(store: Store, state: State) -> None:
    image = admitted(store)
    if state is State.SENT:
        store.finish(image, State.SENT)
    assert store.admit(image.sop_instance, CLASS, b"film 1") is Admission.KNOWN
    assert store.admit(image.sop_instance, CLASS, b"another") is Admission.OTHER
    assert store.counts()[state] == 1 and sum(store.counts().values()) == 1
    assert len(files(store)) == (2 if state is State.RECEIVED else 0)


def test_the_meta_header_does_not_make_another_image() -> None:
    def file(implementation: bytes) -> bytes:
        meta = b"\x02\x00\x13\x00SH" + len(implementation).to_bytes(2, "little") + implementation
        group = b"\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little")
        return bytes(128) + b"DICM" + group + meta + b"data set"

    assert data_set_sha256(file(b"PYNETDICOM_303")) == data_set_sha256(file(b"PYNETDICOM_304 "))
    assert data_set_sha256(file(b"PYNETDICOM_303")) != data_set_sha256(file(b"PYNETDICOM_303") + b"!")


def test_after_enough_failures_an_image_is_given_up_until_it_is_revived(store: Store) -> None:
    image = admitted(store)
    store.analysed(image, [])
    for attempt in range(3):
        due = store.next(State.ANALYSED)
        assert due is not None and due.failures == attempt
        assert store.fail(due, "the PACS did not store it") is (attempt == 2)
    (dead,) = store.images(State.DEAD)
    assert dead.problem == "the PACS did not store it" and store.next(State.ANALYSED) is None
    assert store.revive(["another"]) == 0 and store.revive([dead.key]) == 1
    again = store.next(State.ANALYSED)  # not analysed again: its results are there
    assert again is not None and again.failures == 0


def test_what_will_always_fail_is_given_up_at_once(store: Store) -> None:
    assert store.fail(admitted(store), "is no mammogram", final=True)
    assert store.counts()[State.DEAD] == 1


def test_success_forgets_failures(store: Store) -> None:
    image = admitted(store)
    store.fail(image, "the analysis process ended on it")
    store.analysed(store.next(State.RECEIVED), [])  # type: ignore[arg-type]
    assert store.next(State.ANALYSED).failures == 0  # type: ignore[union-attr]


def test_pauses_grow_spread_and_end() -> None:
    for failures in range(1, 40):
        pauses = [pause(failures, 5.0) for _ in range(20)]
        middle = min(5.0 * 2 ** (failures - 1), LONGEST_PAUSE)
        assert all(0.5 * middle <= value <= 1.5 * middle for value in pauses) and len(set(pauses)) > 1


def test_a_restart_finds_all_and_tidies_what_was_never_accepted(store: Store) -> None:
    kept, done = admitted(store, 1), admitted(store, 2)
    store.finish(done, State.SENT)
    place = store.place(done)
    place.folder.mkdir()  # killed between the state and the files
    place.image.write_bytes(b"film 2")
    (store.folder / "files" / ".0123").write_bytes(b"half a fi")
    store.close()
    again = Store(store.folder, working=True)
    assert again.next(State.RECEIVED) == kept
    assert files(again) == [kept.key, f"{kept.key}/image.dcm"]


def test_what_is_kept_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", working=True, keep=True)
    image = admitted(store)
    store.finish(image, State.SENT)
    store.close()
    again = Store(tmp_path / "data", working=True, keep=True)
    assert again.is_whole(again.image(image.sop_instance))  # type: ignore[arg-type]
    again.place(image).image.write_bytes(b"rotten")
    assert not again.is_whole(image)


def test_a_disk_without_room_takes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", working=True, reserve=1 << 60)
    with pytest.raises(OSError, match="No space left"):
        store.admit("1.2.1", CLASS, b"film")
    assert store.image("1.2.1") is None and files(store) == []


def test_a_folder_has_one_worker_and_any_lookers(store: Store) -> None:
    with pytest.raises(MammoscopeError, match="another process works this queue off"):
        Store(store.folder, working=True)
    image = admitted(store)
    store.fail(image, "is no mammogram", final=True)
    looker = Store(store.folder, working=False)
    assert looker.revive() == 1
    assert store.next(State.RECEIVED) is not None
    with pytest.raises(MammoscopeError, match="holds no queue"):
        Store(store.folder / "files", working=False)


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from mammoscope.pacs.image_queue import Store;"
        f"s = Store(Path({str(tmp_path / 'data')!r}), working=True); s.admit('1.2.1', '{CLASS}', b'film 1');"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode != 0
    store = Store(tmp_path / "data", working=True)
    assert store.image("1.2.1") is not None and len(files(store)) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_others_on_the_machine_see_nothing(store: Store) -> None:
    image = admitted(store)
    for path in (store.folder, store.folder / "files", store.place(image).folder, store.folder / "state.sqlite"):
        assert path.stat().st_mode & 0o077 == 0
