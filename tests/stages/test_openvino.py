"""The extra ``fast``: asked for by name, said in every result, and refused where it cannot be."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mammoscope import __version__
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.candidates import Candidates
from mammoscope.errors import BundleError
from mammoscope.pipeline import analyze
from mammoscope.readers import read_mammogram
from mammoscope.stages.openvino import fast_runtime
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.step import PreparedExam, PreparedView


@pytest.fixture
def _without_openvino(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "openvino", None)
    fast_runtime.cache_clear()
    yield
    fast_runtime.cache_clear()


@pytest.mark.usefixtures("_without_openvino")
def test_without_openvino_it_is_refused_here_and_in_other_processes(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="networks cannot be run fast here: that needs OpenVINO"):
        load_bundle(fast=True)
    fast = Bundle(bundle.folder, bundle.manifest, bundle.sha256, fast=True)
    with pytest.raises(BundleError, match="networks cannot be run fast here"):
        pickle.loads(pickle.dumps(SharedBundle.of(fast))).loaded()
    assert pickle.loads(pickle.dumps(SharedBundle.of(bundle))).loaded().code_version == __version__


def _needed() -> str:
    runtime = fast_runtime()
    if runtime is None:
        pytest.skip("OpenVINO (the extra fast) is not installed, or the processor has no bfloat16")
    return runtime


def test_it_finds_nearly_the_same_and_says_what_found_it(bundle: Bundle, exam: Path) -> None:
    runtime = _needed()
    mammogram, fast = read_mammogram(exam / "phantom-L-MLO.dcm"), load_bundle(fast=True)
    assert analyze(mammogram, bundle).software == f"mammoscope {__version__}"
    assert analyze(mammogram, fast).software == f"mammoscope {__version__} ({runtime})"
    breast = PreparedExam((PreparedView(preprocess(mammogram, bundle.manifest.preprocess)),))
    best = [one.finding[0].step(breast, Candidates.none()).ranked() for one in (bundle, fast)]
    assert 0 < abs(best[0].detection_score[0] - best[1].detection_score[0]) < 0.03
    np.testing.assert_allclose(best[0].boxes[0], best[1].boxes[0], atol=10)
    scores = [one.finding[1].step(breast, best[0]).detection_score for one in (bundle, fast)]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.03)


def test_nothing_is_loaded_that_sends_usage_data(bundle: Bundle) -> None:
    _needed()
    code = (
        "import sys; from mammoscope.stages.openvino import FastSession; "
        f"FastSession({str(bundle.folder / 'reducer.onnx')!r}); "
        "assert 'openvino' in sys.modules; "
        "assert not {'openvino_telemetry', 'openvino.tools.ovc'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
