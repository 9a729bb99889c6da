"""Who may talk to the server, and what a browser may do with its answers."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mammoscope.errors import place_of
from mammoscope.server.settings import ServerSettings

logger = logging.getLogger(__name__)

COOKIE = "mammoscope"
UPLOAD_PATH = "/api/v1/analyses"
_LARGEST_BODY = 1 << 20  # of every request that is not an upload
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware: checks Host, Origin and token before anything else, and sets the headers of every answer.

    An error that nothing else caught is logged by class and place alone, for its text may quote a patient's data.
    ``answered`` is called with the status of each answer.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, answered: Callable[[int], None]) -> None:
        self._app, self._answered = app, answered
        self._hosts = settings.host_headers()
        self._token = settings.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                self._answered(message["status"])
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope["path"] == "/" or scope["path"].startswith("/api"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        answer = self._refusal(scope)
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        is_upload = scope["method"] == "POST" and scope["path"] == UPLOAD_PATH
        try:
            await self._app(scope, receive if is_upload else _limited(receive), send_guarded)
        except ClientDisconnect:
            pass
        except Exception as error:
            logger.error("%s", place_of(error))
            if not has_started:
                await _problem(500, "the server failed on this request")(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return _problem(421, "this server is not called so; start it with --allow-host NAME to allow a name")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return _problem(403, "requests from other sites are refused")
        if self._token is not None and (not self._is_known(headers) or _shown_token(scope) is not None):
            return self._welcome(scope)
        if scope["path"] != UPLOAD_PATH and _length(headers) > _LARGEST_BODY:
            return _problem(413, f"the request has more than {_LARGEST_BODY} bytes")
        return None

    def _is_known(self, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(shown.strip(), self._token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, _cookie_value(self._token))

    def _welcome(self, scope: Scope) -> Response:
        """A cookie for who opens the page with the token in its address, a refusal for everyone else."""
        assert self._token is not None
        if not _same(_shown_token(scope) or "", self._token):
            refusal = _problem(401, "this server needs its token: open the address that it printed when it started")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, _cookie_value(self._token), httponly=True, samesite="strict", path="/")
        return answer


def _length(headers: Headers) -> int:
    """What the client says that it will send; 0 where it does not say."""
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() else 0


def _shown_token(scope: Scope) -> str | None:
    """The token in the page's address; None in every other request."""
    if scope["method"] != "GET" or scope["path"] != "/":
        return None
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return given[0] if given else None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _cookie_value(token: str) -> str:
    """What the browser keeps instead of the token itself."""
    return hmac.new(token.encode(), b"mammoscope page", hashlib.sha256).hexdigest()


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)


def _limited(receive: Receive) -> Receive:
    """``receive`` that takes the client for gone once it has sent more than any such request needs."""
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > _LARGEST_BODY else message

    return receive_limited
