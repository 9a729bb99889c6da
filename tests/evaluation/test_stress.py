"""Images made worse: what each change does to pixels, and that the figures are those of the changed images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_stages import Disc, breast, lesion, tiny_bundle, write_dataset

from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.stress.changes import CHANGES, Change, film_frame, jpeg2000
from mammoscope.evaluation.stress.run import stress
from mammoscope.mammogram import Mammogram

SPOT: Disc = (60, 150, 12)


def cloudy() -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (300, 240)), (0, 0), 1.5)
    return (30000 + 20000 * noise / np.abs(noise).max()).astype(np.uint16)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_grows_with_its_strength_and_repeats(change: Change) -> None:
    image = Mammogram(cloudy(), "a", "", "PNG", 16)
    mild, severe = (change.of(image, strength) for strength in (change.strengths[0], change.strengths[-1]))
    assert mild.pixels.shape == image.pixels.shape and mild.pixels.dtype == np.uint16
    assert (change.of(image, change.strengths[0]).pixels == mild.pixels).all()
    lost = [np.abs(of.pixels.astype(float) - image.pixels).mean() for of in (mild, severe)]
    assert lost[0] > 0
    if change.name != "gamma" and len(change.strengths) > 1:  # its first strength is as far from 1 as its last
        assert lost[1] > 1.2 * lost[0]


def test_a_compression_ratio_is_that_of_the_file() -> None:
    pixels = cloudy()
    near, far = (jpeg2000(pixels, ratio, np.random.default_rng(0)).astype(float) for ratio in (2, 100))
    assert np.abs(near - pixels).mean() < 0.2 * np.abs(far - pixels).mean()


def test_a_frame_has_its_width_and_a_label() -> None:
    framed = film_frame(np.zeros((300, 200), np.uint16), 0.02, np.random.default_rng(0))
    assert (framed[:4] == 65535).all() and (framed[:, -4:] == 65535).all()
    assert framed[10, 185] == 65535 and framed[10, 100] == 0 and framed[150, 100] == 0


def test_figures_stand_against_strength(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    rows = [
        lesion(name, f"P{number}", SPOT, pathology="MALIGNANT" if number % 2 else "BENIGN")
        for number, name in enumerate(names)
    ]
    data = write_dataset(tmp_path / "data", {name: breast([SPOT]) for name in names}, rows)
    bundle = tiny_bundle(tmp_path)
    calls: list[tuple[int, int]] = []
    path = stress(
        data, tmp_path / "out", bundle, names=["blur", "inverted"], patients=3, draws=20,
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    report = json.loads(path.read_text())
    assert report["stage"] == "stress" and report["images"] == 3 and report["unchanged"]["sensitivity"]["value"] == 1
    found = {(row["change"], row["strength"]): row for row in report["stress"]}
    assert [key for key in found if key[0] == "blur"] == [("blur", one) for one in (0.001, 0.002, 0.004, 0.008)]
    assert found["blur", 0.001]["lost_sensitivity"]["value"] == 0
    assert found["inverted", 1.0]["sensitivity"]["value"] == 0
    assert found["inverted", 1.0]["lost_sensitivity"] == {"value": -1.0, "ci95": [-1.0, -1.0]}
    assert calls[-1] == (18, 18)
    keys = {key for row in report["stress"] for key in row}
    assert keys <= set(report["definition"])
    assert (tmp_path / "out/report.html").read_text().count("<img") == 2
    assert len((tmp_path / "out/cases.csv").read_text().splitlines()) == 1 + 18
    with pytest.raises(MammoscopeError, match="'fog' is no change; there are noise, blur"):
        stress(data, tmp_path / "no", bundle, names=["fog"])
