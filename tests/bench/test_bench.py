"""The benchmark runs, and says what took how long."""

from __future__ import annotations

import re

import pytest

from bench.run import main

_TIMES = re.compile(r"(\d+\.\d\d) / (\d+\.\d\d)")


def test_each_file_and_version_has_a_row_of_times(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "1", "--rows", "416", "--columns", "320", "--only", "JPEG-LS", "--no-peer"])
    head, rule, *rows, _, told, left_out = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|")
    (row,) = rows
    assert row.startswith("| JPEG-LS lossless | this | ")
    cold, reading, analysis, overlay, warm = ((float(wall), float(cpu)) for wall, cpu in _TIMES.findall(row))
    assert cold > warm, "the command also loads the models"
    for each in range(2):
        assert abs(reading[each] + analysis[each] - warm[each]) < 0.02
    assert overlay[0] > 0
    assert "Wall / CPU seconds, the least of 1 rounds, 1 thread(s)" in told
    assert "Without the peer" in left_out
