"""One pack against its own name, its images' keys and the rows that point into it.

The name of a pack is a hash of its headers, and the name of an image in it begins the hash of its
bytes (`transforms/packs.py`), so a pack tells by itself whether it is what it was.
"""

import hashlib
from typing import Any

from pipeline.inspection.verify_shards import Checked
from schemas.errors import InputError
from schemas.ids import image_key
from transforms import storage
from transforms.packs import packs_url
from transforms.shards import BLOCK, read_header

PackedImage = tuple[str, int, int]
"""Key, offset, size: what a row says of an image."""


def check_pack(output: str, name: str, told: set[PackedImage]) -> Checked:
    """Read a pack and compare it with its name and with the rows that point into it.

    Args:
        output: The output.
        name: Of the pack.
        told: What the tables say lies in it.
    """
    checked = Checked(f"packs/{name}")
    fs, path = storage.resolve(storage.join(packs_url(output), name))
    try:
        with fs.open(path, "rb") as file:
            checked.count("packs")
            found = _check_images(name, file, checked)
    except FileNotFoundError:
        checked.problem("the pack is missing")
        return checked
    except OSError as e:
        checked.problem(f"cannot be read: {e}")
        return checked
    for key, offset, size in sorted(told - found):
        checked.problem(
            "the tables say that an image lies where it does not", key, None, [offset, size]
        )
    return checked


def _check_images(name: str, file: Any, checked: Checked) -> set[PackedImage]:
    """The images that a pack holds, whatever their bytes."""
    headers = hashlib.sha256()
    found: set[PackedImage] = set()
    position = 0
    while True:
        where = f"byte {position}"
        block = file.read(BLOCK)
        if len(block) == BLOCK and not any(block):
            break
        try:
            if len(block) != BLOCK:
                raise InputError(f"{where}: the pack ends inside a block")
            key, _, size = read_header(block, where)
            data = file.read(size + -size % BLOCK)
            if len(data) != size + -size % BLOCK:
                raise InputError(f"{where}: the pack ends inside the image {key}")
        except InputError as e:
            checked.problem(f"is no whole pack: {e}")
            return found
        headers.update(block)
        is_ = image_key(hashlib.sha256(memoryview(data)[:size]).hexdigest())
        checked.compare("key of the bytes of an image", key, is_, key)
        checked.count("packed_images")
        checked.count("pack_bytes", BLOCK + len(data))
        found.add((key, position + BLOCK, size))
        position += BLOCK + len(data)
    checked.compare("name by its headers", None, f"{headers.hexdigest()[:32]}.tar", name)
    return found
