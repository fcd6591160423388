"""What an engine is: requests go in, many stay in flight, replies come as they end.

An engine has no batches: whoever feeds it keeps `capacity` requests in flight, so that a request
that is long, or asked for again, keeps no other waiting.
"""

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from schemas.errors import StageError


class EngineLostError(StageError):
    """The engine has died, hangs or cannot be reached.

    No row is at fault: the part fails as a whole, and what is finished of it is in its journal.
    """


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, and how many at most."""

    max_tokens: int
    temperature: float = 0.0
    """0: the likeliest token."""
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt."""

    key: str
    """Unique among those in flight."""
    system: str
    """Empty: no system message."""
    user: str
    """Text of the user message, behind the image; empty: the image alone."""
    image: Image.Image | None
    """Upright RGB."""
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request."""

    key: str
    text: str = ""
    finish: str = ""
    """`stop` or `length`; empty with an error."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    """Why this request has no answer, though the engine is well."""
    prompt_token_ids: tuple[int, ...] = ()
    """Where the engine was asked for them."""
    may_change: bool = False
    """Of an error: whether it is the engine's, so that another run may get an answer."""


class Engine(Protocol):
    """A model that answers requests.

    Raises:
        EngineLostError: From every method, when the engine is gone.
    """

    @property
    def capacity(self) -> int:
        """Requests in flight that keep it busy."""

    @property
    def model(self) -> str:
        """Name of the model, as it is recorded."""

    def submit(self, request: Request) -> None:
        """Take a request up. Returns at once."""

    def poll(self) -> list[Reply]:
        """Wait until at least one request has ended; all that have. Empty: none is in flight."""

    def close(self) -> None:
        """End it, and whatever it started."""
