"""The synthetic captions of a sample: beside those of its page, and perhaps in their place."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.recaption_rows import ALT_ORIGIN
from transforms.caption_choice import ORIGINAL, mixed_origin
from transforms.pages import some
from transforms.personal_data import Masker
from transforms.table_files import read_table

Recaptions = Mapping[str, Mapping[str, Any]]
"""`caption_id` -> the row of table `recaptions`."""


def read_recaptions(output: str, path: str | None) -> Recaptions:
    """The recaptions of a part."""
    rows = read_table(output, some(path))
    return {} if rows is None else {row["caption_id"]: row for row in rows.to_pylist()}


def synthetic_captions(
    captions: Sequence[Mapping[str, Any]], written: Recaptions, masker: Masker
) -> list[dict[str, Any]]:
    """What models wrote for captions of a page, in their order, as the JSON of a sample has it.

    Where nothing they wrote was good the entry has the text of the page, and says why.
    """
    found = []
    for caption in captions:
        row = written.get(caption["caption_id"])
        if row is None:
            continue
        names = ("caption_id", "origin", "prompt", "model", "outcome", "problems")
        found.append({**{name: row[name] for name in names}, "text": masker.mask(row["text"])})
    return found


def trained_text(
    key: str, mix: Mapping[str, float], original: str, synthetic: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    """Origin and text that a sample is trained on.

    Args:
        key: Of the sample.
        mix: Origin -> share; empty: the original.
        original: The best caption of the page.
        synthetic: As of `synthetic_captions`; what fell back to the page's text is no choice.
    """
    texts = {row["origin"]: str(row["text"]) for row in synthetic if row["origin"] != ALT_ORIGIN}
    origin = mixed_origin(key, mix, (ORIGINAL, *texts))
    return origin, texts.get(origin, original)
