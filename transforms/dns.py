"""Names to addresses that may be connected to: asynchronous, cached, and checked at every use.

The connector gets its addresses from here and from nowhere else, so what was checked is what is
connected to: a name that answers with a public address first and a private one later (rebinding)
gains nothing.
"""

import asyncio
import socket

import aiodns
from aiohttp.abc import AbstractResolver, ResolveResult

from schemas.errors import FetchError
from transforms.addresses import AllowedHosts, is_public, nameservers
from transforms.fetch_config import FetchConfig

MAX_TTL_SECONDS = 300
"""Longest time that an answer is believed, whatever it says of itself."""
MAX_ADDRESSES = 8
"""Addresses of one name that are tried; all of them are checked."""
TRIES = 2
"""Questions to each name server."""

_NO_SEARCH = 1 << 5  # ARES_FLAG_NOSEARCH of c-ares (ares.h)
# No packet is sent: connecting a UDP socket only looks for a route.
_ANY_IPV6 = ("2001:db8::1", 9)

_Addresses = tuple[tuple[str, int], ...]  # with their address families


def _has_ipv6() -> bool:
    """Whether this machine has a route into the IPv6 internet."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(_ANY_IPV6)
    except OSError:
        return False
    return True


def _check_name(name: str) -> None:
    """Refuse what no name server could be asked for (RFC 1035, 2.3.4)."""
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise FetchError("dns", f"{name[:100]!r} cannot be a name: a label is empty or too long")


class Resolver(AbstractResolver):
    """The addresses of names, for aiohttp's connector.

    An answer is kept for its time to live and at most `MAX_TTL_SECONDS`; a failure is kept for
    good, so that a dead name is asked for once. Look-ups of one name at one time are one. The file
    of hosts counts. IPv6 is asked for where this machine has a route for it.
    """

    def __init__(self, config: FetchConfig, allowed: AllowedHosts) -> None:
        self._seconds = config.dns_seconds
        self._allowed = allowed
        self._loop = asyncio.get_running_loop()
        self._family = socket.AF_UNSPEC if _has_ipv6() else socket.AF_INET
        # No search domains: a name that a stranger wrote is never completed to one of our network.
        self._channel = aiodns.DNSResolver(
            nameservers=nameservers(config.nameservers) or None,
            loop=self._loop,
            flags=_NO_SEARCH,
            timeout=max(0.1, config.dns_seconds / TRIES),
            tries=TRIES,
        )
        self._known: dict[str, tuple[float, _Addresses]] = {}
        self._failed: dict[str, str] = {}
        self._asked: dict[str, asyncio.Task[_Addresses]] = {}
        self.cleared: set[str] = set()
        """Addresses that are not public and were given out because a recipe allows the host."""

    async def _ask(self, name: str) -> _Addresses:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._channel.getaddrinfo(
                    name, family=self._family, type=socket.SOCK_STREAM
                )
        except (aiodns.error.DNSError, TimeoutError) as error:
            reason = error.args[1] if len(error.args) > 1 else f"no answer in {self._seconds:g} s"
            self._failed[name] = str(reason)
            raise FetchError("dns", f"{name}: {reason}") from error
        finally:
            del self._asked[name]
        addresses = tuple(
            (address.decode("ascii") if isinstance(address, bytes) else address, node.family)
            for node in found.nodes
            for address in node.addr[:1]
        )
        if not addresses:
            self._failed[name] = "no address"
            raise FetchError("dns", f"{name}: no address")
        seconds = min(MAX_TTL_SECONDS, *(node.ttl for node in found.nodes))
        self._known[name] = (self._loop.time() + seconds, addresses)
        return addresses

    async def _lookup(self, name: str) -> _Addresses:
        if (known := self._known.get(name)) and self._loop.time() < known[0]:
            return known[1]
        if (reason := self._failed.get(name)) is not None:
            raise FetchError("dns", f"{name}: {reason}")
        _check_name(name)
        if (task := self._asked.get(name)) is None:
            task = self._asked[name] = self._loop.create_task(self._ask(name))
            # Read here too: whoever waited may have been cancelled, and nobody else looks.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Shielded: whoever gives up waiting does not take the answer from the others.
        return await asyncio.shield(task)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name, all of them public unless the recipe allows the host.

        A name with one address that is not public is refused altogether: public and private
        addresses side by side are how rebinding looks, and no honest site has them.

        Raises:
            FetchError: `dns` without an address, `blocked_address` with a wrong one.
        """
        del family  # the connector asks for any
        addresses = await self._lookup(host.removesuffix("."))
        if (host, port) in self._allowed:
            self.cleared.update(address for address, _ in addresses)
        else:
            for address, _ in addresses:
                if not is_public(address):
                    raise FetchError("blocked_address", f"{host} is at {address}, not public")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=of_family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address, of_family in addresses[:MAX_ADDRESSES]
        ]

    async def close(self) -> None:
        """End what is being asked."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._channel.close()
