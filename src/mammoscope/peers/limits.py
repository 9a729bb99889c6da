"""What is taken from another system at most."""

from __future__ import annotations

LARGEST_IMAGE = 320 << 20  # bytes; the largest that is analysed has 100 million pixels of up to 3 bytes
