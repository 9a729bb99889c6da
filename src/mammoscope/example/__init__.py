"""The example: a synthetic four-view exam that looks like mammograms, for documents, tests and the first run."""

from __future__ import annotations

from mammoscope.example.exam import EXAM_FILES, write_exam, write_view
from mammoscope.example.phantom import PhantomMass, PhantomView, make_exam

__all__ = ["EXAM_FILES", "PhantomMass", "PhantomView", "make_exam", "write_exam", "write_view"]
