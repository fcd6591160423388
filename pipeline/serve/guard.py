"""What every request must be and every answer says, whatever is asked for.

A server on loopback is reached by every page that a browser on this machine has open. So a request
must name this server as its host (a name that strangers control could be pointed here: DNS
rebinding), must not be sent by another site's page, and can only read. No answer may be framed,
sniffed, kept, or read by another site.
"""

import ipaddress
import logging
import re
import socket

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.errors import DataError, UserError

_LOG = logging.getLogger(__name__)

NO_CONTENT_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)
"""Of an answer that is no page: it runs and loads nothing, even where it is opened as one."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": NO_CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_METHODS = ("GET", "HEAD")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_PAGES = frozenset({"/", "/query"})
"""What a link of another site may open."""


class Hosts:
    """The names by which a server may be asked.

    The port is not looked at: a tunnel has another one, and no page can choose a name of these.
    """

    def __init__(self, host: str, address: str) -> None:
        """Those of a server.

        Args:
            host: As the user named it.
            address: The address that it listens on.
        """
        self.is_loopback = ipaddress.ip_address(address).is_loopback
        self._names = {"localhost", "127.0.0.1", "::1", address, host.lower()}
        if not self.is_loopback:
            self._names.add(socket.gethostname().lower())

    def __contains__(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1].strip("[]")
        return name in self._names or (not self.is_loopback and _is_address(name))


def _is_address(name: str) -> bool:
    """Whether a host is an address: nobody can point one elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def guard(hosts: Hosts) -> Middleware:
    """The middleware that lets only proper requests pass, and tells errors as text."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = request.headers.getall("Host", [])
        if len(named) != 1 or named[0] not in hosts:
            return web.Response(status=421, text="421: this server has another name\n")
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS)
        if not _is_own(request):
            raise web.HTTPForbidden(text="403: asked for by the page of another site\n")
        try:
            return await handler(request)
        except (UserError, DataError) as error:
            return failure(request, 500, str(error))
        except web.HTTPException:
            raise
        except Exception:
            _LOG.exception("%s: a bug", request.path)
            return failure(request, 500, "a bug of the server; its terminal tells more")

    return middleware


def _is_own(request: web.Request) -> bool:
    """Whether a request is of our pages, of the user, or of a program; or a link to a page."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site in ("none", "same-origin"):
        return True
    return request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path in _PAGES


def failure(request: web.Request, status: int, message: str) -> web.Response:
    """An answer that says what is wrong: JSON below `/api/`, else text."""
    if request.path.startswith("/api/"):
        return web.json_response({"error": message}, status=status)
    return web.Response(status=status, text=f"{status}: {message}\n")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say of every answer what a browser may do with it, unless its handler did."""
    del request
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "Weft"
