"""A damaged DICOM file is read or refused with an ``InputError``; nothing else ever happens."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import pytest
from dicom_files import breast, jpeg2000, mammogram, save
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from mammoscope.errors import InputError
from mammoscope.mammogram import Mammogram
from mammoscope.readers import read_mammogram


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """One file for each way of encoding the header and of packing the pixels."""
    path = tmp_path_factory.mktemp("whole") / "a.dcm"
    item = Dataset()
    item.CodeValue = "399162004"
    kinds = [
        (ExplicitVRLittleEndian, None),
        (ImplicitVRLittleEndian, None),
        (JPEG2000Lossless, [jpeg2000(breast())]),
        (JPEGLSLossless, [imagecodecs.jpegls_encode(breast())]),
    ]
    return [
        save(path, mammogram(ViewCodeSequence=[item], PixelPaddingValue=0), syntax, compressed).read_bytes()
        for syntax, compressed in kinds
    ]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(data=st.data())
def test_cuts_and_flipped_bytes_give_a_mammogram_or_an_input_error(
    whole_files: list[bytes], data: st.DataObject
) -> None:
    damaged = bytearray(data.draw(st.sampled_from(whole_files), label="file"))
    # Most bytes are pixels: aim at the header as often as at them.
    anywhere = st.integers(0, len(damaged) - 1) | st.integers(128, 1200)
    for position, value in data.draw(st.lists(st.tuples(anywhere, st.integers(0, 255)), max_size=6), label="flips"):
        damaged[position] = value
    if data.draw(st.booleans(), label="cut"):
        del damaged[data.draw(anywhere, label="length") :]
    with TemporaryDirectory() as folder:
        path = Path(folder, "damaged.dcm")
        path.write_bytes(damaged)
        try:
            read = read_mammogram(path)
        except InputError as error:
            assert error.path == path
            assert error.problem
            assert "\n" not in error.problem
        else:
            assert isinstance(read, Mammogram)


@pytest.mark.parametrize("length", [1, 100, 131, 132, 140, 200, 340])
def test_a_file_cut_within_its_header_is_refused(tmp_path: Path, length: int) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError):
        read_mammogram(path)


def test_an_element_of_unknown_kind_counts_as_damaged(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    whole = path.read_bytes()
    high_bit = b"\x28\x00\x02\x01"
    path.write_bytes(whole.replace(high_bit + b"US\x02\x00\x0b\x00", high_bit + b"U7\x02\x00\x0b\x00"))
    with pytest.raises(InputError, match=r"HighBit \(0028,0102\) is '.*', it must be in the range \(11, 15\)"):
        read_mammogram(path)
    path.write_bytes(whole.replace(high_bit + b"US\x02\x00\x0b\x00", high_bit + b"U7\x00\x00"))
    assert read_mammogram(path).bits == 12


@pytest.mark.parametrize("keyword", [b"\x08\x00\x60\x00CS", b"\x08\x00\x70\x00LO", b"\x08\x00\x18\x00UI"])
def test_an_element_that_runs_on_over_the_patients_tells_nothing_of_them(tmp_path: Path, keyword: bytes) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    whole = path.read_bytes()
    start, end = whole.index(keyword) + 8, whole.index(b"secret-id") + 10
    path.write_bytes(whole[: start - 2] + (end - start).to_bytes(2, "little") + whole[start:])
    try:
        read = read_mammogram(path)
        told = repr((read.manufacturer, read.sop_instance_uid, read.warnings))
    except InputError as error:
        told = error.problem
    assert "ecret" not in told


@pytest.mark.parametrize(("more", "is_warned_of"), [(0, False), (1_000_000, True)])
def test_more_pixels_than_rows_and_columns_is_warned_of(tmp_path: Path, more: int, is_warned_of: bool) -> None:
    dataset = mammogram()
    dataset.PixelData = dataset.PixelData + bytes(more)
    size = 2 * dataset.Rows * dataset.Columns
    path = save(tmp_path / "film.dcm", dataset)
    said = [warning for warning in read_mammogram(path).warnings if "the rest is left out" in warning]
    assert len(said) == is_warned_of
    assert all(f"has {size + more} bytes" in warning and f"only {size}:" in warning for warning in said)


def test_a_sequence_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram(), ImplicitVRLittleEndian)
    whole = path.read_bytes()
    start = whole.index(b"\x08\x00\x60\x00")  # Modality
    undefined = b"\xff\xff\xff\xff"
    nested = (b"\x08\x00\x18\x22" + undefined + b"\xfe\xff\x00\xe0" + undefined) * 20_000
    path.write_bytes(whole[:start] + nested + whole[start:])
    with pytest.raises(InputError, match="its DICOM header"):
        read_mammogram(path)
