"""How images are asked for: the recipe's section `fetch`."""

import re
from dataclasses import dataclass

from schemas.outcomes import OK, is_pattern
from transforms.addresses import AllowedHosts, nameservers

PRODUCT = "Weft"
"""The product token of the user agent: what robots.txt files address, lower or upper case."""

_CONTACT = re.compile(r"https?://[!-'*-;=?-~]+|[^\s()<>@\x00-\x20\x7f-\U0010ffff]+@[A-Za-z0-9.\-]+")
_OPT_OUT = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none", "tdm"})


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """How images are asked for, how politely, and when we give up."""

    contact: str = ""
    """Who is behind the requests: a web page or an e-mail address, part of the user agent. Without
    it nothing is asked for: the owner of a server must be able to reach somebody."""
    concurrency: int = 96
    """Requests at once of one part; a worker handles one part at a time."""
    host_concurrency: int = 4
    """Requests at once to one host, over all workers."""
    host_rate: float = 5.0
    """Requests a second to one host, over all workers; 0 is no limit."""
    retries: int = 2
    """Further tries within a part after a timeout, a lost connection, a 429 or a 5xx."""
    backoff_seconds: float = 1.0
    """Wait before the first further try; doubled for each that follows."""
    max_wait_seconds: float = 30.0
    """Longest `Retry-After` or robots.txt `Crawl-delay` that is waited for; a host that asks for
    more is left alone until the next run."""
    dns_seconds: float = 5.0
    connect_seconds: float = 10.0
    read_seconds: float = 15.0
    """Longest silence: before the head of an answer is whole, and between pieces of its body."""
    total_seconds: float = 60.0
    """Longest time of one request, redirects not counted together."""
    max_redirects: int = 5
    max_bytes: int = 20 * 1024 * 1024
    """Largest body, as sent and after its content coding is undone."""
    host_failures: int = 8
    """Failures to reach a host, one after the other, after which its other images get the same
    outcome without being asked for."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts, by name or address, that may be at an address that is not public."""
    nameservers: tuple[str, ...] = ()
    """Name servers as `address` or `address:port`; without any, those of the system."""
    part_urls: int = 10_000
    """Most URLs of one part."""
    part_seconds: float = 300.0
    """Time a part is planned for; what it has not asked for by then goes to another part."""
    buckets: int = 16
    """Buckets of registered domains: memory is one bucket, so more of them beyond some 10 million
    URLs."""
    retry: tuple[str, ...] = (
        "dns",
        "connect",
        "tls",
        "timeout",
        "disconnected",
        "truncated",
        "robots_unreachable",
        "http_408",
        "http_425",
        "http_429",
        "http_5xx",
    )
    """Outcomes that another run asks for again; `http_5xx` stands for all its statuses."""
    max_attempts: int = 3
    """Runs that ask for one URL at most."""
    robots: bool = True
    """Whether robots.txt is honoured (RFC 9309)."""
    robots_hours: float = 24.0
    """Age from which a robots.txt is read again before its host is asked for more (RFC 9309, 2.4);
    one is used for twice that at most."""
    opt_out: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex", "tdm")
    """What keeps an image out when its own answer says so: directives of `X-Robots-Tag`, and `tdm`
    for a reservation of text and data mining."""
    decode_seconds: float = 20.0
    """Longest time an image may take to decode."""
    decoders: int = 1
    """Processes that decode, a worker."""
    max_failed_fraction: float = 0.9
    """Images without an answer (not counting refusals) from which a run is given up: a network that
    is not there must not pass for a web that is gone."""

    @property
    def user_agent(self) -> str:
        """The `User-Agent` that every request carries."""
        return f"{PRODUCT}/0.1 (+{self.contact})"


def fetch_checks(config: FetchConfig) -> dict[str, bool]:
    """What is demanded of the section, and whether it holds."""
    seconds = (
        config.dns_seconds, config.connect_seconds, config.read_seconds, config.total_seconds,
        config.part_seconds, config.decode_seconds,
    )  # fmt: skip
    AllowedHosts(config.allow_hosts)
    nameservers(config.nameservers)
    waits = (config.backoff_seconds, config.max_wait_seconds)
    strange = [name for name in config.retry if not is_pattern(name) or name == OK]
    refusals = sorted({*config.opt_out} - _OPT_OUT)
    return {
        "fetch.contact: must be a web page (https://...) or an e-mail address, in one line": (
            not config.contact or _CONTACT.fullmatch(config.contact) is not None
        ),
        f"fetch.retry: no such outcome: {', '.join(strange)}": not strange,
        f"fetch.opt_out: {', '.join(refusals)}: must be of {', '.join(sorted(_OPT_OUT))}": (
            not refusals
        ),
        "fetch: concurrency, host_concurrency, part_urls, decoders, max_attempts, max_bytes and "
        "host_failures must be at least 1": min(
            config.concurrency, config.host_concurrency, config.part_urls, config.decoders,
            config.max_attempts, config.max_bytes, config.host_failures,
        ) >= 1,
        "fetch: concurrency and host_concurrency must be at most 10000, decoders at most 256, "
        "retries and max_attempts at most 100, part_urls at most 10000000": (
            max(config.concurrency, config.host_concurrency) <= 10_000
            and config.decoders <= 256
            and max(config.retries, config.max_attempts) <= 100
            and config.part_urls <= 10_000_000
        ),
        "fetch: every _seconds must be above 0 and at most a day (86400)": all(
            0 < value <= 86400 for value in seconds
        ),
        "fetch: backoff_seconds and max_wait_seconds must be from 0 to a day (86400)": all(
            0 <= value <= 86400 for value in waits
        ),
        "fetch.robots_hours: must be from 1 to 8760": 1 <= config.robots_hours <= 8760,
        "fetch.host_rate: must be from 0 to 1000000": 0 <= config.host_rate <= 1e6,
        "fetch: retries and max_redirects must not be negative": (
            min(config.retries, config.max_redirects) >= 0
        ),
        "fetch.max_redirects: must be at most 20": config.max_redirects <= 20,
        "fetch.buckets: must be from 1 to 99999": 1 <= config.buckets <= 99999,
        "fetch.max_failed_fraction: must be from 0 to 1": 0 <= config.max_failed_fraction <= 1,
    }  # fmt: skip
