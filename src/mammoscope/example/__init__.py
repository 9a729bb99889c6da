"""The example: a synthetic four-view exam that looks like mammograms, for documents, tests and the first run."""

from __future__ import annotations

from mammoscope.example.exam import EXAM_FILES, PRIOR_FILES, write_exam, write_view
from mammoscope.example.lesions import PhantomLesion
from mammoscope.example.phantom import PhantomView, make_exam
from mammoscope.example.settings import (
    Cluster,
    Density,
    Distribution,
    Look,
    Morphology,
    PhantomSettings,
    Prior,
    Shape,
)

__all__ = [
    "EXAM_FILES",
    "PRIOR_FILES",
    "Cluster",
    "Density",
    "Distribution",
    "Look",
    "Morphology",
    "PhantomLesion",
    "PhantomSettings",
    "PhantomView",
    "Prior",
    "Shape",
    "make_exam",
    "write_exam",
    "write_view",
]
