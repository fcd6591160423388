"""Which addresses and ports may be asked: those of the public internet, and what a recipe allows.

A URL in a page is written by a stranger, and a machine that fetches stands inside somebody's
network: without this check a page could have us read a router, a database or the credentials that
a cloud hands to its machines (server-side request forgery). Everything that is not known to be
public is refused. The tables are our own, from the registries named beside them, because
`ipaddress.is_global` has changed its mind between Python versions.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from schemas.errors import RecipeError
from transforms.urls import normalize_url

# IANA IPv4 Special-Purpose Address Registry (RFC 6890), what is not globally reachable, with the
# multicast registry and three entries of our own.
_NOT_PUBLIC_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791); 0.0.0.0 reaches this machine
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared by carriers (RFC 6598); metadata of Alibaba Cloud
            "127.0.0.0/8",  # loopback (RFC 1122)
            "168.63.129.16/32",  # ours: the platform of Azure, behind a public address
            "169.254.0.0/16",  # link-local (RFC 3927); metadata of AWS, Azure, Google and others
            "172.16.0.0/12",  # private (RFC 1918)
            "192.0.0.0/24",  # protocol assignments (RFC 6890); metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # relays of 6to4 (RFC 7526), withdrawn
            "192.168.0.0/16",  # private (RFC 1918)
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112), with the broadcast address
        ),
    )
)
# Of IPv6 only 2000::/3 is given out as global unicast (RFC 4291), which leaves out loopback,
# unspecified, IPv4-compatible, unique local (fd00:ec2::254 is metadata of AWS), link-local,
# site-local, multicast, discard-only, SRv6 and the NAT64 prefix for local use. Within it, the IANA
# IPv6 Special-Purpose Address Registry:
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments (RFC 2928): Teredo, benchmarks, ORCHID, ...
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4 (RFC 3056, withdrawn by RFC 7526): tunnels to any IPv4 address
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
# An IPv4 address in IPv6 clothes, judged by that address: mapped (RFC 4291, 2.5.5.2), and what
# DNS64 gives on networks without IPv4 (RFC 6052).
_EMBEDDING_V6 = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))
# Interface identifiers of ISATAP (RFC 5214, 6.1), the u bit off and on.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})

_WEB_STANDARD_PORTS = (
    # The WHATWG Fetch standard, "port blocking": services that would take a request for commands.
    "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 "
    "113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 "
    "548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 "
    "6566 6665 6666 6667 6668 6669 6679 6697 10080"
)
# Ours: Redis and memcached read commands line by line and pass over those they do not know.
_OTHER_PORTS = "6379 11211"
BLOCKED_PORTS = frozenset(map(int, f"{_WEB_STANDARD_PORTS} {_OTHER_PORTS}".split()))
"""Ports that are never asked, whatever the address."""


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_V4)


@lru_cache(maxsize=65536)
def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, and so may be connected to.

    Args:
        address: IPv4 in four decimal numbers or IPv6 without brackets. Anything else, a zone
            (`fe80::1%eth0`) included, is not public.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return _is_public_v4(parsed)
    if parsed.scope_id is not None:
        return False
    embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    if any(parsed in network for network in _EMBEDDING_V6):
        return _is_public_v4(embedded)
    if int(parsed) >> 32 & 0xFFFFFFFF in _ISATAP and not _is_public_v4(embedded):
        return False
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _NOT_PUBLIC_V6)


def split_port(text: str) -> tuple[str, int | None]:
    """A host and its port, if one is written: `name:80`, `127.0.0.1:53`, `[::1]:53`, `::1`.

    Raises:
        ValueError: What stands behind the colon is no port.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):
        return text.strip("[]"), None
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{port!r} is no port")
    return host.strip("[]"), int(port)


_DNS_PORT = 53


class AllowedHosts:
    """Hosts that a recipe names, with a port or for all of them, wherever they are.

    Raises:
        RecipeError: An entry is no host.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._allowed = set()
        for entry in entries:
            try:
                name, port = split_port(entry)
            except ValueError as error:
                raise RecipeError(f"fetch.allow_hosts: {entry!r}: {error}") from error
            # Port 1 is no default of any scheme, so it stays in the URL and is easy to take off.
            url = normalize_url(f"http://[{name}]:1/" if ":" in name else f"http://{name}:1/")
            if url is None or url.count("/") != 3:
                raise RecipeError(f"fetch.allow_hosts: {entry!r} is no host")
            host = url.removeprefix("http://").removesuffix(":1/").strip("[]")
            self._allowed.add((host.rstrip("."), port))

    def __contains__(self, host_and_port: tuple[str, int]) -> bool:
        """Whether a host (lower case, no brackets) may be asked at a port."""
        host, port = host_and_port
        if not self._allowed:
            return False
        host = host.rstrip(".")
        return (host, None) in self._allowed or (host, port) in self._allowed


def nameservers(entries: Iterable[str]) -> list[str]:
    """Name servers as the resolver library wants them: always with a port, IPv6 in brackets.

    Raises:
        RecipeError: An entry is no address, or its port is none.
    """
    servers = []
    for entry in entries:
        try:
            address, port = split_port(entry)
            version = ipaddress.ip_address(address).version
        except ValueError as error:
            raise RecipeError(f"fetch.nameservers: {entry!r}: {error}") from error
        host = f"[{address}]" if version == 6 else address
        servers.append(f"{host}:{_DNS_PORT if port is None else port}")
    return servers
