"""Classifier figures: against hand-worked cases and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoscope.evaluation.metrics.classification import (
    ClassifiedLesions,
    classification_figures,
    classification_rows,
    classified,
)
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.metrics.roc import roc_auc, roc_curve


def lesions(scores: list[float], malignant: list[int], patients: list[str] | None = None) -> ClassifiedLesions:
    names = patients or [f"P{n}" for n in range(len(scores))]
    rows = zip(names, malignant, strict=True)
    return classified([(f"{name}.png", name, "1", bool(label)) for name, label in rows], scores)


def values(cases: ClassifiedLesions, threshold: float = 0.5) -> dict[str, object]:
    figures = classification_figures(cases, threshold, Bootstrap(20))
    own = {name: figure for name, figure in figures.items() if "calibration" not in name}  # tested by themselves
    return {
        name: figure["value"] if isinstance(figure, dict) else figure
        for name, figure in own.items()
        if not isinstance(figure, list)
    }


def test_nothing_to_classify() -> None:
    figures = classification_figures(lesions([], []), 0.5, Bootstrap(20))
    assert (figures["lesions"], figures["malignant"]) == (0, 0)
    for name in ("auc", "accuracy", "sensitivity", "specificity", "precision", "brier", "ece"):
        assert figures[name]["value"] is None
        assert figures[name]["ci95"] is None
        assert figures[name]["reason"] == "there is no lesion to classify"


@pytest.mark.parametrize(
    ("label", "score", "absent", "present"),
    [(1, 0.8, "specificity", "sensitivity"), (0, 0.2, "sensitivity", "specificity")],
)
def test_one_class_only(label: int, score: float, absent: str, present: str) -> None:
    figures = classification_figures(lesions([score], [label]), 0.5, Bootstrap(20))
    assert figures["auc"]["value"] is None
    assert "all lesions are" in figures["auc"]["reason"]
    assert figures[absent]["value"] is None
    assert figures[present] == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert figures["accuracy"]["value"] == 1


def test_worked_by_hand() -> None:
    found = values(lesions([0.9, 0.6, 0.5, 0.2], [1, 0, 1, 0]))
    assert found == pytest.approx(
        {
            "lesions": 4,
            "malignant": 2,
            "auc": 0.75,
            "accuracy": 0.75,
            "sensitivity": 1.0,
            "specificity": 0.5,
            "precision": 2 / 3,
            "brier": (0.01 + 0.36 + 0.25 + 0.04) / 4,
            "ece": (0.1 + 0.6 + 0.5 + 0.2) / 4,
        }
    )


def test_a_score_at_the_threshold_is_malignant() -> None:
    assert values(lesions([0.3], [1]), 0.3)["sensitivity"] == 1
    assert values(lesions([0.2999], [1]), 0.3)["sensitivity"] == 0


def test_no_lesion_called_malignant_leaves_precision_without_value() -> None:
    figures = classification_figures(lesions([0.1, 0.2], [1, 0]), 0.5, Bootstrap(20))
    assert figures["precision"] == {"value": None, "ci95": None, "reason": "no lesion was called malignant"}


def test_ece_weighs_bins_by_their_lesions() -> None:
    # Bin 0: scores 0.02, 0.04 with no malignant: gap 0.03; bin 9: 1.0 with a malignant: gap 0; bin 5: 0.5, benign.
    assert values(lesions([0.02, 0.04, 1.0, 0.5], [0, 0, 1, 0]))["ece"] == pytest.approx((2 * 0.03 + 0 + 0.5) / 4)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60), st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_agrees_with_scikit_learn(cases: list[tuple[int, bool]], cut: int) -> None:
    from sklearn import metrics

    scores = [score / 20 for score, _ in cases]
    truth = [int(label) for _, label in cases]
    called = [int(score >= cut / 20) for score in scores]
    found = values(lesions(scores, truth), cut / 20)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, scores, pos_label=1))
    if any(called):
        assert found["precision"] == pytest.approx(metrics.precision_score(truth, called))
    if any(truth):
        assert found["sensitivity"] == pytest.approx(metrics.recall_score(truth, called))
    if not all(truth):
        assert found["specificity"] == pytest.approx(metrics.recall_score(truth, called, pos_label=0))
    if len(set(truth)) == 2:
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
        false_rate, true_rate = roc_curve(np.array(scores), np.array(truth, dtype=bool))
        assert metrics.auc(false_rate, true_rate) == pytest.approx(found["auc"])
    else:
        assert found["auc"] is None


def test_weighted_auc_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores, truth = np.round(rng.uniform(0, 1, 80), 1), rng.integers(0, 2, 80).astype(bool)
    weights = rng.integers(0, 4, (5, 80)).astype(np.float64)
    expected = [roc_auc_score(truth, scores, sample_weight=row) for row in weights]
    assert roc_auc(scores, truth, weights).tolist() == pytest.approx(expected)


def test_interval_holds_the_figure_and_draws_of_one_class_are_left_out() -> None:
    figures = classification_figures(lesions([0.9, 0.4, 0.3], [1, 0, 0]), 0.5, Bootstrap(200))
    assert figures["auc"] == {"value": 1.0, "ci95": [1.0, 1.0]}


def test_rows_say_what_was_called() -> None:
    rows = classification_rows({"boxes": lesions([0.5, 0.4], [1, 0])}, 0.5)
    assert [row["called_malignant"] for row in rows] == [1, 0]
    assert rows[0] == {
        "set": "boxes",
        "image": "P0.png",
        "patient": "P0",
        "abnormality_id": "1",
        "malignant": 1,
        "malignancy_score": 0.5,
        "called_malignant": 1,
    }
