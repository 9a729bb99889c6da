"""Start the server without the command line: ``python -m mammoscope.server --port N``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.server.run import serve
from mammoscope.server.settings import ServerSettings


def main() -> None:
    """Parse, serve; an error of the user's world is one line and exit code 2."""
    defaults = ServerSettings()
    parser = argparse.ArgumentParser(prog="python -m mammoscope.server")
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port)
    parser.add_argument("--token")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--allow-host", action="append", default=[])
    parser.add_argument("--queue", type=int, default=defaults.queue)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = ServerSettings(
            host=given.host,
            port=given.port,
            token=given.token,
            data=given.data,
            bundle=given.bundle,
            allowed_hosts=tuple(given.allow_host),
            queue=given.queue,
        )
        serve(settings, started=lambda address: sys.stdout.write(f"{address}\n") and sys.stdout.flush())
    except MammoscopeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
