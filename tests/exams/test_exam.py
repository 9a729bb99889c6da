"""The exam as the pipeline takes it."""

from __future__ import annotations

import pytest

from mammoscope.exam import Exam, grouped
from mammoscope.mammogram import Mammogram
from writers.made_analyses import mammogram


def view(name: str, key: str | None, file_format: str = "DICOM") -> Mammogram:
    return mammogram(80, 64, name=name, exam_key=key, file_format=file_format)


@pytest.mark.parametrize("key", [None, "k"])
def test_an_image_alone_is_an_exam(key: str | None) -> None:
    assert len(Exam((view("a", key),)).views) == 1


def test_views_of_one_study_and_patient_are_an_exam() -> None:
    assert len(Exam((view("a", "k"), view("b", "k"))).views) == 2


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ((), "an exam has 0 views"),
        ((None, None), "a, b: states no study"),
        (("k", None), "b: states no study, so it cannot be in an exam with other images; analyse it alone$"),
        (("k", "l"), "a, b: these images are of 2 exams"),
        (("k", "k", "l"), "these images are of 2 exams"),
    ],
)
def test_other_images_are_none(keys: tuple[str | None, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Exam(tuple(view(name, key) for name, key in zip("abc", keys, strict=False)))


def test_a_word_joins_only_images_that_state_nothing() -> None:
    exam = Exam.vouched([view("a", None, "PNG"), view("b", None, "TIFF")])
    assert [one.name for one in exam.views] == ["a", "b"]
    other = Exam.vouched([view("c", None, "JPEG")])
    with pytest.raises(ValueError, match="of 2 exams"):
        Exam((*exam.views, *other.views))
    with pytest.raises(ValueError, match="b: states its study"):
        Exam.vouched([view("a", None, "PNG"), view("b", "k")])
    with pytest.raises(ValueError, match="b: is a DICOM image that states no study; analyse it alone"):
        Exam.vouched([view("a", None, "PNG"), view("b", None)])


@pytest.mark.parametrize(
    ("keyed", "groups"),
    [
        ([], []),
        ([("a", None), ("b", None)], [("a",), ("b",)]),
        ([("a", "k"), ("b", "l"), ("c", "k")], [("a", "c"), ("b",)]),
        ([("a", None), ("b", "k"), ("c", None), ("d", "k")], [("a",), ("b", "d"), ("c",)]),
    ],
)
def test_items_are_grouped_by_key(keyed: list[tuple[str, str | None]], groups: list[tuple[str, ...]]) -> None:
    assert grouped(iter(keyed)) == groups
