"""What can be chosen of the phantom: each choice shows in the image as it says."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from mammoscope.example import PhantomLesion, PhantomSettings, PhantomView, make_exam
from mammoscope.example.phantom import make_view
from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.stages.preprocess import PreprocessSettings, preprocess

ROWS, COLUMNS, SEED = 832, 640, 0
LEFT_CC = 1
DISTRIBUTIONS = ("grouped", "linear", "segmental", "regional")


def chosen(**settings: Any) -> PhantomSettings:
    return PhantomSettings.model_validate(settings)


def left_cc(rows: int = ROWS, columns: int = COLUMNS, *, before: bool = False, **settings: Any) -> PhantomView:
    return make_view(LEFT_CC, SEED, rows, columns, chosen(**settings), before=before)


@cache
def without_lesions() -> PhantomView:
    return left_cc(1248, 960, dose=50, masses=())


def inside(lesion: PhantomLesion, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.rint(lesion.outline - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def test_denser_breasts_are_brighter() -> None:
    levels = []
    for density in "ABCD":
        view = left_cc(density=density, masses=())
        levels.append(view.pixels[view.breast].mean())
    assert levels == sorted(levels) and levels[-1] > 1.15 * levels[0]


def test_each_shape_has_its_form() -> None:
    fullness, narrow = {}, {}
    for shape in ("round", "oval", "lobulated", "irregular", "spiculated"):
        (lesion,) = left_cc(masses=(shape,)).lesions
        outline = lesion.outline.astype(np.float32)
        (_, sides, _), hull = cv2.minAreaRect(outline), cv2.contourArea(cv2.convexHull(outline))
        fullness[shape], narrow[shape] = cv2.contourArea(outline) / hull, min(sides) / max(sides)
        assert lesion.malignant == (shape in ("irregular", "spiculated"))
    assert narrow["oval"] < 0.8 and narrow["round"] > 0.9
    assert min(fullness["round"], fullness["oval"]) > 0.97
    assert max(fullness["lobulated"], fullness["irregular"]) < 0.97


def test_eight_lesions_have_room_beside_each_other() -> None:
    for seed in range(3):
        views = make_exam(seed, 416, 320, chosen(masses=("round",) * 4 + ("irregular",) * 4))
        assert [len(view.lesions) for view in views] == [4, 4, 4, 4]
        for view in views:
            places = np.zeros(view.breast.shape, dtype=int)
            for lesion in view.lesions:
                mask = inside(lesion, view.breast.shape)
                assert view.breast[mask].all()
                places += mask
            assert places.max() == 1
        for side in (0, 1):  # the same numbers on both views of a breast
            assert {one.lesion for one in views[side].lesions} == {one.lesion for one in views[side + 2].lesions}


def test_clusters_lie_in_the_breast_wherever_there_is_room() -> None:
    clusters = [f"pleomorphic-{distribution}" for distribution in (*DISTRIBUTIONS, *DISTRIBUTIONS)]
    for seed in range(3):
        for view in make_exam(seed, 416, 320, chosen(masses=(), calcifications=clusters)):
            assert len(view.lesions) == 4
            assert all(view.breast[inside(lesion, view.breast.shape)].all() for lesion in view.lesions)


def test_noise_goes_with_the_dose() -> None:
    def noise(dose: float) -> float:
        fine, clean = left_cc(dose=dose), left_cc(dose=50)
        return float((fine.pixels.astype(float) - clean.pixels)[fine.breast].std())

    assert noise(0.25) == pytest.approx(2 * noise(1), rel=0.25)


def test_blur_takes_detail_away() -> None:
    def detail(blur: float) -> float:
        view = left_cc(blur_mm=blur, dose=50)
        return float(cv2.Laplacian(view.pixels.astype(np.float32), cv2.CV_32F)[view.breast].std())

    assert detail(1.0) < 0.7 * detail(0)


def test_film_has_clear_edges_away_from_the_chest_wall_and_is_read_all_the_same() -> None:
    digital, film = left_cc(), left_cc(look="film")
    assert digital.pixels[2, 50:-50].max() < 200 and film.pixels[2, 50:-50].min() > 3000
    assert film.pixels[50:-50, -3].min() > 3000 > film.pixels[ROWS // 2, :8].max()
    pixels = np.rint(film.pixels * (65535 / 4095)).astype(np.uint16)
    found = preprocess(Mammogram(pixels, "film", "0" * 64, "DICOM", 12), PreprocessSettings())
    assert found is not None
    assert found.mask.sum() == pytest.approx(film.breast.sum(), rel=0.05)


def test_the_exam_before_shows_less() -> None:
    now = left_cc(prior="smaller")
    smaller, absent = left_cc(before=True, prior="smaller"), left_cc(before=True, prior="absent")
    assert [len(view.lesions) for view in (now, smaller, absent)] == [1, 1, 0]
    assert smaller.lesions[0].radius == pytest.approx(0.6 * now.lesions[0].radius, rel=1e-6)
    mask = inside(now.lesions[0], now.pixels.shape)
    assert now.pixels[mask].mean() > 1.1 * smaller.pixels[mask].mean() > 1.1 * absent.pixels[mask].mean()
    apart = np.abs(now.pixels.astype(float) - absent.pixels)
    away = now.breast & ~cv2.dilate(mask.astype(np.uint8), np.ones((161, 161), np.uint8)).astype(bool)
    assert 0 < apart[away].mean() < 60  # noise alone


def test_without_an_exam_before_there_is_none() -> None:
    with pytest.raises(ValueError, match="prior is 'none'"):
        left_cc(before=True)


@pytest.mark.parametrize(
    ("morphology", "distribution"),
    [("amorphous", "regional"), ("pleomorphic", "grouped"), ("pleomorphic", "segmental"), ("linear", "linear")],
)
def test_clusters_lie_in_their_outline_and_nowhere_else(morphology: str, distribution: str) -> None:
    view = left_cc(1248, 960, dose=50, masses=(), calcifications=(f"{morphology}-{distribution}",))
    (lesion,) = view.lesions
    assert (lesion.kind, lesion.malignant) == ("calcification", morphology != "amorphous")
    assert lesion.features == {"morphology": morphology, "distribution": distribution}
    brighter = view.pixels.astype(int) - without_lesions().pixels
    mask = inside(lesion, view.pixels.shape)
    assert view.breast[mask].all()
    specks, _, stats, _ = cv2.connectedComponentsWithStats((brighter > 250).astype(np.uint8), connectivity=8)
    assert specks - 1 >= 5
    assert mask[brighter > 250].all()
    width, height = (stats[1:, side].mean() * view.spacing_mm for side in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    assert 0.1 < width < 2.5 and 0.1 < height < 1.5


def test_distributions_differ_in_extent() -> None:
    sides = {}
    for distribution in DISTRIBUTIONS:
        view = left_cc(416, 320, masses=(), calcifications=(f"pleomorphic-{distribution}",))
        _, around, _ = cv2.minAreaRect(view.lesions[0].outline.astype(np.float32))
        sides[distribution] = sorted(side * view.spacing_mm for side in around)
    assert sides["grouped"][1] < 15 and sides["regional"][0] > 18
    assert sides["linear"][1] > 4 * sides["linear"][0]
    assert sides["segmental"][1] > 20


def test_both_views_show_the_same_cluster() -> None:
    views = make_exam(SEED, ROWS, COLUMNS, chosen(masses=(), calcifications=("pleomorphic",)))
    cc, mlo = (view for view in views if view.laterality is Laterality.LEFT)
    (one,), (other,) = cc.lesions, mlo.lesions
    assert (one.lesion, one.features) == (other.lesion, other.features)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"masses": ("square",)}, "'round', 'oval'"),
        ({"calcifications": ("coarse",)}, "'amorphous', 'pleomorphic' or 'linear'"),
        ({"calcifications": ("linear-everywhere",)}, "'grouped', 'linear', 'segmental' or 'regional'"),
        ({"density": "E"}, "'A', 'B', 'C' or 'D'"),
        ({"dose": 0}, "greater than or equal to 0.02"),
        ({"blur_mm": -1}, "greater than or equal to 0"),
        ({"look": "paper"}, "'digital' or 'film'"),
        ({"masses": ("round",) * 5, "calcifications": ("linear",) * 4}, "9 lesions are too many"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        chosen(**settings)
