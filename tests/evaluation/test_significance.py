"""Tests of differences: by hand, against the definitions spelled out, and by how often they err."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.evaluation.compare.significance import delong, permuted_afroc_p
from mammoscope.evaluation.metrics.afroc import UNMARKED, MarkedImages


def covariance_by_definition(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> float:
    """Variance of the difference of two areas, by every pair of cases (DeLong et al. 1988, equations 4 to 6)."""

    def kernel(scores: np.ndarray) -> np.ndarray:
        high, low = scores[positive][:, None], scores[~positive][None]
        return (high > low) + 0.5 * (high == low)

    pairs = [kernel(first), kernel(second)]
    s10 = np.cov([pair.mean(axis=1) for pair in pairs])
    s01 = np.cov([pair.mean(axis=0) for pair in pairs])
    s = s10 / positive.sum() + s01 / (~positive).sum()
    return float(s[0, 0] + s[1, 1] - 2 * s[0, 1])


@pytest.mark.parametrize("seed", range(4))
def test_with_one_case_a_patient_it_is_delongs(seed: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    positive = rng.uniform(size=60) < 0.4
    first, second = (np.round(rng.normal(positive, 1), 1) for _ in range(2))
    found = delong(first, second, positive, np.arange(60).astype(str))
    assert found.first == pytest.approx(roc_auc_score(positive, first))
    assert found.second == pytest.approx(roc_auc_score(positive, second))
    assert found.standard_error**2 == pytest.approx(covariance_by_definition(first, second, positive))


def test_worked_by_hand() -> None:
    positive = np.array([1, 1, 0, 0], dtype=bool)
    first, second = np.array([4.0, 2, 3, 1]), np.array([4.0, 3, 2, 1])
    found = delong(first, second, positive, np.array(list("abcd")))
    # Placements of the first: 1 and 1/2, and 1/2 and 1; the second has ones. Variance: 2 x (1/8) / 2.
    assert (found.first, found.second, found.difference) == (0.75, 1.0, 0.25)
    assert found.standard_error == pytest.approx(np.sqrt(1 / 8))
    assert found.p == pytest.approx(0.4795, abs=1e-4)  # z = 0.7071
    assert found.ci95 == pytest.approx((0.25 - 1.96 * 8**-0.5, 0.25 + 1.96 * 8**-0.5), abs=1e-4)


def test_equal_scores_do_not_differ_and_one_class_is_refused() -> None:
    scores, positive = np.array([1.0, 2, 3, 4]), np.array([0, 1, 0, 1], dtype=bool)
    assert delong(scores, scores, positive, np.array(list("abcd"))).p == 1
    with pytest.raises(ValueError, match="1 patients with positive"):
        delong(scores, scores, positive, np.array(list("abab")))


def test_cases_of_one_patient_count_as_dependent() -> None:
    rng = np.random.default_rng(0)
    positive = rng.uniform(size=40) < 0.5
    first, second = (rng.normal(positive, 1) for _ in range(2))
    alone = delong(first, second, positive, np.arange(40).astype(str))
    twice = [np.repeat(of, 2) for of in (first, second, positive)]
    # Each case doubled says nothing new: the error stays that of 40 patients.
    clustered = delong(*twice, np.repeat(np.arange(40), 2).astype(str))
    assert clustered.standard_error == pytest.approx(alone.standard_error)
    naive = delong(*twice, np.arange(80).astype(str))
    assert naive.standard_error < 0.75 * alone.standard_error


def marked(rng: np.random.Generator, skill: float, images: int = 40) -> MarkedImages:
    """Half of the images without a lesion, one lesion on the others; ``skill`` lifts the scores of lesions."""
    ill = np.arange(images // 2, images)
    false = np.where(rng.uniform(size=images) < 0.7, rng.uniform(0, 1, images), UNMARKED)
    lesions = np.where(rng.uniform(size=len(ill)) < 0.8, rng.uniform(skill, 1, len(ill)), UNMARKED)
    return MarkedImages(tuple(f"P{n // 2}" for n in range(images)), false, lesions, ill)


def test_a_better_network_is_seen_and_the_scale_of_scores_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    worse, better = marked(rng, 0.0), marked(rng, 0.95)
    p = permuted_afroc_p(worse, better, draws=999, seed=0, every_image=False)
    assert p < 0.02
    squeezed = MarkedImages(
        better.patients,
        np.where(better.false > UNMARKED, better.false**3 / 2, UNMARKED),
        np.where(better.lesions > UNMARKED, better.lesions**3 / 2, UNMARKED),
        better.lesion_image,
    )
    assert permuted_afroc_p(worse, squeezed, draws=999, seed=0, every_image=False) == p
    assert permuted_afroc_p(worse, worse, draws=99, seed=0, every_image=False) == 1


def test_networks_alike_are_called_different_as_seldom_as_stated() -> None:
    rng = np.random.default_rng(2)
    p_values = [
        permuted_afroc_p(marked(rng, 0.3), marked(rng, 0.3), draws=199, seed=seed, every_image=True)
        for seed in range(150)
    ]
    assert np.mean(np.array(p_values) <= 0.1) < 0.17  # 0.1 +- 0.025 of 150
    assert 0.4 < np.mean(p_values) < 0.6
