"""mammoscope: finds, outlines and grades masses in mammograms. Research use only."""

__version__ = "0.1.0"

NOTICE = "Research use only. Not for diagnostic use."
