"""The API's OpenAPI description as a file, from which the page's types are made.

``web/openapi.json`` is what ``python -m mammoscope.server.openapi`` prints; no server, bundle or data folder is opened.
"""

from __future__ import annotations

import json
import sys

from mammoscope.server.app import routed_app


def openapi_text() -> str:
    """The description as the committed file holds it: what a server sends at ``/api/v1/openapi.json``."""
    return json.dumps(routed_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
