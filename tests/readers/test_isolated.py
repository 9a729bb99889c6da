"""A file that crashes, hangs or bloats the decoder costs one error, and the next file is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from threading import Thread
from typing import Any

import hostile_reads
import numpy as np
import pytest
from dicom_files import mammogram, save
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from mammoscope.errors import InputError, MammoscopeError
from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.readers import IsolatedReader, Limits, read_mammogram
from mammoscope.readers.exam_key import RUN_SECRET
from mammoscope.readers.identify import read_identity, read_stated_image
from mammoscope.readers.identity import Identity
from mammoscope.readers.stated_image import StatedImage
from mammoscope.readers.wire import checked_exam_key

GIB = 1 << 30


@pytest.fixture(scope="module")
def reader() -> Iterator[IsolatedReader]:
    with IsolatedReader(Limits(seconds=1.5, memory_bytes=GIB), read=hostile_reads.read) as started:
        yield started


def process_of(read: Mammogram) -> int:
    return int(read.warnings[-1])


def test_everything_known_of_a_mammogram_arrives(reader: IsolatedReader) -> None:
    sent, received = hostile_reads.read(Path("good"), Limits(), RUN_SECRET), reader.read(Path("good"))
    np.testing.assert_array_equal(received.pixels, sent.pixels)
    for field in fields(Mammogram):
        if field.name not in ("pixels", "warnings"):
            assert getattr(received, field.name) == getattr(sent, field.name), field.name
    assert received.warnings[:2] == sent.warnings[:2]
    assert process_of(received) != os.getpid()


def test_the_worker_lives_on_between_files(reader: IsolatedReader) -> None:
    first = process_of(reader.read(Path("good")))
    with pytest.raises(InputError):
        reader.read(Path("refuse"))
    assert process_of(reader.read(Path("good"))) == first


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("abort", "the decoder crashed on it"),
        ("segfault", "the decoder crashed on it"),
        ("exit", "the decoder crashed on it"),
        ("hang", "decoding took longer than 1.5 s"),
        pytest.param(
            "bloat",
            "needs more than 1 GiB to decode",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the memory limit"),
        ),
    ],
)
def test_a_hostile_file_costs_one_error(reader: IsolatedReader, name: str, problem: str) -> None:
    before = process_of(reader.read(Path("good")))
    with pytest.raises(InputError) as caught:
        reader.read(Path("folder", name))
    assert (caught.value.path, caught.value.problem) == (Path("folder", name), problem)
    assert process_of(reader.read(Path("good"))) != before


def test_an_input_error_arrives_as_it_was_raised(reader: IsolatedReader) -> None:
    with pytest.raises(InputError) as caught:
        reader.read(Path("some", "refuse"))
    assert str(caught.value) == f"{Path('some', 'refuse')}: Rows (0028,0010) is 0"


def test_a_fault_of_the_reader_is_logged_without_its_text(
    reader: IsolatedReader, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(ZeroDivisionError\)"):
        reader.read(Path("fault"))
    assert "ZeroDivisionError in hostile_reads.py, line" in caplog.text
    assert "Secret" not in caplog.text


def test_noise_of_codecs_reaches_nobody(reader: IsolatedReader, capfd: pytest.CaptureFixture[str]) -> None:
    assert reader.read(Path("noise")).name == "noise"
    assert reader.read(Path("good")).name == "good"
    assert capfd.readouterr() == ("", "")


def test_an_answer_beyond_the_limits_is_not_believed() -> None:
    limits = Limits(max_side=2000)
    with (
        IsolatedReader(limits, read=hostile_reads.read_oversized) as reader,
        pytest.raises(InputError, match="crashed"),
    ):
        reader.read(Path("good"))


def test_a_worker_that_was_killed_between_files_is_replaced(reader: IsolatedReader) -> None:
    victim = process_of(reader.read(Path("good")))
    os.kill(victim, 9)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert process_of(reader.read(Path("good"))) != victim
        except InputError:  # the signal was still on its way
            continue
        return
    pytest.fail("no new worker within 5 s")


def test_a_closed_reader_leaves_no_process_and_starts_no_other() -> None:
    reader = IsolatedReader(read=hostile_reads.read)
    process = process_of(reader.read(Path("good")))
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(MammoscopeError, match="was ended"):
        reader.read(Path("good"))
    with pytest.raises(MammoscopeError, match="was ended"):
        reader.exam_key(Path("good"))
    reader.close()


def test_closing_does_not_wait_for_a_file_that_is_being_read() -> None:
    reader = IsolatedReader(read=hostile_reads.read)
    reader.read(Path("good"))
    problems: list[str] = []

    def read_slowly() -> None:
        try:
            reader.read(Path("hang"))
        except InputError as error:
            problems.append(error.problem)

    thread = Thread(target=read_slowly)
    thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    reader.close()
    assert time.monotonic() - started < 10
    thread.join(10)
    assert problems == ["the decoder crashed on it"]


def test_only_functions_with_a_name_can_be_isolated() -> None:
    with pytest.raises(ValueError, match="must be a function of an importable module"):
        IsolatedReader(read=lambda path, limits, secret: hostile_reads.read(path.absolute(), limits, secret))


def test_a_worker_that_cannot_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(MammoscopeError, match="the decoder process cannot be started"):
        IsolatedReader().start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe grow")
def test_a_system_that_lets_no_pipe_grow_is_not_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refused(*arguments: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refused)
    with IsolatedReader(read=hostile_reads.read) as reader:
        assert reader.read(Path("good")).name == "good"


def test_real_files_read_the_same_and_limits_hold_in_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.dcm", mammogram())
    broken = tmp_path / "ä\udcff.png"
    try:
        broken.write_bytes(b"nothing")
    except (OSError, UnicodeError):
        broken = tmp_path / "ä.png"
        broken.write_bytes(b"nothing")
    with IsolatedReader() as reader:
        # Relative to where the caller is now, not to where the worker was started.
        monkeypatch.chdir(tmp_path)
        here, there = read_mammogram(Path("a.dcm")), reader.read(Path("a.dcm"))
        np.testing.assert_array_equal(there.pixels, here.pixels)
        assert there.warnings == here.warnings
        with pytest.raises(InputError, match="is not a DICOM, PNG, JPEG, TIFF or PGM file"):
            reader.read(broken)
    with IsolatedReader(Limits(max_side=90)) as strict, pytest.raises(InputError, match=r"in the range \(64, 90\)"):
        strict.read(Path("a.dcm"))


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, as it writes what is invalid
@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ({}, None),
        (
            {"PatientName": "Müller^Anna Maria^^Dr", "SpecificCharacterSet": "ISO_IR 192"},
            {"name": "Müller, Anna Maria Dr"},
        ),
        ({"PatientName": "=王^小东", "SpecificCharacterSet": "ISO_IR 192"}, {"name": "王, 小东"}),
        ({"PatientName": "^Anna"}, {"name": "Anna"}),
        (
            {"PatientID": " P\x1b1 ", "PatientBirthDate": "1939.11.13"},
            {"patient_id": "P?1", "birth_date": "1939-11-13"},
        ),
        ({"StudyDate": "1999"}, {"study_date": "1999"}),
        ({"StudyDescription": "x" * 500}, {"description": "x" * 160}),
        ({"AccessionNumber": "A1"}, {"accession_number": "A1"}),
    ],
)
def test_whose_image_it_is_comes_as_one_printable_line_each(
    tmp_path: Path, stated: dict[str, Any], shown: dict[str, str] | None
) -> None:
    nobody = dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyDescription")
    )
    path = save(tmp_path / "a.dcm", mammogram(**nobody | stated))
    expected = None if shown is None else Identity(**shown)
    assert read_identity(path) == expected
    if shown == {"name": "Anna"}:  # a process of its own
        with IsolatedReader() as reader:
            assert reader.identity(path) == expected
            assert reader.identity(tmp_path / "absent.dcm") is None


UIDS = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, {}),
        (
            {"SeriesInstanceUID": None, "Modality": "no, code"},
            {"series": None, "modality": None},
        ),
        ({"ImageLaterality": None, "Laterality": None, "ViewPosition": None}, {"laterality": None, "view": None}),
        ({"SOPInstanceUID": "1.2\x1b"}, None),
        ({"StudyInstanceUID": None}, None),
    ],
)
def test_what_results_can_refer_to_is_said_also_of_an_image_that_is_cut_off(
    tmp_path: Path, stated: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    path = save(tmp_path / "a.dcm", mammogram(**UIDS | {"ImageLaterality": "L", "ViewPosition": "MLO"} | stated))
    path.write_bytes(path.read_bytes()[:-1000])
    whole = StatedImage(
        sop_class=DigitalMammographyXRayImageStorageForPresentation,
        sop_instance="1.2.3",
        study="1.2.4",
        series="1.2.5",
        modality="MG",
        laterality=Laterality.LEFT,
        view="MLO",
    )
    assert read_stated_image(path) == (None if expected is None else replace(whole, **expected))
    if expected == {}:  # a process of its own
        with IsolatedReader() as reader:
            assert reader.stated_image(path) == whole
            assert reader.stated_image(tmp_path / "absent.dcm") is None
        for name, wrong in (("study", None), ("sop_class", "../.."), ("view", "x" * 17), ("laterality", "Middle")):
            with pytest.raises(ValueError, match=r"no UID|no code string|not a valid"):
                StatedImage.from_message({**whole.to_message(), name: wrong})


def test_exam_keys_of_all_decoders_of_a_run_agree(tmp_path: Path) -> None:
    first = save(tmp_path / "a.dcm", mammogram(StudyInstanceUID="1.2"))
    other = save(tmp_path / "b.dcm", mammogram(StudyInstanceUID="1.2", PatientID="another"))
    (tmp_path / "letter.dcm").write_text("dear radiologist")
    with IsolatedReader() as one, IsolatedReader() as two:
        key = read_mammogram(first).exam_key
        assert key is not None
        assert one.exam_key(first) == two.exam_key(first) == one.read(first).exam_key == two.read(first).exam_key == key
        assert two.exam_key(other) not in (None, key)
        assert one.exam_key(tmp_path / "letter.dcm") is None and one.exam_key(tmp_path / "absent.dcm") is None


@pytest.mark.parametrize("key", ["", "ab", "g" * 64, "A" * 64, 7, ["a"]])
def test_an_exam_key_that_says_more_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match="an exam key that is none"):
        checked_exam_key(key)


def test_importing_the_package_and_starting_the_worker_is_cheap() -> None:
    program = (
        "import json, sys; import mammoscope.readers;"
        "print(json.dumps([name for name in ('pydicom', 'imagecodecs', 'cv2', 'onnxruntime') if name in sys.modules]))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert loaded == []
    started = time.perf_counter()
    with IsolatedReader():
        assert time.perf_counter() - started < 0.1, "starting must not wait for the worker"
