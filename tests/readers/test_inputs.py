"""Which files are read when the user names files and folders."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from dicom_files import mammogram, save

from mammoscope.errors import InputError
from mammoscope.readers import find_inputs, input_name
from mammoscope.readers.inputs import masks_among
from mammoscope.writers.dicom.result_kind import ResultKind

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
    for own in ("a.overlay.png", "a.preprocessed.png", "a.json", *(f"a.{kind}.dcm" for kind in ResultKind)):
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


def test_a_file_is_taken_once_by_whatever_way_it_is_named(exam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exam)
    ways = [Path("a.PNG"), Path("./a.PNG"), exam / "a.PNG", exam / "b" / ".." / "a.PNG", exam]
    assert [path.name for path in find_inputs(ways)] == ["a.PNG", "IM0001", "IM0002", "broken.dcm"]


def test_what_may_not_be_read_does_not_hide_the_rest_of_a_folder(exam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By hand, as the superuser, who may run the tests, may read everything.
    def denying(call: Any, *names: str) -> Any:
        def denied(path: Any, *arguments: Any, **options: Any) -> Any:
            if Path(path).name in names:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *arguments, **options)

        return denied

    monkeypatch.setattr(os, "scandir", denying(os.scandir, "b"))
    monkeypatch.setattr(Path, "open", denying(Path.open, "notes.txt"))
    monkeypatch.setattr(Path, "is_file", denying(Path.is_file, "broken.dcm"))
    refused: list[InputError] = []
    found = find_inputs([exam, exam / "absent", exam / "a.PNG"], refused.append)
    assert [path.name for path in found] == ["a.PNG", "broken.dcm", "notes.txt"]
    assert [(error.path.name, error.problem) for error in refused] == [
        ("b", "cannot be read (Permission denied)"),
        ("absent", "no such file or folder"),
    ]
    with pytest.raises(InputError, match="b: cannot be read"):
        find_inputs([exam])


@pytest.mark.parametrize("name", ["broken.dcm", "broken.dicom", "broken.IMA", "broken.tiff", "empty.png", "broken.pgm"])
def test_a_broken_file_with_the_extension_of_an_image_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert find_inputs([tmp_path]) == [tmp_path / name]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.dcm", "a"),
        ("a b.PNG", "a b"),
        ("1.2.840.1", "1.2.840.1"),
        ("ünï❤.dcm", "ünï❤"),
        ("caf\udce9.dcm", "caf_"),  # Latin-1, as Python tells it
        ("two\nlines\x1b[31m.dcm", "two_lines_[31m"),
        ("a" * 245 + ".dcm", "a" * 200),
        ("é" * 120 + ".dcm", "é" * 100),
    ],
)
def test_a_name_for_results_is_one_that_every_output_can_hold(file: str, name: str) -> None:
    assert input_name(Path("folder", file)) == name


def test_nothing_named_gives_nothing() -> None:
    assert find_inputs([]) == []


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_inputs([tmp_path / "absent"])
    with pytest.raises(InputError, match="holds no DICOM, PNG, JPEG, TIFF or PGM file"):
        find_inputs([tmp_path])


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        ((), ()),
        (("a.png", "a_mask.png"), ("a_mask.png",)),
        (("a.dcm", "a.Mask.png", "A mask2.jpg"), ("a.Mask.png", "A mask2.jpg")),
        (("C_1.LEFT_CC.jpg", "C_1.LEFT_CC_Mask.jpg", "C_1.LEFT_CC_Mask2.jpg"), None),
        (("a_mask.png",), ()),  # without its image it may be one
        (("x/a.png", "y/a_mask.png"), ()),
        (("images/a.png", "masks/a.png", "crops/a.png"), ("masks/a.png",)),
        (("masks/a.png",), ()),
        (("unmasked.png", "un.png"), ()),
    ],
)
def test_masks_beside_images_are_left_out(
    tmp_path: Path, names: tuple[str, ...], masks: tuple[str, ...] | None
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    expected = {names[0]} if masks is None else set(names) - set(masks)
    assert {path.as_posix() for path in masks_among(map(PurePosixPath, names))} == set(names) - expected
    if names:
        assert {path.relative_to(tmp_path).as_posix() for path in find_inputs([tmp_path])} == expected
        assert len(find_inputs([tmp_path / name for name in names])) == len(names), "a named file is always taken"
