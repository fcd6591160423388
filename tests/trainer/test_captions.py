"""Which documents of a batch are captioned, and what is asked of the model."""

import torch

from trainer.captions import caption_tasks
from trainer.data.batch import IGNORE, MicroBatch
from trainer.data.layout import IMAGE
from trainer.data.tokenizer import TextTokenizer

PLACES = 2
"""Of a picture."""
LENGTH = 40


def make_batch(rows: list[list[tuple[list[int], bool]]], sources: list[int]) -> MicroBatch:
    """Packs of documents: tokens with IMAGE, and whether the document is a filler."""
    shape = (len(rows), LENGTH)
    tokens = torch.zeros(shape, dtype=torch.int64)
    labels = torch.full(shape, IGNORE)
    positions = torch.zeros(shape, dtype=torch.int64)
    is_image = torch.zeros(shape, dtype=torch.bool)
    pictures = 0
    for row, documents in enumerate(rows):
        place = 0
        for document, filler in documents:
            for offset, token in enumerate(document):
                here = place + offset
                positions[row, here] = offset
                is_image[row, here] = token == IMAGE
                tokens[row, here] = 0 if token == IMAGE or filler else token
                follows = document[offset + 1] if offset + 1 < len(document) else IMAGE
                if follows != IMAGE and not filler:
                    labels[row, here] = follows
            pictures += document.count(IMAGE) // PLACES
            place += len(document)
        positions[row, place:] = torch.arange(LENGTH - place)
    shown = torch.arange(pictures, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    return MicroBatch(
        0, 0, tokens, labels, positions, is_image, shown, torch.arange(len(rows)),
        torch.tensor(sources), (tokens != 0).sum(dim=1),
    )  # fmt: skip


def test_tasks_are_the_whole_captioned_documents():
    tokenizer = TextTokenizer("weft:tiny")
    first, second = tokenizer.encode("a red circle"), tokenizer.encode("two stars")
    picture, end = [IMAGE] * PLACES, tokenizer.eos

    def document(text: list[int]) -> list[int]:
        return [tokenizer.bos, *picture, *text, end]

    batch = make_batch(
        [
            [(document(first), False), (document(first), True), (document(second), False)],
            # Cut off; without text before its end; of two pictures; without any.
            [
                (document(first)[:-1], False),
                ([tokenizer.bos, *picture, *picture, *first, end], False),
                ([tokenizer.bos, *first, end], False),
                (document(second), False),
            ],
            [(document(first), False)],
        ],
        [1, 1, 0],
    )
    tasks = list(caption_tasks(batch, frozenset({1}), PLACES, tokenizer))
    assert [task.reference for task in tasks] == ["a red circle", "two stars", "two stars"]
    assert all(task.prompt.tokens == [tokenizer.bos, *picture] for task in tasks)
    assert [int(task.prompt.pictures[0][0, 0, 0]) for task in tasks] == [0, 2, 6]
