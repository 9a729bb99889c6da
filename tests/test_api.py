"""What ``import mammoscope`` offers, as the README shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mammoscope
from mammoscope.errors import BundleError, InputError

ROOT = Path(__file__).parents[1]


def test_the_face_is_what_it_says_and_needs_no_torch() -> None:
    program = (
        "import sys, mammoscope; assert not {'numpy', 'torch'} & set(sys.modules), 'import is not instant';"
        "[getattr(mammoscope, name) for name in mammoscope.__all__]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert set(mammoscope.__all__) <= set(dir(mammoscope))
    with pytest.raises(AttributeError, match="no attribute 'diagnose'"):
        _ = mammoscope.diagnose


def test_the_lines_of_the_readme_run(exam: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.S)
    ran: dict[str, object] = {}
    exec(lines.replace("L-CC.dcm", f"{exam}/phantom-L-CC.dcm").replace("L-MLO.dcm", f"{exam}/phantom-L-MLO.dcm"), ran)
    assert isinstance(ran["analysis"], mammoscope.Analysis)


def test_files_and_what_was_read_of_them_give_the_same(exam: Path, bundle: mammoscope.Bundle) -> None:
    path = exam / "phantom-L-CC.dcm"
    read = mammoscope.analyze(mammoscope.read_mammogram(str(path)), bundle)
    assert mammoscope.analyze(path, bundle).findings == read.findings
    assert [one.findings for one in mammoscope.analyze_exam([str(path)], bundle)] == [read.findings]


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda bundle: mammoscope.read_mammogram(3), TypeError, "path is int, expected a path"),
        (lambda bundle: mammoscope.load_bundle(b"x"), TypeError, "folder is bytes, expected a path"),
        (lambda bundle: mammoscope.analyze(None, bundle), TypeError, "mammogram is NoneType, expected a path"),
        (lambda bundle: mammoscope.analyze("x.dcm", 3), TypeError, "folder is int"),
        (lambda bundle: mammoscope.analyze("nowhere.dcm", bundle), InputError, "nowhere.dcm"),
        (lambda bundle: mammoscope.analyze_exam("x.dcm", bundle), TypeError, "views is one str, expected several"),
        (lambda bundle: mammoscope.analyze_exam([], bundle), ValueError, "at least one view"),
        (lambda bundle: mammoscope.load_bundle("nowhere"), BundleError, "nowhere"),
    ],
)
def test_what_is_wrong_is_said(call: object, error: type[Exception], named: str, bundle: mammoscope.Bundle) -> None:
    with pytest.raises(error, match=named):
        call(bundle)  # type: ignore[operator]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float, exam: Path, bundle: mammoscope.Bundle) -> None:
    with pytest.raises(ValueError, match="threshold is"):
        mammoscope.analyze(exam / "phantom-L-CC.dcm", bundle, threshold=threshold)
