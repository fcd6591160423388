"""Which tables of a run are about which streams."""

from collections.abc import Collection

from pipeline.inspection.streams import Json

GATE_TABLES = {
    "captioned": ("captions", "captioned_samples"),
    "interleaved": ("interleaved", "image_nodes", "paragraphs", "interleaved_samples"),
    "text": ("text", "text_samples"),
}
"""The tables of stage `shard` whose rows are what a stream is made of."""
_PICTURES = frozenset({"captioned", "interleaved"})
_CAPTIONED, _INTERLEAVED = frozenset({"captioned"}), frozenset({"interleaved"})
_TEXT = frozenset({"text"})
_OF = {
    **dict.fromkeys(
        ("captions", "decontaminated_captions", "captioned_samples", "sampling_pool", "sampled",
         "wanted_recaptions", "recaptions", "recaption_answers"),
        _CAPTIONED,
    ),
    **dict.fromkeys(
        ("image_nodes", "scored_paragraphs", "paragraphs", "interleaved", "interleaved_samples"),
        _INTERLEAVED,
    ),
    **dict.fromkeys(
        ("documents", "image_records", "image_refs", "images", "wanted_urls", "robots",
         "image_urls", "image_answers", "distinct_images", "image_clusters",
         "wanted_images_score", "wanted_texts", "answers", "scores"),
        _PICTURES,
    ),
    **dict.fromkeys(("texts", "text_paragraphs", "text", "text_samples"), _TEXT),
}  # fmt: skip
"""Table -> the streams that it is about; any other is about all."""


def concerns(table: str, streams: Collection[str]) -> bool:
    """Whether a table is about one of some streams."""
    about = _OF.get(table)
    return about is None or not about.isdisjoint(streams)


def stages_of(stages: Json, streams: Collection[str]) -> Json:
    """The stages of a run with those of their tables that are about some streams."""
    return {
        stage: {
            **facts,
            "tables": {
                table: counts
                for table, counts in facts["tables"].items()
                if concerns(table, streams)
            },
        }
        for stage, facts in stages.items()
    }
