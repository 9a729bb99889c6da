"""The example: a synthetic four-view exam that looks like mammograms, for documents, tests and the first run."""

from __future__ import annotations

from mammoscope.example.exam import write_exam
from mammoscope.example.phantom import PhantomMass, PhantomView, make_exam

__all__ = ["PhantomMass", "PhantomView", "make_exam", "write_exam"]
