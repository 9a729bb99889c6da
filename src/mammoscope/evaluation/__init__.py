"""Measure a bundle on a dataset: figures with intervals, plots, and one row for each case."""

from __future__ import annotations

from mammoscope.evaluation.run import Stage, evaluate

__all__ = ["Stage", "evaluate"]
