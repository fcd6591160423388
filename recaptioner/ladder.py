"""What is asked of an image and its texts, one question after the other, until each has a caption.

A question that gets a bad answer is asked again with another seed, then with a stricter wish. What
still has no good answer falls back: a fused text to the description, a description to the alt text.
So every text ends with a caption, where it came from, and what became of it.

The ladder knows no engine: it says what to ask next and is told the replies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from recaptioner.checks.text import clean_output, tidy
from recaptioner.checks.unsafe import find_unsafe
from recaptioner.engines.base import Reply, Request, Sampling
from recaptioner.prompts import DESCRIBE, Template, prompt_id, render
from recaptioner.validators import UNSAFE, CheckConfig, Checked, check
from schemas.ids import digest
from schemas.recaption_rows import (
    ALT_ORIGIN,
    ENGINE_FAULT,
    FALLBACK_ALT,
    FALLBACK_DESCRIPTION,
    REFUSED,
    PlannedText,
    RecaptionAnswer,
)

STEP_VERSION = 1
ENGINE_ERROR = "engine_error"
"""Problem of a question that the engine did not answer."""
UNSAFE_ALT = "unsafe_alt"
"""Problem of a caption that is an alt text with an unsafe word."""
_RUNGS = ("ok", "resampled", "stricter")


@dataclass(frozen=True)
class Question:
    """A template under its name, and how its answers are sampled."""

    name: str
    template: Template
    sampling: Sampling

    @property
    def prompt(self) -> str:
        """What is recorded beside an answer."""
        return prompt_id(self.name, self.template)


@dataclass(frozen=True)
class LadderConfig:
    """What is asked, and when an answer is good."""

    recaptioner: str
    """Identity of the whole, as recorded."""
    describe: Question | None
    """Asked of each image; None where texts are rewritten only."""
    write: Question | None
    """Asked of each text: what fuses or rewrites. None: the description is the caption."""
    checks: CheckConfig
    resamples: int
    """Times that a question is asked again with another seed."""
    resample_temperature: float


@dataclass(frozen=True, slots=True)
class Item:
    """An image, and the texts for which captions are wanted."""

    image_key: str
    texts: tuple[PlannedText, ...]
    description: str | None = None
    """What has been said of it already."""


@dataclass(eq=False)
class Climb:
    """The way of one item up the ladder. `rows` are its answers once `is_done`."""

    config: LadderConfig
    item: Item
    image: Image.Image | None
    model: str
    """Name of the model, as recorded."""
    rows: list[RecaptionAnswer] = field(default_factory=list)
    _asked: dict[str, "_Asking"] = field(default_factory=dict)
    _described: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is asked any more."""
        return not self._asked

    def begin(self) -> list[Request]:
        """The first requests."""
        if self.config.describe is None:
            return list(self._ask_texts(""))
        if self.item.description is not None:
            return list(self._ask_texts(self.item.description))
        question = self.config.describe
        # The languages of its texts are those of pages: the description has the recipe's.
        nothing = PlannedText("", "", "")
        return [self._ask(_Asking(question, nothing, ""))]

    def answer(self, reply: Reply) -> list[Request]:
        """Take a reply; what to ask next because of it."""
        asking = self._asked.pop(reply.key)
        if reply.error and reply.may_change:
            self._unanswered(asking)
            return []
        text = clean_output(reply.text)
        asking.tokens[0] += reply.prompt_tokens
        asking.tokens[1] += reply.completion_tokens
        problems = self._problems(asking, text, reply)
        if not problems:
            return list(self._passed(asking, text))
        asking.problems += problems
        # What an engine cannot take at all it will not take a second time.
        if not reply.error and asking.rung < self._last_rung(asking):
            asking.rung += 1
            return [self._ask(asking)]
        return list(self._refused(asking))

    def fail(self, outcome: str) -> None:
        """There is no picture to show: every text keeps what it has."""
        self.image = None
        for text in self.item.texts:
            self._write(text, text.text, ALT_ORIGIN, "", outcome, [], (0, 0))

    def _unanswered(self, asking: "_Asking") -> None:
        """The engine is to blame: texts keep what they have, and the next run asks again."""
        is_description = asking.question is self.config.describe
        for text in self.item.texts if is_description else (asking.text,):
            problems = [*asking.problems, ENGINE_ERROR]
            self._write(text, text.text, ALT_ORIGIN, "", ENGINE_FAULT, problems, asking.tokens)
            asking.tokens = [0, 0]

    def _last_rung(self, asking: "_Asking") -> int:
        return self.config.resamples + bool(asking.question.template.stricter)

    def _problems(self, asking: "_Asking", text: str, reply: Reply) -> list[str]:
        if reply.error:
            return [ENGINE_ERROR]
        checked = Checked(
            text,
            asking.question.template.mode,
            reply.finish,
            asking.sent,
            asking.text.text,
            asking.text.language,
            asking.description,
        )
        return [problem.kind for problem in check(checked, self.config.checks)]

    def _ask(self, asking: "_Asking") -> Request:
        question, rung = asking.question, asking.rung
        template = question.template
        is_stricter = rung > self.config.resamples
        prompt = render(
            template, alt=asking.text.text, description=asking.description, is_stricter=is_stricter
        )
        key = f"{self.item.image_key}/{template.mode}/{asking.text.text_hash}/{rung}"
        sampling = question.sampling
        seed = int(digest("seed", str(sampling.seed), key)[:8], 16) >> 1
        warmer = sampling.temperature
        if rung and not is_stricter:
            warmer = max(warmer, self.config.resample_temperature)
        self._asked[key] = asking
        asking.sent = f"{prompt.system}\n{prompt.user}"
        return Request(
            key,
            prompt.system,
            prompt.user,
            self.image if template.sees_image else None,
            replace(sampling, seed=seed, temperature=warmer),
        )

    def _ask_texts(self, description: str) -> Iterator[Request]:
        """Ask about each text, now that there is a description or none is needed."""
        for text in self.item.texts:
            if self.config.write is None:
                prompt = self._prompt_of_description()
                self._write(
                    text, description, DESCRIBE, prompt, self._described or "ok", [], (0, 0)
                )
            elif not text.text.strip():
                # There is nothing to fuse or rewrite.
                self._fall_back(text, description, [], (0, 0))
            else:
                yield self._ask(_Asking(self.config.write, text, description))

    def _passed(self, asking: "_Asking", text: str) -> Iterator[Request]:
        how = _RUNGS[min(asking.rung, 1)] if asking.rung <= self.config.resamples else _RUNGS[2]
        mode, prompt = asking.question.template.mode, asking.question.prompt
        self._write(asking.text, text, mode, prompt, how, asking.problems, asking.tokens)
        if asking.question is self.config.describe:
            self._described = how
            yield from self._ask_texts(text)

    def _refused(self, asking: "_Asking") -> Iterator[Request]:
        if asking.question is not self.config.describe:
            self._fall_back(asking.text, asking.description, asking.problems, asking.tokens)
            return
        prompt = asking.question.prompt
        self._write(asking.text, "", DESCRIBE, prompt, REFUSED, asking.problems, asking.tokens)
        for text in self.item.texts:
            self._fall_back(text, "", asking.problems, (0, 0))
        yield from ()

    def _fall_back(
        self, text: PlannedText, description: str, problems: Sequence[str], tokens: Sequence[int]
    ) -> None:
        if description:
            prompt = self._prompt_of_description()
            outcome = FALLBACK_DESCRIPTION
            self._write(text, description, DESCRIBE, prompt, outcome, problems, tokens)
        else:
            problems = [*problems, *self._unsafe_alt(text)]
            self._write(text, text.text, ALT_ORIGIN, "", FALLBACK_ALT, problems, tokens)

    def _unsafe_alt(self, text: PlannedText) -> list[str]:
        """What a model may not say an alt text may: it is the page's. But it is told of."""
        checks = self.config.checks
        found = find_unsafe(tidy(text.text), text.language, checks.unsafe_words)
        return [UNSAFE_ALT] if found and UNSAFE not in checks.off else []

    def _prompt_of_description(self) -> str:
        assert self.config.describe is not None
        return self.config.describe.prompt

    def _write(
        self,
        of: PlannedText,
        text: str,
        origin: str,
        prompt: str,
        outcome: str,
        problems: Sequence[str],
        tokens: Sequence[int],
    ) -> None:
        self.rows.append(
            RecaptionAnswer(
                self.config.recaptioner, self.item.image_key, of.text_hash, text, origin, prompt,
                self.model, outcome, list(problems), tokens[0], tokens[1],
            )
        )  # fmt: skip


@dataclass(eq=False)
class _Asking:
    """A question on its way: how often it was asked, and why its answers were refused."""

    question: Question
    text: PlannedText
    """Empty in all where the question is about the image alone."""
    description: str
    rung: int = 0
    sent: str = ""
    """The prompt of its last request."""
    problems: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=lambda: [0, 0])
