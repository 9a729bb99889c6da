"""The command line as ``python -m mammoscope``."""

from __future__ import annotations

from mammoscope.cli.app import main

if __name__ == "__main__":
    main()
