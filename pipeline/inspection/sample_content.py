"""What one sample holds, as values: texts and captions, nodes in order, images, provenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.inspection.streams import Json
from pipeline.inspection.tar_files import is_image
from schemas.errors import InputRowError
from transforms.image_headers import format_of, stored_size
from transforms.json_lines import decode_json

_TEXTS = ("txt", "caption", "text")
_IN_NODES = ("texts", "images", "image_info")
"""Members of the JSON that `nodes` tells."""


@dataclass(frozen=True)
class FoundSample:
    """A sample, and where it lies."""

    shard: str
    """The tar, relative to what was named."""
    key: str
    offset: int
    """Of its first header, in bytes of the (decompressed) tar."""
    members: Mapping[str, bytes]
    """Suffix -> bytes, of images and texts, in the tar's order."""
    sizes: Mapping[str, int]
    """The same of all members, with their sizes."""
    stream: str | None = None
    split: str | None = None
    """None in tars that are not Weft's."""

    @property
    def images(self) -> dict[str, bytes]:
        """The image members, in order."""
        return {
            suffix: data
            for suffix, data in self.members.items()
            if is_image(suffix) or format_of(data) is not None
        }


def sample_facts(sample: FoundSample) -> Json:
    """What a sample holds, as JSON has it.

    Returns:
        `stream`, `split` (null in tars that are not Weft's), `shard`, `key`, `offset`; `members`: a
        list of `suffix` and `bytes`; `text`: its text member, null without one; `captions`: the
        entries of its JSON (`origin`, `text`, `scores`, ...), each with `chosen`, whether it is the
        text of the sample; `nodes`: of an interleaved document, `kind` (`text` or `image`), and
        `text`, or `name` as the JSON has it, `member` and what the JSON tells of the image, null
        without such lists; `images`: `member`, `format`, `width`, `height` (as stored; null where
        the bytes do not tell) and `bytes`; `about`: the rest of the JSON; `problems`: what of it
        cannot be read.
    """
    problems: list[str] = []
    about = _about(sample, problems)
    text = _text(sample, problems)
    captions = about.pop("captions") if isinstance(about.get("captions"), list) else []
    nodes = _nodes(sample, about)
    return {
        "stream": sample.stream,
        "split": sample.split,
        "shard": sample.shard,
        "key": sample.key,
        "offset": sample.offset,
        "members": [{"suffix": name, "bytes": size} for name, size in sample.sizes.items()],
        "text": text,
        "captions": _captions(captions, text),
        "nodes": nodes,
        "images": [_image(suffix, data) for suffix, data in sample.images.items()],
        "about": about,
        "problems": problems,
    }


def _about(sample: FoundSample, problems: list[str]) -> Json:
    if "json" not in sample.members:
        return {}
    try:
        return decode_json(sample.members["json"], dict[str, Any])
    except InputRowError as e:
        problems.append(f"json: {e}")
        return {}


def _text(sample: FoundSample, problems: list[str]) -> str | None:
    suffix = next((name for name in _TEXTS if name in sample.members), None)
    if suffix is None:
        return None
    try:
        return sample.members[suffix].decode()
    except UnicodeDecodeError as e:
        problems.append(f"{suffix}: no UTF-8: {e.reason} at {e.start}")
        return sample.members[suffix].decode("utf-8", "replace")


def _captions(captions: list[Any], text: str | None) -> list[Json]:
    """Captions as the JSON has them; of several with the text of the sample the first is chosen."""
    found: list[Json] = []
    chosen = False
    for entry in captions:
        row = dict(entry) if isinstance(entry, dict) else {"text": entry}
        row["chosen"] = not chosen and text is not None and row.get("text") == text
        chosen = chosen or row["chosen"]
        found.append(row)
    return found


def _nodes(sample: FoundSample, about: Json) -> list[Json] | None:
    """Texts and images in order, and what the JSON tells of each image; taken out of `about`."""
    texts, images = about.get("texts"), about.get("images")
    if not isinstance(texts, list) or not isinstance(images, list) or len(texts) != len(images):
        return None
    infos = about.get("image_info")
    told = iter(infos if isinstance(infos, list) else [])
    members = {_stem(name): name for name in sample.images}
    nodes: list[Json] = []
    for text, name in zip(texts, images, strict=True):
        if text is not None:
            nodes.append({"kind": "text", "text": text})
        elif name is not None:
            info = next(told, None)
            member = name if name in sample.members else members.get(_stem(str(name)).lower())
            node = {"kind": "image", "name": name, "member": member}
            nodes.append((info if isinstance(info, dict) else {}) | node)
    for name in _IN_NODES:
        about.pop(name, None)
    return nodes


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _image(suffix: str, data: bytes) -> Json:
    width, height = stored_size(data) or (None, None)
    return {
        "member": suffix,
        "format": format_of(data),
        "width": width,
        "height": height,
        "bytes": len(data),
    }
