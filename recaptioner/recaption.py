"""Recaption: show planned images and texts to a model, and record the captions that it writes.

A part holds slices of the plan. Images come out of packs in the order in which they lie there; the
engine holds as many requests as keep it busy, of whatever images: a question that is asked again
keeps no other waiting. What is finished goes to the journal at once and to the table at the end, in
the order of the plan.
"""

import atexit
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from recaptioner.engines.base import Engine, Request
from recaptioner.journal import Journal
from recaptioner.ladder import Climb, Item, LadderConfig
from schemas.errors import DataError, RecordedError, StageError
from schemas.recaption_rows import FALLBACKS, OUTCOMES, PlannedText, RecaptionAnswer
from schemas.rows import Locator
from transforms.picture_feed import feed_pictures
from transforms.score_plan import PlannedSlice, read_slice
from transforms.sink import Part, PartSink

STAGE = "recaption"
PROMPT_TOKENS, COMPLETION_TOKENS = "answers_prompt_tokens", "answers_completion_tokens"
MILLISECONDS = "answers_milliseconds"
"""Facts of a part: what its answers cost. The time is that from the engine's first request to its
last reply, its loading aside."""
FIRST_TEXTS = 200
"""Texts of a part after which it is given up where all of them fell back."""
COUNTED = "recaption_answers"
"""One for each text of each image, of whatever run."""


@dataclass(eq=False)
class Recaption:
    """Part function: the images of some slices of the plan (`PlannedSlice`, a part's spec)."""

    output: str
    handler: Any
    """The engine's `ModelHandler`."""
    ladder: LadderConfig
    max_side: int
    decoders: int
    max_fallback_fraction: float = 1.0
    """Of the run; below 1 a part whose first answers all fell back is given up."""

    def setup(self) -> None:
        """The engine is loaded by the first part: not every worker gets one."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Ask about the part."""
        slices: tuple[PlannedSlice, ...] = part.spec
        rows = [row for each in slices for row in read_slice(self.output, each)]
        journal = Journal(self.output, STAGE, part.key)
        answers = journal.read()
        open_rows = [row for row in rows if row["image_key"] not in answers]
        sink.commit.details["recaptioner"] = self.ladder.recaptioner
        engine = engine_of(self.handler) if open_rows else None
        begin = time.monotonic()
        fallen: Counter[bool] = Counter()
        try:
            for climb in self._climb(open_rows, engine):
                answers[climb.item.image_key] = climb.rows
                self._check_first(climb, fallen)
                journal.add(climb.item.image_key, climb.rows)
                sink.beat(len(climb.item.texts))
        except BaseException:
            # It is lost, or holds requests of a part that is given up.
            close_engines()
            raise
        finally:
            journal.flush()
        sink.fact(MILLISECONDS, round(1000 * (time.monotonic() - begin)))
        sink.fact("answers_resumed", len(rows) - len(open_rows))
        for row in rows:
            _record(answers[row["image_key"]], row, sink)
        sink.on_publish(journal.remove)

    def _check_first(self, climb: Climb, fallen: Counter[bool]) -> None:
        """Stop what a wrong prompt or template makes useless before it has cost the whole budget.

        Args:
            climb: An item that is finished.
            fallen: Texts of this part so far, by whether they fell back.
        """
        if self.max_fallback_fraction >= 1 or fallen.total() >= FIRST_TEXTS:
            return
        fallen.update(row.outcome in FALLBACKS for row in climb.rows if row.text_hash)
        if fallen.total() >= FIRST_TEXTS and not fallen[False]:
            last = ", ".join(dict.fromkeys(climb.rows[-1].problems)) or "no problem is told"
            raise StageError(
                f"stage {STAGE}: of the first {fallen.total()} captions of a part none is what the "
                f"model was asked for (the last was refused for: {last}); is it the right model "
                "with the right prompts? recaption.max_fallback_fraction = 1 goes on all the same"
            )

    def _climb(self, rows: list[dict[str, Any]], engine: Engine | None) -> Iterator[Climb]:
        """Items as they are finished."""
        if engine is None:
            return
        queue = _Queue(engine)
        # A picture waits until its last question is answered: what is decoded ahead comes on top.
        ahead = max(8, engine.capacity // 4)
        for row, made in feed_pictures(
            self.output, rows, _locate, self._show,
            side=self.max_side, threads=self.decoders, ahead=ahead,
        ):  # fmt: skip
            climb = Climb(self.ladder, _item(row), None, engine.model)
            if isinstance(made, DataError):
                climb.fail(made.error)
                yield climb
                continue
            climb.image = made
            yield from queue.add(climb)
        yield from queue.drain()

    def _show(self, row: Mapping[str, Any], picture: Image.Image) -> Image.Image:
        picture.thumbnail((self.max_side, self.max_side), Image.Resampling.BICUBIC, reducing_gap=3)
        return picture


class _Queue:
    """Items in flight: never more requests than keep the engine busy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._climbs: dict[str, Climb] = {}

    def add(self, climb: Climb) -> Iterator[Climb]:
        """Take an item up, when there is room; those that are finished meanwhile."""
        yield from self._submit(climb, climb.begin())
        while len(self._climbs) >= self._engine.capacity:
            yield from self._poll()

    def drain(self) -> Iterator[Climb]:
        """The rest."""
        while self._climbs:
            yield from self._poll()

    def _poll(self) -> Iterator[Climb]:
        for reply in self._engine.poll():
            climb = self._climbs.pop(reply.key)
            yield from self._submit(climb, climb.answer(reply))

    def _submit(self, climb: Climb, requests: list[Request]) -> Iterator[Climb]:
        for request in requests:
            self._climbs[request.key] = climb
            self._engine.submit(request)
        if climb.is_done:
            climb.image = None
            yield climb


_engines: dict[str, Engine] = {}
"""The engines of this process, by what they are made of: parts share them."""


def engine_of(handler: Any) -> Engine:
    """The engine of a handler, loaded once a process."""
    name = repr(handler)
    if name not in _engines:
        _engines[name] = handler.load_model()
    return _engines[name]


def close_engines() -> None:
    """End all engines of this process: when it ends, or one of them is lost."""
    while _engines:
        _, engine = _engines.popitem()
        engine.close()


# Threads of an engine must not run while the interpreter is taken down.
atexit.register(close_engines)


def _locate(row: Mapping[str, Any]) -> Locator:
    return Locator(row["pack"], row["offset"], row["size"])


def _item(row: Mapping[str, Any]) -> Item:
    texts = tuple(PlannedText(**text) for text in row["texts"])
    return Item(row["image_key"], texts, row["description"])


def _record(rows: list[RecaptionAnswer], planned: Mapping[str, Any], sink: PartSink) -> None:
    """Write and count the answers of an image: the description first, then its texts in order."""
    order = {"": -1} | {text["text_hash"]: at for at, text in enumerate(planned["texts"])}
    for row in sorted(rows, key=lambda row: order[row.text_hash]):
        sink.write_row(COUNTED, row)
        sink.fact(PROMPT_TOKENS, row.prompt_tokens)
        sink.fact(COMPLETION_TOKENS, row.completion_tokens)
        if not row.text_hash:
            continue
        sink.counts(COUNTED).seen += 1
        if row.outcome in OUTCOMES:
            sink.count(COUNTED, kept=1)
        else:
            error = RecordedError(row.outcome, "no model has answered")
            sink.fail(COUNTED, f"{row.image_key} {row.text_hash}", error)
