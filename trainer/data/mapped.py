"""Arrays in files: written once under a temporary name, then mapped.

A process that gets the object that holds them maps them too.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.errors import OutputError

Array = npt.NDArray[Any]


class _MappedFile:
    """Stands for a mapped array in a pickle."""

    def __init__(self, path: str) -> None:
        self.path = path


class Mapped:
    """Base of frozen dataclasses with arrays of `map_array`: a pickle holds their paths, no data.

    The files must be there, under the same path, where the pickle is loaded.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: _MappedFile(str(value.filename)) if isinstance(value, np.memmap) else value
            for name, value in self.__dict__.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self.__dict__[name] = map_array(value.path) if isinstance(value, _MappedFile) else value


def map_array(path: str | Path) -> Array:
    """The array of a .npy file, read when it is touched."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def hash_arrays(*arrays: Array) -> str:
    """A hash of the types, shapes and values of arrays."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(f"{array.dtype.str}{array.shape};".encode())
        state.update(np.ascontiguousarray(array).view(np.uint8).data)
    return state.hexdigest()[:32]


@contextlib.contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that becomes `path` when the block ends well.

    Where another process was faster its folder stays: both hold the same, since the name of a
    folder is a hash of all that shapes its content.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=path.parent))
    except OSError as error:
        raise OutputError(
            f"{path.parent}: token counts and plans cannot be kept here: {error}; set data.cache "
            "to a folder that can be written"
        ) from error
    try:
        yield temporary
        os.chmod(temporary, 0o755)  # mkdtemp's is for its owner alone
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
