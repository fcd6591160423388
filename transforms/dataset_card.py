"""The card of `OUT/shards`: what Hugging Face `datasets` needs to open it, and what a person does.

The YAML header holds names and numbers of ours only. What a stranger or a user wrote stays in the
body, inside a fence that it cannot close.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.shards import SCHEMA_VERSION, STREAMS, Manifest, image_suffixes, parse_shard_name

_FIELDS = {
    "captioned": """\
One image with its captions.

- `{extension}`: the image.
- `txt`: the caption chosen for training.
- `json`: all captions of the image on its page, each with origin and scores; the page.
""",
    "interleaved": """\
One web page: texts and images in reading order.

- `json`: two lists of one length, `texts` and `images`; at each position exactly one of them is
  null. An image is named by its field. Beside them: where the page comes from.
- `00.{extension}`, `01.{extension}`, ...: the images in order, as many as the page has; `datasets`
  shows the others, up to the most in any sample, as `None`.
""",
    "text": """\
One web page without images.

- `txt`: its text.
- `json`: where it comes from, and its scores.
""",
}


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """The size of a split."""

    shards: int
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What the card says of a stream."""

    splits: Mapping[str, SplitSummary]
    extension: str
    """Extension of the images, without a dot."""
    images: int
    max_images: int
    """Most images in one sample: as many image fields does a sample have."""
    text_length: int
    """Characters of text in all samples."""


def summarise_stream(
    manifest: Manifest, extension: str, images: int, max_images: int, text_length: int
) -> StreamSummary:
    """The summary of a stream: sizes from its manifest, the rest as summed over its index."""
    splits: dict[str, SplitSummary] = {}
    for shard in manifest.shards:
        split, _ = parse_shard_name(shard.name)
        old = splits.get(split, SplitSummary(0, 0, 0))
        splits[split] = SplitSummary(
            old.shards + 1, old.samples + shard.samples, old.bytes + shard.bytes
        )
    ordered = {split: splits[split] for split in sorted(splits, key=_split_order)}
    return StreamSummary(ordered, extension, images, max_images, text_length)


def _split_order(split: str) -> tuple[bool, str]:
    return split != "train", split


def stream_features(stream: str, summary: StreamSummary) -> dict[str, str]:
    """The features of a stream as `datasets` names their types, its own two fields included."""
    features = {"json": "json"}
    if stream != "interleaved":
        features["txt"] = "string"
    images = summary.max_images if stream == "interleaved" else int(stream == "captioned")
    features |= dict.fromkeys(image_suffixes(stream, images, summary.extension), "image")
    return features | {"__key__": "string", "__url__": "string"}


def _header(streams: Mapping[str, StreamSummary]) -> list[str]:
    lines = ["---", "configs:"]
    for stream, summary in streams.items():
        lines += [f"- config_name: {stream}", "  data_files:"]
        for split in summary.splits:
            lines += [f"  - split: {split}", f'    path: "{stream}/{split}-*.tar"']
    lines.append("dataset_info:")
    for stream, summary in streams.items():
        lines += [f"- config_name: {stream}", "  features:"]
        for name, kind in stream_features(stream, summary).items():
            lines += [f'  - name: "{name}"', f"    dtype: {kind}"]
        lines.append("  splits:")
        for split, size in summary.splits.items():
            # `datasets` compares the samples that it reads with this number.
            lines += [f"  - name: {split}", f"    num_bytes: {size.bytes}"]
            lines.append(f"    num_examples: {size.samples}")
        lines.append(f"  dataset_size: {sum(size.bytes for size in summary.splits.values())}")
    lines += ["tags:", "- webdataset", "---", ""]
    return lines


def _fence(text: str, language: str) -> str:
    """A code block that its text cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _counts(streams: Mapping[str, StreamSummary]) -> list[str]:
    lines = [
        "| stream | split | shards | samples | bytes |",
        "|---|---|---:|---:|---:|",
    ]
    for stream, summary in streams.items():
        for split, size in summary.splits.items():
            lines.append(
                f"| {stream} | {split} | {size.shards:,} | {size.samples:,} | {size.bytes:,} |"
            )
    lines += [
        "",
        "| stream | images | most in a sample | characters of text |",
        "|---|---:|---:|---:|",
    ]
    for stream, summary in streams.items():
        lines.append(
            f"| {stream} | {summary.images:,} | {summary.max_images:,} | {summary.text_length:,} |"
        )
    return lines


def _loading(stream: str, summary: StreamSummary) -> str:
    """How to open the shards: a stream that is there, in the three ways there are."""
    split = next(iter(summary.splits))
    return f"""\
```python
# Hugging Face datasets, version 5 or later; `streaming=True` reads the tars in place.
from datasets import load_dataset
data = load_dataset("PATH/OF/THIS/FOLDER", "{stream}", split="{split}", streaming=True)

# webdataset: one dictionary a sample, suffix to bytes.
import glob, webdataset
shards = sorted(glob.glob("PATH/OF/THIS/FOLDER/{stream}/{split}-*.tar"))
data = webdataset.WebDataset(shards, shardshuffle=False)

# By index: any sample with one read.
import pyarrow.parquet
index = pyarrow.parquet.read_table("PATH/OF/THIS/FOLDER/{stream}/index.parquet")
row = index.slice(0, 1).to_pylist()[0]
with open(f"PATH/OF/THIS/FOLDER/{stream}/{{row['shard']}}", "rb") as shard:
    shard.seek(row["member_offsets"][0])
    member = shard.read(row["member_sizes"][0])
```"""


def dataset_card(
    streams: Mapping[str, StreamSummary], recipe_toml: str, recipe_fingerprint: str
) -> str:
    """The text of `OUT/shards/README.md`.

    Args:
        streams: A summary for each stream; one without samples is left out of the card.
        recipe_toml: The recipe as resolved.
        recipe_fingerprint: Its fingerprint, as in the manifests.

    Returns:
        Markdown with a YAML header that has a config and the features of each stream, so that
        `load_dataset(folder, stream)` needs no other argument.

    Raises:
        ValueError: A stream that is not one of ours.
    """
    if unknown := sorted(set(streams) - set(STREAMS)):
        raise ValueError(f"no stream is called {', '.join(unknown)}")
    full = {
        stream: streams[stream]
        for stream in STREAMS
        if stream in streams and any(size.samples for size in streams[stream].splits.values())
    }
    if not full:
        return "# No samples\n\nThe gates of the recipe left none. `report` shows which rule did.\n"
    first = next(iter(full))
    parts = [
        "# Image and text shards",
        "Tars in WebDataset form, made by Weft from a web crawl. Keys are hashes, unique over all\n"
        "shards; the members of a sample lie side by side; samples are sorted by key.",
        "\n".join(_counts(full)),
        "## Streams",
    ]
    for stream, summary in full.items():
        parts += [f"### {stream}", _FIELDS[stream].format(extension=summary.extension).rstrip()]
    parts += [
        "Each folder also holds `index.parquet` (a row a sample: shard, key, byte range, members,\n"
        "image sizes, text length) and `manifest.json` (a row a shard: samples, bytes, sha256).\n"
        "Images are upright; a JPEG is the file that was crawled, less its GPS tags, wherever a\n"
        "plain reader shows it rightly.",
        "## Loading",
        _loading(first, full[first]),
        "`energon prepare FOLDER/STREAM` takes each stream; the sample type of `interleaved` is\n"
        "`CrudeWebdataset`.",
        "## Recipe",
        f"Fingerprint `{recipe_fingerprint}`, shard schema version {SCHEMA_VERSION}.",
        _fence(recipe_toml, "toml"),
    ]
    return "\n".join(_header(full)) + "\n\n".join(parts) + "\n"
