"""Texts to token ids by the tokenizer of a decoder.

Texts come from strangers: one that spells a special token (`</s>`, `<image>`) is read as the
characters it consists of and never becomes the token.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.errors import RecipeError

TINY = "weft:tiny"
"""The small tokenizer that comes along."""


def tokenizer_folder(source: str) -> str:
    """What transformers is asked for: a folder for `weft:tiny`, else the source itself."""
    if source != TINY:
        return source
    package = importlib.util.find_spec("trainer")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "tokenizers" / "tiny")


class TextTokenizer:
    """A fast tokenizer without its special tokens, and the ids of those.

    It can be pickled; a process that gets one does not load transformers.

    Args:
        source: `weft:tiny`, a folder, or a name of the hub.

    Raises:
        RecipeError: There is no such tokenizer, it is no fast one, or it has no end token.
    """

    source: str
    bos: int | None
    """Opens a document; None where the tokenizer has none."""
    eos: int
    """Ends a document."""
    pad: int
    """Fills a packed sequence; that of `eos` where the tokenizer has none."""
    vocabulary: int
    """Ids are below this, those of added tokens too."""
    fingerprint: str
    """A hash of the tokenizer: what shapes ids."""

    def __init__(self, source: str) -> None:
        from transformers import AutoTokenizer

        try:
            loaded: Any = AutoTokenizer.from_pretrained(tokenizer_folder(source))
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = str(error).strip().partition("\n")[0]
            raise RecipeError(
                f"decoder.tokenizer: {source!r} is no tokenizer here: {first}; give a folder with "
                "tokenizer.json, or a name of the hub"
            ) from error
        backend = getattr(loaded, "backend_tokenizer", None)
        if backend is None:
            raise RecipeError(
                f"decoder.tokenizer: {source!r} is no fast tokenizer: it has no tokenizer.json"
            )
        if loaded.eos_token_id is None:
            raise RecipeError(
                f"decoder.tokenizer: {source!r} has no end token (eos_token), and a document must "
                "end with one"
            )
        self.source = source
        self.bos = loaded.bos_token_id
        self.eos = loaded.eos_token_id
        self.pad = self.eos if loaded.pad_token_id is None else loaded.pad_token_id
        self.vocabulary = 1 + max(len(loaded) - 1, *loaded.get_vocab().values())
        special = {*loaded.all_special_ids}
        special |= {
            number for number, token in backend.get_added_tokens_decoder().items() if token.special
        }
        # What stands for characters that the tokenizer does not know is what a text may become.
        if loaded.unk_token_id not in (self.bos, self.eos, self.pad):
            special.discard(loaded.unk_token_id)
        self._special = frozenset(special)
        self._json = backend.to_str()
        ids = f"{self.bos},{self.eos},{self.pad},{self.vocabulary},{sorted(special)};"
        self.fingerprint = hashlib.sha256((ids + self._json).encode("utf-8")).hexdigest()[:32]
        self._open()

    def _open(self) -> None:
        from tokenizers import Tokenizer

        self._backend = Tokenizer.from_str(self._json)
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def encode(self, text: str) -> list[int]:
        """Ids of a text; none of them is special."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, those of `encode`."""
        encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        found: list[list[int]] = [each.ids for each in encoded]
        return [
            ids if self._special.isdisjoint(ids) else self._spelled(text)
            for text, ids in zip(texts, found, strict=True)
        ]

    def _spelled(self, text: str) -> list[int]:
        """Ids of a text of which a part became a special token all the same.

        A unigram or word-level model holds its special tokens among its words. Such a part is
        encoded character by character; what is special even so is left out.
        """
        encoded = self._backend.encode(text, add_special_tokens=False)
        ids: list[int] = []
        for number, (start, stop) in zip(encoded.ids, encoded.offsets, strict=True):
            if number not in self._special:
                ids.append(number)
                continue
            for character in text[start:stop]:
                single = self._backend.encode(character, add_special_tokens=False).ids
                ids += [each for each in single if each not in self._special]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=True)
        return text
