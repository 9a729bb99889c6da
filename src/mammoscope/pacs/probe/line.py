"""Why another system cannot be talked to: seen by connecting to it, after a call has failed."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

_CONNECT_SECONDS, _SILENCE_SECONDS = 5.0, 1.0


def line_problem(host: str, port: int, tls: ssl.SSLContext | None) -> str | None:
    """What is wrong with the connection to an address; None if nothing is seen to be.

    Parameters
    ----------
    host, port
        The address.
    tls
        How TLS is spoken; None: it is not.
    """
    try:
        with socket.create_connection((host, port), _CONNECT_SECONDS) as connection:
            if tls is None:
                return _plain_problem(connection, host, port)
            return _tls_problem(connection, host, tls)
    except socket.gaierror:
        return f"the name {host} is not known here"
    except ConnectionRefusedError:
        return "nothing listens there: it does not run, or has another address"
    except TimeoutError:
        return f"no answer in {_CONNECT_SECONDS:g} s: a firewall, or another address"
    except OSError as error:
        return f"no connection ({error.strerror or type(error).__name__})"


def _tls_problem(connection: socket.socket, host: str, tls: ssl.SSLContext) -> str | None:
    try:
        with tls.wrap_socket(connection, server_hostname=host):
            return None
    except ssl.SSLCertVerificationError as error:
        return f"TLS: its certificate is not trusted ({error.verify_message})"
    except (ssl.SSLError, ConnectionError, TimeoutError):
        return "TLS: the handshake fails; it may not speak TLS"


def _plain_problem(connection: socket.socket, host: str, port: int) -> str | None:
    connection.settimeout(_SILENCE_SECONDS)
    with suppress(TimeoutError):
        if connection.recv(1) == b"":  # a server waits for the first byte of whom it lets in
            if _speaks_tls(host, port):
                return "TLS: it speaks nothing else"
            return "it closes the connection at once: it may not allow this address (--allow), or is full"
    return "TLS: it speaks nothing else" if _speaks_tls(host, port) else None


def _speaks_tls(host: str, port: int) -> bool:
    """Whether a handshake is answered, whatever the certificate is: nothing is sent after it."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), _CONNECT_SECONDS) as connection,
            anything.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except OSError:
        return False
