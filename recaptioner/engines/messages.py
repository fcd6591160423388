"""Requests as chat messages: what both engines send, so that one request is one prompt.

A chat template turns messages into one text before it is tokenized, so whoever writes `<image>` or
`<|im_end|>` into an alt text would write into the prompt's structure. Control tokens of all model
families have the form of a tag: `plain_text` sets a space behind the bracket, and what is left is
text to every tokenizer.
"""

import re
from typing import Any

from recaptioner.engines.base import Request

# `<image>`, `</s>`, `<|im_end|>`, DeepSeek's `<｜User｜>`; `[INST]`, `[/INST]`, `[IMG_END]`.
_OPENS_A_TAG = re.compile(r"<(?=[|｜/!_A-Za-z])|\[(?=/?[A-Z][A-Z_]{0,40}\])")


def plain_text(text: str) -> str:
    """The text without control tokens: `<image>` becomes `< image>`, `a < b` stays."""
    return _OPENS_A_TAG.sub(lambda found: found[0] + " ", text)


def chat_messages(request: Request, image_part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The messages of a request.

    Args:
        request: Its picture is looked at no further.
        image_part: The picture, as a part of a message that the engine takes; None: there is none.
    """
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": plain_text(request.system)})
    text = plain_text(request.user)
    if image_part is None:
        messages.append({"role": "user", "content": text})
    else:
        parts = [image_part, {"type": "text", "text": text}] if text else [image_part]
        messages.append({"role": "user", "content": parts})
    return messages
