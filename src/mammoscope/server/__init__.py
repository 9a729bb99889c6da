"""The web application: an API under ``/api/v1`` and the reading page.

Importing this package loads nothing of the web framework, so that a command line can offer it and still start at once.
"""

from __future__ import annotations

from mammoscope.server.listen import serve
from mammoscope.server.settings import ServerSettings, UploadLimits

__all__ = ["ServerSettings", "UploadLimits", "serve"]
