"""Samples of the captioned stream: an image of a page, its captions, and the one to train on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.recaption_rows import ALT_ORIGIN
from schemas.shards import sample_key
from transforms.caption_choice import ORIGINAL, chosen_rows, image_groups, mixed_origin
from transforms.json_columns import json_column, list_column
from transforms.pages import positions
from transforms.personal_data import Masker
from transforms.sample_rows import (
    IMAGE_FACTS,
    PLACE,
    Counts,
    SampleConfig,
    bounds_of,
    samples_table,
    scores_of,
    splits_of,
    text_bytes,
)
from transforms.scored_rows import ScoreColumns

_PAGE_FACTS = ("doc_id", "page_url", "page_title", "site", "language", "date")
_COLUMNS = (
    "caption_id", "node", "origin", "text", "component", "earlier_split", *_PAGE_FACTS,
    *IMAGE_FACTS, *PLACE,
)  # fmt: skip
_WRITTEN = ("caption_id", "origin", "prompt", "model", "outcome", "problems")
"""What a sample tells of a synthetic caption, beside its text."""


class Captioned(NamedTuple):
    """Some samples."""

    samples: pa.Table
    """Rows of table `samples`."""
    chosen: pa.Table
    """The caption of the page that each would be trained on: a row of the captions."""
    origins: list[str]
    """What each is trained on."""


def captioned_samples(
    captions: pa.Table,
    written: pa.Table,
    config: SampleConfig,
    masker: Masker,
    scored: ScoreColumns,
    weight: str | None = None,
) -> Iterator[Captioned]:
    """Samples, each with the captions of its page and what models wrote for them.

    Args:
        captions: What the gate kept.
        written: Rows of table `recaptions`, one a caption at most.
        config: How samples are laid out.
        masker: Takes personal data from their texts.
        scored: Columns with the scores of captions and their images.
        weight: A column of the captions that those chosen keep.
    """
    order = [("doc_id", "ascending"), ("node", "ascending"), ("caption_id", "ascending")]
    more = [] if weight is None else [weight]
    names = dict.fromkeys((*_COLUMNS, *scored.image, *scored.pair, *more))
    captions = captions.sort_by(order).select(list(names))
    groups = image_groups(captions)
    rows = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[rows], np.arange(groups.max(initial=-1) + 2))
    sizes = text_bytes(captions, ("text", "image_url", "page_title"), groups, len(starts) - 1)
    for first, end in bounds_of(sizes):
        mine = rows[starts[first] : starts[end]]
        table = captions.take(pa.array(mine))
        yield _samples(table, groups[mine] - first, written, config, masker, scored)


def _samples(
    captions: pa.Table,
    groups: Counts,
    written: pa.Table,
    config: SampleConfig,
    masker: Masker,
    scored: ScoreColumns,
) -> Captioned:
    """Some samples, from their captions and the number of each caption's sample."""
    text_at = captions.schema.get_field_index("text")
    captions = captions.set_column(text_at, "text", masker.mask_column(captions["text"]))
    first_of = np.flatnonzero(np.diff(groups, prepend=-1))
    firsts = captions.take(pa.array(first_of))
    ids = zip(firsts["image_key"].to_pylist(), firsts["doc_id"].to_pylist(), strict=True)
    keys = [sample_key("captioned", image, page) for image, page in ids]
    chosen = captions.take(pa.array(chosen_rows(captions, config.prefer)[first_of]))
    synthetic, owners = _synthetic(captions, groups, written, masker)
    origins, texts = _trained(config, keys, chosen["text"].to_pylist(), synthetic, owners)
    facts = {
        "key": pa.array(keys, pa.string()),
        **{name: firsts[name] for name in (*_PAGE_FACTS, *IMAGE_FACTS)},
        "page_title": masker.mask_column(firsts["page_title"]),
        **scores_of(firsts, scored.image),
    }
    of_page = json_column(
        {name: captions[name] for name in ("caption_id", "origin", "text")}
        | scores_of(captions, scored.pair)
    )
    of_models = json_column({name: synthetic[name] for name in (*_WRITTEN, "text")})
    told = pa.concat_arrays([of_page, of_models])
    told_of = np.concatenate([groups, owners])
    told = told.take(pa.array(np.argsort(told_of, kind="stable")))
    listed = pc.binary_join(list_column(told, np.bincount(told_of, minlength=len(keys))), ",")
    # Captions of pages and of models have other members, so they are written apart. `captions` is
    # the first key of all.
    rest = pc.utf8_slice_codeunits(json_column(facts), 1)
    layouts = pc.binary_join_element_wise('{"captions":[', listed, "],", rest, "")
    text_column = pa.array(texts, pa.string())
    samples = samples_table(
        "captioned", keys, splits_of(firsts, config.validation), text_column, layouts,
        pc.utf8_length(text_column), (firsts, np.ones(len(keys), np.int64)),
    )  # fmt: skip
    return Captioned(samples, chosen, origins)


def _synthetic(
    captions: pa.Table, groups: Counts, written: pa.Table, masker: Masker
) -> tuple[pa.Table, Counts]:
    """What models wrote for captions, in their order, and the number of each one's sample.

    Where nothing they wrote was good the entry has the text of the page, and says why.
    """
    at = positions(written["caption_id"], captions["caption_id"])
    found = written.select([*_WRITTEN, "text"]).take(pa.array(at[at >= 0]))
    text_at = found.schema.get_field_index("text")
    masked = masker.mask_column(found["text"])
    return found.set_column(text_at, "text", masked), groups[at >= 0]


def _trained(
    config: SampleConfig,
    keys: list[str],
    originals: list[str],
    synthetic: pa.Table,
    owners: Counts,
) -> tuple[list[str], list[str]]:
    """Origin and text that each sample is trained on.

    What fell back to the page's text is no choice.
    """
    by_origin: dict[int, dict[str, str]] = {}
    said = zip(
        owners.tolist(), synthetic["origin"].to_pylist(), synthetic["text"].to_pylist(), strict=True
    )
    for number, origin, text in said:
        if origin != ALT_ORIGIN:
            by_origin.setdefault(number, {})[origin] = text
    origins, texts = [ORIGINAL] * len(keys), list(originals)
    for number, choices in by_origin.items():
        origins[number] = mixed_origin(keys[number], config.mix, (ORIGINAL, *choices))
        texts[number] = choices.get(origins[number], originals[number])
    return origins, texts
