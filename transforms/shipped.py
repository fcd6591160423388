"""Large values of a graph: kept in a file, so that the graph only names them.

A runner elsewhere is sent the graph as one message (Dataflow takes 10 MB), and the lists of a
hundred thousand parts are larger; the local runner makes many copies of it. Inside `ship_to` a
value above `LIMIT` bytes is pickled to a file, and what is sent is its name. Workers trust that
folder as they trust the graph itself.
"""

import contextlib
import hashlib
import pickle
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from transforms import storage

LIMIT = 65_536
"""Bytes of a pickled value that still travels in the graph."""

Value = TypeVar("Value")
_folder: ContextVar[str | None] = ContextVar("folder", default=None)


@contextlib.contextmanager
def ship_to(folder: str | None) -> Iterator[None]:
    """Ship the large values of graphs that are built and run in the block; None: ship nothing.

    The files are removed at the end of the block, when every graph has run.
    """
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)
        for name in storage.list_names(folder) if folder is not None else ():
            storage.remove(storage.join(str(folder), name))


class Shipped(Generic[Value]):
    """A value that is pickled to a file where it is large, and read when it is first asked for."""

    def __init__(self, value: Value) -> None:
        self._value: Value | None = value
        self._url: str | None = None

    @property
    def value(self) -> Value:
        """The value. Raises `FileNotFoundError` where its file is gone: its run has ended."""
        if self._url is not None:
            data = storage.read_bytes(self._url)
            if data is None:
                raise FileNotFoundError(f"{self._url}: a part of the graph is gone")
            if not self._url.endswith(f"{hashlib.sha256(data).hexdigest()}.pickle"):
                # Who may write there must not have workers run what the graph does not name.
                raise ValueError(f"{self._url}: is not what the graph names")
            self._value, self._url = pickle.loads(data), None
        return self._value  # type: ignore[return-value]

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is not None:
            return _named, (self._url,)
        folder = _folder.get()
        if folder is not None:
            data = pickle.dumps(self._value)
            if len(data) > LIMIT:
                # One content, one file: a graph is pickled more than once.
                name = f"{hashlib.sha256(data).hexdigest()}.pickle"
                if name not in storage.list_names(folder):
                    storage.write_bytes(storage.join(folder, name), data)
                return _named, (storage.join(folder, name),)
        return Shipped, (self._value,)


def _named(url: str) -> Shipped[Any]:
    found: Shipped[Any] = Shipped(None)
    found._url = url
    return found
