"""How well a model captions the pictures of a held-out split: CIDEr-D of greedy captions."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from schemas.errors import InputError
from trainer.cider import TOKENIZER, cider_d
from trainer.data.batch import IGNORE, MicroBatch
from trainer.data.layout import IMAGE
from trainer.data.tokenizer import TextTokenizer
from trainer.evaluate import batches_of, held_out
from trainer.generate import Prompt, Sampling, generate
from trainer.loop.restore import Trained

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class CaptionTask:
    """A picture to be captioned, and what its page says of it."""

    prompt: Prompt
    reference: str


def caption_tasks(
    batch: MicroBatch, sources: frozenset[int], image_tokens: int, tokenizer: TextTokenizer
) -> Iterator[CaptionTask]:
    """The documents of a batch that are a picture and its caption, whole.

    Args:
        batch: On the CPU.
        sources: Numbers of the sources of stream `captioned`.
        image_tokens: Places of a picture.
        tokenizer: That of the batch.
    """
    picture = 0
    for row, source in enumerate(batch.sources.tolist()):
        places = batch.is_image[row]
        starts = torch.nonzero(batch.positions[row] == 0).flatten().tolist()
        for start, stop in zip(starts, [*starts[1:], len(places)], strict=True):
            seen = int(places[start:stop].sum()) // image_tokens
            mine = batch.pictures[picture : picture + seen]
            picture += seen
            # Fillers and padding have no label; a piece that a long caption is cut to, no end.
            labelled = torch.nonzero(batch.labels[row, start:stop] != IGNORE).flatten().tolist()
            if source not in sources or seen != 1 or not labelled:
                continue
            text = batch.labels[row, start:stop][labelled].tolist()
            if text.pop() != tokenizer.eos:
                continue
            opening = batch.tokens[row, start:stop].masked_fill(places[start:stop], IMAGE)
            prompt = Prompt(opening[: labelled[0] + 1].tolist(), [mine[0]])
            yield CaptionTask(prompt, tokenizer.decode(text))


def evaluate_captions(trained: Trained, data: str, split: str, count: int) -> dict[str, Any]:
    """Caption the first pictures of a split and score the captions.

    A sample has one caption, so there is one reference a picture; the score holds for this set of
    pictures only, since the idf comes from its references.

    Args:
        trained: The model.
        data: Folder or URL of the shards.
        split: Of the shards.
        count: Pictures at most, in the order of the plan.

    Raises:
        InputError: The split has no captioned pictures.
    """
    corpus = held_out(trained, data, split)
    captioned = frozenset(
        number for number, source in enumerate(corpus.sources) if source.stream == "captioned"
    )
    found = (
        task
        for batch in batches_of(trained, corpus)
        for task in caption_tasks(batch, captioned, corpus.image_tokens, trained.tokenizer)
    )
    tasks = list(islice(found, count))
    if not tasks:
        raise InputError(f"{data}: split {split!r} has no captioned picture to be judged")
    answers = generate(
        trained.model, trained.tokenizer, [task.prompt for task in tasks], Sampling()
    )
    written = [trained.tokenizer.decode(answer) for answer in answers]
    score = cider_d(written, [[task.reference] for task in tasks])
    shown = zip(tasks, written, score.scores, strict=True)
    return {
        "captions": {
            "cider_d": score.mean,
            "pictures": len(tasks),
            "references_a_picture": 1,
            "words": TOKENIZER,
            "examples": [
                {"reference": task.reference, "written": text, "cider_d": value}
                for task, text, value in islice(shown, EXAMPLES)
            ],
        }
    }
