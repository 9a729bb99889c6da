"""De-identify mammograms before they leave: what is not on a list is dropped, what identifies is replaced.

``docs/privacy.md`` says what this does, and what it does not.
"""

from __future__ import annotations

from mammoscope.deidentify.files import NOT_DONE, Deidentified, deidentify_files

__all__ = ["NOT_DONE", "Deidentified", "deidentify_files"]
