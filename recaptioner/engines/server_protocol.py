"""OpenAI's chat completions as bytes: a request out, an answer in. An answer is a stranger's."""

import base64
import io
from typing import Any

import msgspec

from recaptioner.engines.base import Reply, Request
from recaptioner.engines.messages import chat_messages
from recaptioner.engines.server_config import ServerConfig

MAX_MESSAGE = 300
"""Characters of an error's message."""
_FINISHES = ("stop", "length")


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Problem(msgspec.Struct):
    message: str = ""


class _Failure(msgspec.Struct):
    error: _Problem | str = ""
    message: str = ""


def png_url(request: Request) -> str:
    """The picture as a data URL, without loss and quickly made; empty: there is none."""
    if request.image is None:
        return ""
    buffer = io.BytesIO()
    request.image.save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def encode_request(
    request: Request, model: str, config: ServerConfig, with_prompt_ids: bool
) -> bytes:
    """The body of a request."""
    url = png_url(request)
    part = {"type": "image_url", "image_url": {"url": url}} if url else None
    sampling = request.sampling
    body: dict[str, Any] = {
        **config.extra,
        "model": model,
        "messages": chat_messages(request, part),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    # Not in OpenAI's protocol: vLLM and its kin know them.
    if sampling.repetition_penalty != 1:
        body["repetition_penalty"] = sampling.repetition_penalty
    if with_prompt_ids:
        body["return_token_ids"] = True
    return msgspec.json.encode(body)


def decode_answer(key: str, body: bytes) -> Reply:
    """The reply in the body of an answer with status 200."""
    try:
        answer = msgspec.json.decode(body, type=_Completion)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = f"the answer is no chat completion: {str(error)[:MAX_MESSAGE]}"
        return Reply(key, error=said, may_change=True)
    if not answer.choices:
        return Reply(key, error="the answer holds no choices", may_change=True)
    choice = answer.choices[0]
    if choice.message.content is None:
        return Reply(key, error=f"the answer holds no text (finish: {choice.finish_reason!s:.40})")
    if choice.finish_reason not in _FINISHES:
        return Reply(key, error=f"the server ended it: {choice.finish_reason!s:.40}")
    usage = answer.usage or _Usage()
    return Reply(
        key,
        choice.message.content,
        choice.finish_reason,
        usage.prompt_tokens,
        usage.completion_tokens,
        prompt_token_ids=tuple(answer.prompt_token_ids or ()),
    )


def decode_models(body: bytes) -> list[str] | None:
    """Names of the models of a server; None: the body says nothing of the kind."""
    try:
        return [model.id for model in msgspec.json.decode(body, type=_Models).data]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_failure(body: bytes, secret: str) -> str:
    """What a server says of a refusal, in one line of bounded length, without the key."""
    try:
        failure = msgspec.json.decode(body, type=_Failure)
        problem = failure.error if isinstance(failure.error, str) else failure.error.message
        text = problem or failure.message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:MAX_MESSAGE]
