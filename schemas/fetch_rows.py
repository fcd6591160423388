"""The rows of the tables around a fetch: what is wanted, what is planned, what hosts allow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WantedUrl:
    """An image URL that has no bytes yet, with what its requests are dealt by."""

    image_url: str
    host: str
    """Host and port as in the URL: what limits hold for."""
    site: str


@dataclass(frozen=True, slots=True)
class PlannedUrl:
    """A URL that a part is going to ask for."""

    url: str
    host: str
    slice: int
    """The part, counted within its plan."""
    shares: int
    """Parts that share the host's limits: each takes a part of its rate."""
    attempt: int


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """The answer of one host to the request for its robots.txt."""

    origin: str
    """Scheme, host and port: `https://example.org`."""
    outcome: str
    """`ok`, or why it could not be read (`schemas/outcomes.py`)."""
    attempt: int
    status: int | None
    final_url: str | None
    answered_at: str
    text: str | None
    """The file, as far as it is read."""
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of an image, for reports only; a part keeps a bounded number."""

    image_key: str
    width: int
    height: int
    jpeg: bytes
