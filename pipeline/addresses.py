"""Addresses of services that a user names: `HOST:PORT` or a URL."""

import socket
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from schemas.errors import UserError

CONNECT_SECONDS = 10.0
"""For a service to take a connection."""


def _split(address: str) -> SplitResult:
    """The parts of `host`, `host:port` or a URL. Raises `ValueError`."""
    return urlsplit(address if "://" in address else f"//{address}")


def is_loopback(place: str) -> bool:
    """Whether `host`, `host:port` or a URL is this machine."""
    try:
        host = _split(place).hostname or ""
    except ValueError as e:
        raise UserError(f"{place}: is no host, HOST:PORT or URL: {e}") from e
    return host in ("localhost", "::1", "embed") or host.startswith("127.")


def check_listens(option: str, address: str, ports: Mapping[str, int] | None = None) -> None:
    """Connect to a service once, and hang up.

    Args:
        option: That names it.
        address: `HOST:PORT`, or a URL.
        ports: What an address without a port means, by the scheme, which is empty where it has
            none. Unset: an address needs a port.

    Raises:
        UserError: It is no address, or nobody takes the connection.
    """
    try:
        parts = _split(address)
        host, port = parts.hostname, parts.port or (ports or {}).get(parts.scheme)
    except ValueError as e:
        raise UserError(f"--{option}={address}: is no HOST:PORT: {e}") from e
    if not host or not port:
        raise UserError(f"--{option}={address}: must be HOST:PORT")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as e:  # a name that is none is the latter
        raise UserError(
            f"--{option}={address}: nobody listens there ({e}); start it first, or name another"
        ) from e
