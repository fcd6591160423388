"""The images of samples as files. No name comes from a tar, and no other file is overwritten."""

import os
import re

from pipeline.inspection.sample_content import FoundSample
from schemas.errors import OutputError
from schemas.ids import digest
from transforms.image_headers import format_of

_EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}
_SAFE_KEY = re.compile(r"[0-9a-f]{8,64}|[0-9]{1,32}")


def image_files(sample: FoundSample) -> dict[str, str]:
    """Member -> name of the file that its bytes go to, of the images whose format is known.

    `KEY.00.jpg`, `KEY.01.jpg`, ...: the number counts the images of the sample, the ending is that
    of the format. A key that is no run of digits is replaced by its hash.
    """
    stem = sample.key
    if not _SAFE_KEY.fullmatch(stem):
        stem = digest("sample", sample.shard, sample.key)
    names = {}
    for number, (suffix, data) in enumerate(sample.images.items()):
        name = format_of(data)
        if name is not None:
            names[suffix] = f"{stem}.{number:02d}.{_EXTENSIONS.get(name, name)}"
    return names


def write_images(sample: FoundSample, folder: str) -> dict[str, str]:
    """Write the images of a sample.

    Args:
        sample: The sample.
        folder: A folder of this machine; it is made where it is missing.

    Returns:
        Member -> path of its file. A file that holds the very bytes already is left as it is.

    Raises:
        OutputError: A file of that name holds something else, or cannot be written.
    """
    if "://" in folder:
        raise OutputError(f"--images {folder}: images are written to a folder of this machine")
    paths = {}
    try:
        os.makedirs(folder, exist_ok=True)
        for suffix, name in image_files(sample).items():
            path = os.path.join(folder, name)
            _write(path, sample.members[suffix])
            paths[suffix] = path
    except OSError as e:
        raise OutputError(f"--images {folder}: cannot be written: {e}") from e
    return paths


def _write(path: str, data: bytes) -> None:
    try:
        with open(path, "xb") as file:
            try:
                file.write(data)
                file.flush()
            except BaseException:
                os.unlink(path)
                raise
    except FileExistsError:
        with open(path, "rb") as there:
            if there.read(len(data) + 1) == data:
                return
        raise OutputError(
            f"{path}: is there already, and is another file; name another folder with --images"
        ) from None
