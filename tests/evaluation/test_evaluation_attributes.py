"""Figures of BI-RADS category and shape: kappa by hand and against scikit-learn, and a whole evaluation."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_stages import MaskSize, breast, lesion, tiny_bundle, with_step, write_dataset

from made_lesions import made_lesion
from mammoscope.candidates import Candidates
from mammoscope.evaluation.metrics.attributes import ToldWords, attribute_figures, cohen_kappa, told_words
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.run import evaluate
from mammoscope.stages.step import PreparedExam, StepSettings

BIRADS = ("2", "3", "4", "5", "6")
SHAPES = ("ROUND", "OVAL", "LOBULATED", "IRREGULAR")


def kappa(told: list[int], true: list[int], words: int, *, ordered: bool = False) -> float:
    once = np.ones((1, len(told)))
    return float(cohen_kappa(np.array(told, int), np.array(true, int), words, once, ordered=ordered)[0])


def test_kappa_by_hand() -> None:
    # Cohen 1960's kind of table: 20 and 15 of 50 agree; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5 would.
    told = [0] * 25 + [1] * 25
    true = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    assert kappa(told, true, 2) == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_quadratic_weights_by_hand() -> None:
    # Costs 0, 1, 4 observed: 5 of 3 lesions. By chance each told word meets each true one: told 0, 1, 2; true 0, 2, 0.
    told, true = [0, 1, 2], [0, 2, 0]
    by_chance = sum((a - b) ** 2 for a in told for b in true) / 9
    assert kappa(told, true, 5, ordered=True) == pytest.approx(1 - (5 / 3) / by_chance)


@pytest.mark.parametrize("ordered", [False, True])
def test_edges_of_kappa(*, ordered: bool) -> None:
    assert kappa([0, 1, 2], [0, 1, 2], 3, ordered=ordered) == 1
    assert kappa([0, 0, 0, 0], [0, 1, 0, 1], 2, ordered=ordered) == 0  # one word for all is chance
    assert kappa([0, 1], [1, 0], 2, ordered=ordered) == -1
    assert np.isnan(kappa([1, 1], [1, 1], 3, ordered=ordered))
    assert np.isnan(kappa([], [], 3, ordered=ordered))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_kappa_agrees_with_scikit_learn(cases: list[tuple[int, int]], ordered: bool) -> None:
    from sklearn.metrics import cohen_kappa_score

    told, true = [list(column) for column in zip(*cases, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one word only
        expected = cohen_kappa_score(told, true, labels=range(5), weights="quadratic" if ordered else None)
    assert kappa(told, true, 5, ordered=ordered) == pytest.approx(expected, nan_ok=True)


def test_weighted_kappa_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    told, true = rng.integers(0, 4, 80), rng.integers(0, 4, 80)
    weights = rng.integers(0, 4, (5, 80)).astype(np.float64)
    for ordered in (False, True):
        kind = "quadratic" if ordered else None
        expected = [cohen_kappa_score(told, true, weights=kind, sample_weight=row) for row in weights]
        assert cohen_kappa(told, true, 4, weights, ordered=ordered).tolist() == pytest.approx(expected)


def test_figures_are_of_lesions_whose_word_is_known_and_said() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3], [np.nan] * 3])
    shapes = ("OVAL", "ROUND-OVAL", "LOBULATED", "ROUND")
    (told,) = told_words(
        {"shape": probabilities, "texture": probabilities},
        {"shape": SHAPES[:3], "texture": ("A", "B", "C")},
        [made_lesion(mass_shape=shape) for shape in shapes],
    ).values()
    assert (told.told.tolist(), told.true.tolist(), told.ordered) == ([0, 2, 1, -1], [1, -1, 2, 0], False)
    figures = attribute_figures(told, ["A", "A", "B", "C"], Bootstrap(50))
    assert figures["lesions"] == 2
    assert figures["accuracy"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert figures["kappa"]["value"] == pytest.approx(-1 / 3)


def test_no_lesion_of_known_word_gives_reasons() -> None:
    nothing = ToldWords(BIRADS, np.array([2]), np.array([-1]), ordered=True)
    figures = attribute_figures(nothing, ["A"], Bootstrap(20))
    assert figures["lesions"] == 0
    for name in ("accuracy", "kappa"):
        assert figures[name] == {"value": None, "ci95": None, "reason": "there is no lesion of which the word is known"}
    same = ToldWords(BIRADS, np.array([2, 2]), np.array([2, 2]), ordered=True)
    assert (
        attribute_figures(same, ["A", "B"], Bootstrap(20))["kappa"]["reason"]
        == "one word is said and true of all lesions"
    )


class SaysMore(MaskSize):
    """A classifier that calls every mass BI-RADS 4, and round where little of the ROI is mass, else oval."""

    class Settings(StepSettings):
        attributes: dict[str, tuple[str, ...]] = {"birads": BIRADS, "shape": SHAPES}  # noqa: RUF012 (pydantic copies it)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        graded = super().__call__(exam, found)
        assert graded.masks is not None
        round_one = graded.masks.binary.mean(axis=(1, 2)) < 0.5 if len(graded) else np.zeros(0, bool)
        shape = np.zeros((len(graded), 4))
        shape[np.arange(len(graded)), np.where(round_one, 0, 1)] = 1
        birads = np.tile([0.1, 0.1, 0.6, 0.1, 0.1], (len(graded), 1))
        return replace(graded, attributes={"birads": birads, "shape": shape})


def test_a_report_has_the_attributes_that_the_classifier_says(tmp_path: Path) -> None:
    discs = [(60, 150, 12), (110, 130, 20)]
    data = write_dataset(
        tmp_path / "data",
        {"a.png": breast(discs), "b.png": breast(discs[:1])},
        [
            lesion("a.png", "P1", discs[0], pathology="MALIGNANT", assessment="4", mass_shape="OVAL-LYMPH_NODE"),
            lesion("a.png", "P1", discs[1], abnormality_id="2", assessment="0", mass_shape="ROUND"),
            lesion("b.png", "P2", discs[0], assessment="5", crop="b-60.png", mask="b-60.png"),
        ],
    )
    (tmp_path / "bundle").mkdir()
    bundle = tiny_bundle(tmp_path / "bundle")
    plain = json.loads(evaluate("classifier", data, tmp_path / "plain", bundle, draws=50).read_text())
    more = with_step(bundle, "classifier", SaysMore())
    more.grading[-1].__dict__["settings"] = SaysMore.Settings()
    report = json.loads(evaluate("classifier", data, tmp_path / "more", more, draws=50).read_text())
    said = report["boxes"].pop("attributes")
    assert {name: figures["lesions"] for name, figures in said.items()} == {"birads": 2, "shape": 2}
    assert said["birads"]["accuracy"] == {"value": 0.5, "ci95": [0.0, 1.0]}
    assert said["birads"]["kappa"]["value"] == 0
    assert "quadratic" in report["definition"]["birads"]
    with (tmp_path / "more" / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["birads"], row["birads_true"], row["shape_true"]) for row in rows[:3]] == [
        ("4", "4", "OVAL"),
        ("4", "", "ROUND"),
        ("4", "5", ""),
    ]
    right = [row["shape"] == row["shape_true"] for row in rows if row["shape_true"]]
    assert said["shape"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert all(row["birads"] == "" for row in rows if row["set"] != "boxes")
    page = (tmp_path / "more" / "report.html").read_text()
    assert "attributes · birads" in page
    # All else is as without them.
    del report["definition"], plain["definition"]
    assert report == plain
    assert "birads" not in (tmp_path / "plain" / "cases.csv").read_text()
