"""Where a round's output lies: a folder, a small disk, a store that can fail."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.run_record import STAGES
from tests import store_server
from tests.run_processes import published
from tests.store_server import BUCKET, FaultyStore, client

UNCOUNTED = frozenset({"logs", "tmp"})
"""Folders below an output that hold nothing a run publishes."""
BLOCK = 4096
"""Bytes that a tmpfs takes for a file at least."""


class SkippedError(Exception):
    """A round that this machine cannot do, and why."""


def current_stage(record: bytes | None) -> str:
    """The stage that a run is in, by its `run.json`: the first that is not done."""
    stages: dict[str, Any] = json.loads(record)["stages"] if record else {}
    for stage in STAGES:
        if stages.get(stage, {}).get("status") != "done":
            return stage
    return "end"


class FolderPlace:
    """An output on a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)
        self.environment: Mapping[str, str] = {}

    def files(self) -> int:
        """Files that were written, without those on their way."""
        count = 0
        for folder, folders, names in os.walk(self.path):
            if Path(folder) == self.path:
                folders[:] = [name for name in folders if name not in UNCOUNTED]
            count += sum(not name.startswith(".") for name in names)
        return count

    def stage(self) -> str:
        """The stage that the run is in."""
        path = self.path / "run.json"
        return current_stage(path.read_bytes() if path.exists() else None)

    def published(self) -> dict[str, bytes]:
        """What the run published, by name."""
        return published(self.path)

    def commit_records(self) -> list[Path]:
        """The commit records, in an order that does not depend on the disk."""
        return sorted((self.path / "commits").rglob("*.json"))


class SmallDisk(FolderPlace):
    """An output on a tmpfs of its own, which has little room at first."""

    def __init__(self, mount: Path, size: int) -> None:
        super().__init__(mount / "out")
        self._mount = mount
        self._size = size
        """Bytes that it needs."""
        self.room = 0
        """Bytes that it has."""

    def give(self, share: float) -> None:
        """Make the room a share of what is needed."""
        self.room = max(16, int(self._size * share) // BLOCK) * BLOCK
        _mount("-o", f"remount,size={self.room}", str(self._mount))


@contextmanager
def small_disk(mount: Path, size: int, share: float) -> Iterator[SmallDisk]:
    """A tmpfs for as long as the block. Raises `SkippedError`."""
    mount.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=65536", "weft-chaos", str(mount))
    except (OSError, subprocess.CalledProcessError) as e:
        raise SkippedError("mounting a tmpfs takes the rights of root") from e
    try:
        place = SmallDisk(mount, size)
        place.give(share)
        yield place
    finally:
        subprocess.run(["umount", str(mount)], check=True, capture_output=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def bytes_on_disk(folder: Path) -> int:
    """Bytes of the blocks that the files and folders below a folder take."""
    paths = list(folder.rglob("*"))
    return sum(
        (path.stat().st_size + BLOCK - 1) // BLOCK * BLOCK if path.is_file() else BLOCK
        for path in paths
    )


class StorePlace:
    """An output under a prefix of the store's bucket, through the proxy that fails."""

    def __init__(self, store: FaultyStore, prefix: str, tries: int) -> None:
        self.store = store
        self._prefix = prefix
        self.url = f"s3://{BUCKET}/{prefix}"
        self.environment = {**store.environment, "AWS_MAX_ATTEMPTS": str(tries)}

    def files(self) -> int:
        """Objects that were written; without `run.json`, which is replaced many times."""
        return sum(
            each.kind in ("PUT", "COMPLETE") and not each.fault
            and f"/{self._prefix}/" in each.key and not each.key.endswith("/run.json")
            for each in list(self.store.requests)
        )  # fmt: skip

    def stage(self) -> str:
        """The stage that the run is in."""
        s3 = client(self.store.server)
        try:
            answer = s3.get_object(Bucket=BUCKET, Key=f"{self._prefix}/run.json")
        except s3.exceptions.NoSuchKey:
            return current_stage(None)
        return current_stage(answer["Body"].read())

    def published(self) -> dict[str, bytes]:
        """What the run published, by name."""
        return store_server.objects(self.store.server, f"{self._prefix}/shards")

    def remove(self) -> None:
        """Delete all objects: the server keeps them in memory."""
        s3 = client(self.store.server)
        for key in store_server.objects(self.store.server, self._prefix):
            s3.delete_object(Bucket=BUCKET, Key=f"{self._prefix}/{key}")


Place = FolderPlace | StorePlace


@contextmanager
def folder_place(path: Path) -> Iterator[FolderPlace]:
    """A folder that is removed after the block."""
    try:
        yield FolderPlace(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def store_place(store: FaultyStore, prefix: str, tries: int) -> Iterator[StorePlace]:
    """A prefix that is empty before and after the block; a request is tried so many times."""
    store.forget()
    store.faults = None
    store.down = False
    place = StorePlace(store, prefix, tries)
    try:
        yield place
    finally:
        store.faults = None
        store.down = False
        place.remove()
