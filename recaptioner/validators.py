"""Validators: what is wrong with a caption that a model wrote.

Pure functions over text. Nothing here repairs, asks again or falls back: the ladder does, by what
is found. What each check means, its thresholds and their sources: `docs/recaption_checks.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from recaptioner.checks.echoes import find_copy, find_echo
from recaptioner.checks.endings import find_truncation
from recaptioner.checks.garbled import find_garbled
from recaptioner.checks.language import LANGUAGES, find_wrong_language, language_code
from recaptioner.checks.loops import find_loop
from recaptioner.checks.refusals import find_refusal
from recaptioner.checks.text import words
from recaptioner.checks.unsafe import find_unsafe
from recaptioner.invented_entities import find_invented
from recaptioner.kept_entities import Fate, compare_entities
from schemas.errors import RecipeError

STEP_VERSION = 2
"""Raised when a check finds something else: what was accepted is asked about anew."""

EMPTY = "empty"
REFUSAL = "refusal"
GARBLED = "garbled"
PROMPT_ECHO = "prompt_echo"
LOOP = "loop"
TRUNCATION = "truncation"
WRONG_LANGUAGE = "wrong_language"
COPIED_ALT = "copied_alt"
UNSAFE = "unsafe_words"
TOO_LONG = "too_long"
LOST_ENTITIES = "lost_entities"
CONTRADICTED_ENTITIES = "contradicted_entities"
INVENTED_ENTITIES = "invented_entities"

KINDS = (
    EMPTY,
    REFUSAL,
    GARBLED,
    PROMPT_ECHO,
    LOOP,
    TRUNCATION,
    WRONG_LANGUAGE,
    COPIED_ALT,
    UNSAFE,
    TOO_LONG,
    LOST_ENTITIES,
    CONTRADICTED_ENTITIES,
    INVENTED_ENTITIES,
)
"""Every kind of problem, in the order in which they are looked for and reported."""

MODES = ("describe", "fuse", "rewrite")
"""What a prompt asks for: a description of an image, one text of two, other words."""

MAX_CHARACTERS = 20_000
"""Characters of the longest text that is looked at; a longer caption is `too_long` whatever the
recipe says, of an alt text, a description or a prompt the rest is left out."""

_MAX_DETAIL = 120
_MAX_UNSAFE_WORDS = 1000


@dataclass(frozen=True)
class CheckConfig:
    """Which captions are refused: section `recaption.checks` of a recipe.

    Raises:
        RecipeError: A value is out of range; the message begins with the key.
    """

    off: tuple[str, ...] = ()
    """Kinds that are not looked for."""
    language: str = "en"
    """Language of captions, ISO 639-1; empty: each has that of its alt text."""
    echo_words: int = 6
    """Words of the prompt in a row that are an echo of it, 4 to 50."""
    max_repeated: float = 0.4
    """Share of runs of four words that may have stood before, 0 to 1; from 24 words on."""
    copy_overlap: float = 0.8
    """Share of words, of those in either, that a rewritten text may not have in common with its
    source, above 0.5 to 1."""
    max_words: int = 0
    """Words of the longest caption; 0: no bound. 50 of English mostly fit the 77 tokens of a CLIP.
    """
    unsafe_words: tuple[str, ...] = ()
    """Words and phrases that no caption may hold, beside the built-in ones."""
    entity_modes: tuple[str, ...] = ("fuse", "rewrite")
    """Modes whose captions must keep the names, numbers and dates of the alt text, and add none."""
    max_entities: int = 12
    """Names, and quantities, of an alt text that must be kept: the first ones, 1 to 1000."""

    def __post_init__(self) -> None:
        checks = {
            f"off must hold kinds of problems: {', '.join(KINDS)}": set(self.off) <= set(KINDS),
            "language must be a code of ISO 639-1 that is known here, or empty": (
                not self.language or self.language in LANGUAGES
            ),
            "echo_words must be 4 to 50": 4 <= self.echo_words <= 50,
            "max_repeated must be 0 to 1": 0 <= self.max_repeated <= 1,
            "copy_overlap must be above 0.5 and at most 1": 0.5 < self.copy_overlap <= 1,
            "max_words must not be negative": self.max_words >= 0,
            f"unsafe_words must be at most {_MAX_UNSAFE_WORDS}, each with a letter or a digit": (
                len(self.unsafe_words) <= _MAX_UNSAFE_WORDS and all(map(words, self.unsafe_words))
            ),
            f"entity_modes must be of {', '.join(MODES)}": set(self.entity_modes) <= set(MODES),
            "max_entities must be 1 to 1000": 1 <= self.max_entities <= 1000,
        }
        for message, holds in checks.items():
            if not holds:
                raise RecipeError(message)


@dataclass(frozen=True, slots=True)
class Checked:
    """A caption, and what it was made of."""

    text: str
    """As `clean_output` leaves it."""
    mode: str
    """One of `MODES`."""
    finish: str = "stop"
    """Why the engine stopped: `stop`, or `length` at its limit."""
    prompt: str = ""
    """System and user text as they were sent."""
    alt: str = ""
    alt_language: str = ""
    """ISO 639-1; empty: unknown."""
    description: str = ""
    """What `fuse` was given beside the alt text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a caption."""

    kind: str
    """One of `KINDS`."""
    detail: str
    """For a reader: what was found."""


def check(checked: Checked, config: CheckConfig) -> tuple[Problem, ...]:
    """What is wrong with a caption, in the order of `KINDS`; nothing: it is good.

    An empty text, a refusal, or more than `MAX_CHARACTERS` are no caption, so nothing else is said
    of them.
    """
    checked = replace(
        checked,
        prompt=checked.prompt[: 2 * MAX_CHARACTERS],
        alt=checked.alt[:MAX_CHARACTERS],
        description=checked.description[:MAX_CHARACTERS],
    )
    if len(checked.text) > MAX_CHARACTERS:
        return (Problem(TOO_LONG, f"{len(checked.text)} characters"),)
    problems = []
    for kind, find in _CHECKS.items():
        if kind not in config.off and (detail := find(checked, config)):
            problems.append(_problem(kind, detail))
            if kind in (EMPTY, REFUSAL):
                return tuple(problems)
    if checked.mode in config.entity_modes:
        fate = _fate(checked, config)
        for kind, gone in ((LOST_ENTITIES, fate.lost), (CONTRADICTED_ENTITIES, fate.contradicted)):
            if gone and kind not in config.off:
                problems.append(_problem(kind, "; ".join(gone)))
        # What contradicts is new as well, and the names of an echo are those of the prompt.
        is_told = {CONTRADICTED_ENTITIES, PROMPT_ECHO} & {one.kind for one in problems}
        is_wanted = INVENTED_ENTITIES not in config.off and not is_told
        if is_wanted and (invented := _invented(checked, config)):
            problems.append(_problem(INVENTED_ENTITIES, "; ".join(invented)))
    return tuple(problems)


def _problem(kind: str, detail: str) -> Problem:
    return Problem(kind, detail if len(detail) <= _MAX_DETAIL else f"{detail[: _MAX_DETAIL - 1]}…")


def _language(checked: Checked, config: CheckConfig) -> str:
    return config.language or language_code(checked.alt_language)


def _empty(checked: Checked, config: CheckConfig) -> str:
    return "" if any(map(str.isalnum, checked.text)) else "no letter and no digit"


def _refusal(checked: Checked, config: CheckConfig) -> str:
    return find_refusal(checked.text)


def _garbled(checked: Checked, config: CheckConfig) -> str:
    return find_garbled(checked.text, checked.mode, checked.alt, checked.description)


def _prompt_echo(checked: Checked, config: CheckConfig) -> str:
    return find_echo(
        checked.text, checked.prompt, checked.alt, checked.description, config.echo_words
    )


def _loop(checked: Checked, config: CheckConfig) -> str:
    return find_loop(checked.text, config.max_repeated)


def _truncation(checked: Checked, config: CheckConfig) -> str:
    return find_truncation(checked.text, checked.finish, _language(checked, config))


def _wrong_language(checked: Checked, config: CheckConfig) -> str:
    return find_wrong_language(checked.text, _language(checked, config))


def _copied_alt(checked: Checked, config: CheckConfig) -> str:
    return find_copy(
        checked.text,
        checked.mode,
        checked.prompt,
        checked.alt,
        checked.description,
        config.copy_overlap,
    )


def _unsafe(checked: Checked, config: CheckConfig) -> str:
    return find_unsafe(checked.text, _language(checked, config), config.unsafe_words)


def _too_long(checked: Checked, config: CheckConfig) -> str:
    count = len(words(checked.text))
    return f"{count} words" if 0 < config.max_words < count else ""


def _fate(checked: Checked, config: CheckConfig) -> Fate:
    return compare_entities(
        checked.text,
        checked.alt,
        checked.description,
        alt_language=language_code(checked.alt_language),
        language=config.language,
        max_entities=config.max_entities,
    )


def _invented(checked: Checked, config: CheckConfig) -> tuple[str, ...]:
    return find_invented(
        checked.text,
        checked.alt,
        checked.description,
        alt_language=language_code(checked.alt_language),
        language=config.language,
    )


_CHECKS: dict[str, Callable[[Checked, CheckConfig], str]] = {
    EMPTY: _empty,
    REFUSAL: _refusal,
    GARBLED: _garbled,
    PROMPT_ECHO: _prompt_echo,
    LOOP: _loop,
    TRUNCATION: _truncation,
    WRONG_LANGUAGE: _wrong_language,
    COPIED_ALT: _copied_alt,
    UNSAFE: _unsafe,
    TOO_LONG: _too_long,
}
