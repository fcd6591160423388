"""Rows of stage `recaption`: what is wanted, what a model answered, and what a caption got."""

from dataclasses import dataclass

FALLBACK_DESCRIPTION = "fallback_description"
FALLBACK_ALT = "fallback_alt"
REFUSED = "refused"
"""Of a description only: no answer passed, and there is nothing to fall back to."""
OUTCOMES = {
    "ok": "the first answer passed all checks",
    "resampled": "the answer to the same question passed, asked again with other seeds",
    "stricter": "the answer to the stricter question passed",
    FALLBACK_DESCRIPTION: "no fused or rewritten text passed: the description is the caption",
    FALLBACK_ALT: "nothing passed: the alt text stays the caption",
    REFUSED: "no description passed",
}
"""What becomes of a request; beside these, the name of the error that its image ended in."""
ENGINE_FAULT = "EngineFaultError"
"""Outcome of what an engine did not answer though it was to blame itself."""
ASKED_AGAIN = ("ImageMissingError", ENGINE_FAULT)
"""Outcomes after which the next run asks again: a lost pack may be back, a server mended."""
RECAPTIONS = "recaptions"
"""The table of what captions got, and of its counts."""
OUTCOME_FACT, PROBLEM_FACT = "recaption_", "recaption_problem_"
"""What the facts of a part begin with that count outcomes, and problems of answers."""
FALLBACKS = (FALLBACK_DESCRIPTION, FALLBACK_ALT)
ALT_ORIGIN = "alt"
"""The origin of a recaption that is the text it was asked for."""


@dataclass(frozen=True, slots=True)
class WantedRecaption:
    """A caption that is to be written anew, and where its image lies."""

    caption_id: str
    image_key: str
    text_hash: str
    pack: str
    offset: int
    size: int
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class PlannedText:
    """A text for which a caption is wanted."""

    text_hash: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class PlannedRecaption:
    """An image, and the texts for which captions are wanted."""

    image_key: str
    pack: str
    offset: int
    size: int
    description: str | None
    """What the model has said of the image already, in an earlier part."""
    texts: list[PlannedText]


@dataclass(frozen=True, slots=True)
class RecaptionAnswer:
    """What a model said of an image and a text: recorded once, asked again after `ASKED_AGAIN`."""

    recaptioner: str
    """Identity: model, prompts, sampling, checks, version of the code."""
    image_key: str
    text_hash: str
    """Of the text; empty for the description of the image."""
    text: str
    origin: str
    """`describe`, `fuse`, `rewrite`; `alt` where the text is the one it was asked for."""
    prompt: str
    """`name@version#hash` of the template that the text answers; empty for an alt text."""
    model: str
    outcome: str
    """One of `OUTCOMES`, or the name of an error."""
    problems: list[str]
    """Why answers were refused, one after the other."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Recaption:
    """The synthetic text of a caption, part by part."""

    caption_id: str
    text: str
    origin: str
    prompt: str
    model: str
    outcome: str
    problems: list[str]
