"""The log of the services of ``mammoscope pacs``."""

from __future__ import annotations

from mammoscope.cli.console import log_to_standard_error, silence_libraries


def log_service() -> None:
    """Log to standard error; the libraries do not, because they quote what they send and receive."""
    log_to_standard_error()
    silence_dicom()


def silence_dicom() -> None:
    """Keep from standard error what the DICOM libraries quote."""
    import logging
    import threading

    from pynetdicom import _config

    from mammoscope.errors import place_of

    silence_libraries()
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False  # or each is made a text for nobody

    def complain(ended: threading.ExceptHookArgs) -> None:
        """Say that a thread of a library failed, without a traceback, which may quote a header."""
        if ended.exc_value is not None:
            logging.getLogger("mammoscope").warning("an association failed (%s)", place_of(ended.exc_value))

    threading.excepthook = complain
