"""Leakage between datasets: what is shared is found, what only looks alike is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_datasets import breast, lesion, write

from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.leakage import NEAR_DUPLICATE, check_leakage
from mammoscope.datasets.splits import split_patients

SHARED = Path(__file__).parents[2] / "../shared/data/cbis-ddsm-mass/train"
NEEDS_SHARED = pytest.mark.skipif(not SHARED.is_dir(), reason="the training data is not at ../shared/data")

Pixels = NDArray[Any]


def scaled(factor: float, offset: float) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.clip(pixels * factor + offset, 0, 255).astype(np.uint8)


def as_jpeg(pixels: Pixels) -> Pixels:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_GRAYSCALE)


def cut(share: float) -> Callable[[Pixels], Pixels]:
    def apply(pixels: Pixels) -> Pixels:
        border = round(share * len(pixels))
        return pixels[border:-border, border:-border]

    return apply


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "turned": np.rot90,
    "upside down": lambda pixels: pixels[::-1],
    "compressed": as_jpeg,
    "brighter": scaled(1.15, 8),
    "darker": scaled(0.85, -5),
    "gamma": lambda pixels: (255 * (pixels / 255.0) ** 0.8).astype(np.uint8),
    "16 bits": lambda pixels: pixels.astype(np.uint16) * 200 + 30,
    "reduced": lambda pixels: cv2.resize(pixels, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
    "unstretched": lambda pixels: cv2.resize(pixels, None, fx=1, fy=1.74),
    "cut left": lambda pixels: pixels[:, round(0.02 * len(pixels)) :],
    "cut top": lambda pixels: pixels[round(0.02 * len(pixels)) :],
    "cut around": cut(0.01),
    "all at once": lambda pixels: as_jpeg(scaled(1.1, 5)(cut(0.01)(pixels[:, ::-1]))),
}


def pair(folder: Path, first: dict[str, Pixels], second: dict[str, Pixels]) -> list[Dataset]:
    """Two datasets with an image for each patient."""
    return [
        write(
            folder / side,
            [lesion(patient, f"{side}_{patient}.png") for patient in images],
            {f"{side}_{patient}.png": pixels for patient, pixels in images.items()},
        )
        for side, images in (("train", first), ("test", second))
    ]


def test_nothing_shared(tmp_path: Path) -> None:
    films = {f"P_{seed}": breast(seed) for seed in range(12)}
    patients = list(films)
    sides = [{patient: films[patient] for patient in part} for part in (patients[:7], patients[7:])]
    assert check_leakage(pair(tmp_path, *sides)) == ()


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_sides_share_nothing(tmp_path: Path, count: int) -> None:
    dataset = write(
        tmp_path, [lesion("P_1", "a.png"), lesion("P_1", "b.png")], dict.fromkeys(("a.png", "b.png"), breast(1))
    )
    assert check_leakage([dataset] * count) == ()


def test_same_patient_with_other_images(tmp_path: Path) -> None:
    leaks = check_leakage(pair(tmp_path, {"P_1": breast(1), "P_2": breast(2)}, {"P_2": breast(3)}))
    assert [(leak.kind, leak.first.split(": ")[1], leak.measure) for leak in leaks] == [("patient", "P_2", 1.0)]
    assert "train: P_2" in leaks[0].first and "test: P_2" in leaks[0].second


def test_same_pixels_in_another_file_format(tmp_path: Path) -> None:
    sides = pair(
        tmp_path, {"P_1": breast(1), "P_2": breast(2)}, {"P_3": breast(3), "P_4": breast(2).astype(np.uint16) * 257}
    )
    (leak,) = check_leakage(sides)
    assert (leak.kind, leak.measure) == ("pixels", 1.0)
    assert leak.first.endswith("train_P_2.png") and leak.second.endswith("test_P_4.png")
    assert "the same pixels" in str(leak)


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_changed_copy_is_found(tmp_path: Path, change: Callable[[Pixels], Pixels]) -> None:
    copy = np.ascontiguousarray(change(breast(2)))
    (leak,) = check_leakage(pair(tmp_path, {f"P_{n}": breast(n) for n in range(5)}, {"P_8": breast(8), "P_9": copy}))
    assert leak.kind == "near-duplicate" and NEAR_DUPLICATE <= leak.measure <= 1
    assert leak.first.endswith("train_P_2.png") and leak.second.endswith("test_P_9.png")


def test_three_sides_are_compared_in_pairs(tmp_path: Path) -> None:
    datasets = [write(tmp_path / f"s{n}", [lesion("P_1")], {"P_1_LEFT_CC.png": breast(n)}) for n in range(3)]
    assert [(leak.first[-7:], leak.second[-7:]) for leak in check_leakage(datasets)] == [
        ("s0: P_1", "s1: P_1"),
        ("s0: P_1", "s2: P_1"),
        ("s1: P_1", "s2: P_1"),
    ]


def test_side_without_lesions_shares_nothing(tmp_path: Path) -> None:
    dataset = write(tmp_path, [lesion("P_1")])
    assert check_leakage([dataset, dataset.of_patients([])]) == check_leakage([dataset.of_patients([]), dataset]) == ()


def test_empty_images_are_not_near_duplicates(tmp_path: Path) -> None:
    black, grey = np.zeros((90, 80), np.uint8), np.full((80, 90), 70, np.uint8)
    assert check_leakage(pair(tmp_path, {"P_1": black}, {"P_2": grey})) == ()


def test_progress_goes_through_all_sides(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    sides = pair(tmp_path, {"P_1": breast(1), "P_2": breast(2)}, {"P_3": breast(3)})
    check_leakage(sides, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@NEEDS_SHARED
def test_no_false_alarm_and_no_miss_on_real_mammograms(tmp_path: Path) -> None:
    """Some 85 real patients on two sides; then copies of 12 of their images."""
    dataset = load_dataset(SHARED)
    some = dataset.of_patients(dataset.patients[::8])
    train, validation = split_patients(some)
    assert check_leakage([train, validation]) == ()
    chosen = list(train.images)[:: len(train.images) // len(COPIES)][: len(COPIES)]
    copies = {}
    for (name, change), image in zip(COPIES.items(), chosen, strict=True):
        pixels = cv2.imread(str(train.image_path(image)), cv2.IMREAD_GRAYSCALE)
        copies[f"{name} {image}.png"] = np.ascontiguousarray(change(pixels))
    other = write(tmp_path, [lesion("X", name) for name in copies], copies)
    leaks = check_leakage([train, other])
    found = {leak.second.split(": ")[1]: leak.first.split(": ")[1] for leak in leaks}
    assert found == dict(zip(copies, chosen, strict=True))
