"""Which files are read when the user names files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import mammogram, save

from mammoscope.errors import InputError
from mammoscope.readers import find_inputs

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 200


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    folder = tmp_path / "exam"
    for name in ("b/IM0001", "b/.hidden/c.dcm", ".hidden.dcm", "a.PNG", "broken.dcm", "DICOMDIR", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PNG)
    save(folder / "b/IM0002", mammogram())
    (folder / "broken.dcm").write_bytes(b"nothing")
    (folder / "notes.txt").write_bytes(b"no image")
    for own in ("a.overlay.png", "a.preprocessed.png", "a.json"):
        (folder / own).write_bytes(PNG)
    return folder


def test_a_folder_gives_its_images_sorted(exam: Path) -> None:
    found = find_inputs([exam])
    assert [path.relative_to(exam).as_posix() for path in found] == ["a.PNG", "b/IM0001", "b/IM0002", "broken.dcm"]


def test_named_files_are_taken_as_they_are_and_once(exam: Path) -> None:
    named = [exam / "notes.txt", exam / "broken.dcm", exam / "a.overlay.png"]
    assert find_inputs([*named, exam / "broken.dcm"]) == named
    assert find_inputs([exam / "broken.dcm", exam])[0] == exam / "broken.dcm"
    assert len(find_inputs([exam, exam])) == 4


def test_nothing_named_gives_nothing() -> None:
    assert find_inputs([]) == []


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_inputs([tmp_path / "absent"])
    with pytest.raises(InputError, match="holds no DICOM, PNG, JPEG or TIFF file"):
        find_inputs([tmp_path])
