"""A server that speaks OpenAI's protocol, as a recipe states it: the section `recaption.server`."""

import os
import re
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from schemas.errors import RecipeError

# What the client sets itself.
_RESERVED = ("model", "messages", "max_tokens", "temperature", "top_p", "seed", "n", "stream")
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class ServerConfig:
    """Section `recaption.server`."""

    url: str = ""
    """Where the protocol begins, such as `http://localhost:8000/v1`; without a path `/v1`."""
    model: str = ""
    """Its name there; empty: the only one that the server has."""
    api_key_env: str = ""
    """The environment variable that holds the key. The key itself is in no recipe and no log."""
    concurrency: int = 64
    """Requests at once."""
    deadline_seconds: float = 120.0
    """Longest time of one try."""
    retries: int = 4
    """Further tries after a lost connection, a timeout, a 429 or a 5xx."""
    backoff_seconds: float = 0.5
    """Wait before the first further try; doubled for each that follows."""
    max_wait_seconds: float = 60.0
    """Longest wait between two tries, whatever `Retry-After` says."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of each request, such as `chat_template_kwargs`."""

    @property
    def capacity(self) -> int:
        """Requests in flight: as many again wait here, so that each that ends is followed."""
        return 2 * self.concurrency

    def endpoint(self, path: str) -> URL:
        """The address of a route of the protocol."""
        base = URL(self.url)
        return (base / "v1" if base.path in ("", "/") else base) / path


def check_server(config: ServerConfig, where: str = "recaption.server") -> None:
    """Refuse what cannot be asked.

    Raises:
        RecipeError: A value that cannot be, or a key that is not there.
    """
    try:
        url = URL(config.url)
        is_web = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        is_web = False
    if not is_web:
        raise RecipeError(f"{where}.url: {config.url!r}: give one like http://localhost:8000/v1")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise RecipeError(
            f"{where}.url: neither user, query nor fragment belongs there; a key comes from the "
            f"environment variable that {where}.api_key_env names"
        )
    for key, least in (("concurrency", 1), ("retries", 0), ("backoff_seconds", 0)):
        if not getattr(config, key) >= least:
            raise RecipeError(f"{where}.{key}: must be at least {least}")
    for key in ("deadline_seconds", "max_wait_seconds"):
        if not getattr(config, key) > 0:
            raise RecipeError(f"{where}.{key}: must be above 0")
    if taken := [key for key in config.extra if key in _RESERVED]:
        raise RecipeError(f"{where}.extra: {', '.join(taken)}: set elsewhere in the recipe")
    api_key(config, where)


def api_key(config: ServerConfig, where: str = "recaption.server") -> str:
    """The key; empty: none is wanted.

    Raises:
        RecipeError: Its variable is not set, or holds what is no key.
    """
    if not config.api_key_env:
        return ""
    key = os.environ.get(config.api_key_env, "").strip()
    if not key:
        raise RecipeError(
            f"{where}.api_key_env: set the environment variable {config.api_key_env} to the key"
        )
    if not _KEY.fullmatch(key):
        raise RecipeError(
            f"{where}.api_key_env: {config.api_key_env} holds something that is no key: blanks or "
            "characters beyond ASCII"
        )
    return key
