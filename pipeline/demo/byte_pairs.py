"""Small tokenizers: byte-level byte-pair encodings, to which no text is unknown, however odd."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("<pad>", "<s>", "</s>")
"""Tokens that no text holds, in the order of their ids."""
PAD, OPEN, END = 0, 1, 2
"""Their ids."""


def train_byte_pairs(
    texts: Iterable[str],
    vocabulary: int,
    special: Sequence[str],
    template: str,
    *,
    lowercase: bool,
    prefix_space: bool,
) -> "Tokenizer":
    """Learns the pairs from texts; the same texts in the same order give the same tokenizer.

    Args:
        texts: What the pairs are counted in.
        vocabulary: Ids, with the special tokens and the 256 bytes.
        special: Names of special tokens, which get the first ids.
        template: What is put around a text, as `<s> $A </s>`.
        lowercase: Whether case is lost.
        prefix_space: Whether a text gets a space in front, so that its first word is as any other.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    named = [(name, special.index(name)) for name in special if name in template.split()]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    return tokenizer
