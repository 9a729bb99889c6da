"""Here it does not matter what is found, and a bundle with few candidates is quick."""

from __future__ import annotations

import pytest

from mammoscope.bundle import Bundle


@pytest.fixture(scope="session")
def bundle(quick_bundle: Bundle) -> Bundle:
    """In place of the bundle that ships."""
    return quick_bundle
