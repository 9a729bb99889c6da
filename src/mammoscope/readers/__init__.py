"""Reading mammograms: the one place where files of the user become a ``Mammogram``."""

from __future__ import annotations

from mammoscope.readers.inputs import find_inputs
from mammoscope.readers.isolated import IsolatedReader
from mammoscope.readers.limits import Limits
from mammoscope.readers.read import read_mammogram
from mammoscope.readers.source import input_name

__all__ = ["IsolatedReader", "Limits", "find_inputs", "input_name", "read_mammogram"]
