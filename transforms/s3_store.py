"""S3 as fsspec's s3fs has it, set up for what a run does to a store.

What is added: connections enough for many ranges at once, no cached listings (workers write what
the driver lists), blocks of a size that fits tables and crawl files, more tries than s3fs makes of
a store that is ill, and errors that name the object and the cause and are errors of files.

Tried against a server with faults: botocore repeats what ends in 500, 502, 503, 504 or in a broken
connection, s3fs repeats a body that was cut and what is told to slow down. So tries are botocore's
to count; all requests of a run may be repeated, for an object is written whole under a name of its
own, and what is deleted may be gone. One thing may not: to complete an upload whose answer was lost
finds no such upload on some stores, so there the object is looked at.
"""

import errno
import os
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from schemas.errors import StoreError
from transforms import storage

CONNECTIONS = 128
"""To one store, of one process: as many ranges as fsspec asks for at once."""
TRIES = 7
"""Of one request, half a second apart, then twice as long each time: half a minute in the mean."""
BLOCK_BYTES = 8 * 1024 * 1024
"""Read at once, and the part of an upload; a store takes 10,000 parts, which is 80 GB."""

_ILL = frozenset({errno.EIO, errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT})
_BEHIND = frozenset({"InvalidRange", "416"})
"""What a store says of a range that begins behind the end."""
_stores: dict[tuple[Any, ...], "S3Store"] = {}


def open_store() -> "S3Store":
    """The store of this process, for all threads: a client and its connections cost much to make.

    Another one when the variables that a client reads have changed.
    """
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    key = (os.getpid(), settings)
    if key not in _stores:
        _stores[key] = S3Store(skip_instance_cache=True)
    return _stores[key]


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def _told(error: Exception, what: str) -> Exception:
    """An error of the store as one that names the object; others as they are."""
    if isinstance(error, StoreError):
        return error
    ill = getattr(error, "errno", None) in _ILL or isinstance(error, TimeoutError | ConnectionError)
    if isinstance(error, OSError) and not ill:
        # Not there, not allowed, no such range: what callers know by its type.
        if isinstance(error, PermissionError) and what not in str(error):
            return PermissionError(f"{what}: {error}")
        return error
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return PermissionError(f"{what}: {error}")
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(f"{what}: the store failed in every try: {type(error).__name__}: {text}")


class S3Store(S3FileSystem):
    """An S3 file system; options of fsspec's configuration (`FSSPEC_S3`) are obeyed."""

    def __init__(
        self,
        *,
        config_kwargs: dict[str, Any] | None = None,
        default_block_size: int | None = None,
        **options: Any,
    ) -> None:
        config = {"max_pool_connections": CONNECTIONS, **(config_kwargs or {})}
        if not {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & set(os.environ):
            config.setdefault("retries", {"total_max_attempts": TRIES})
        options["use_listings_cache"] = False
        super().__init__(
            config_kwargs=config,
            default_block_size=int(default_block_size or BLOCK_BYTES),
            **options,
        )

    async def _call_s3(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return await super()._call_s3(method, *arguments, **named)
        except Exception as error:
            what = f"s3://{named.get('Bucket', '')}/{named.get('Key', named.get('Prefix', ''))}"
            told = _told(error, what)
            if told is error:
                raise
            raise told from error

    call_s3 = sync_wrapper(_call_s3)

    async def _cat_file(
        self, path: str, version_id: Any = None, start: Any = None, end: Any = None, **options: Any
    ) -> bytes:
        # `max_concurrency` 1: else it asks for the size first, and repeats no piece that was cut.
        options["max_concurrency"] = 1
        try:
            found: bytes = await super()._cat_file(path, version_id, start, end, **options)
        except Exception as error:
            if isinstance(cause := error.__cause__, ClientError) and _code(cause) in _BEHIND:
                return b""  # as a disk has it
            told = _told(error, f"s3://{path}")
            if told is error:
                raise
            raise told from error
        return found

    async def _isfile(self, path: str) -> bool:
        # fsspec's own takes an error for a no.
        try:
            return bool((await self._info(path))["type"] == "file")
        except FileNotFoundError:
            return False

    async def _isdir(self, path: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == "directory")
        except FileNotFoundError:
            return False

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if mode == "rb":
            fetch = file.cache.fetcher

            def fetched(start: int, end: int) -> Any:
                try:
                    return fetch(start, end)
                except Exception as error:
                    told = _told(error, f"s3://{path}")
                    if told is error:
                        raise
                    raise told from error

            file.cache.fetcher = fetched
        return file

    def complete(self, file: Any) -> None:
        """Publish what was written to a file that was opened with `autocommit=False`."""
        parts, size = len(file.parts or ()), file.tell()
        try:
            file.commit()
        except FileNotFoundError:
            # The upload is gone: either a try that nobody heard of has completed it, or someone has
            # aborted it. The entity tag of an object of parts ends in their number.
            try:
                found = self.info(file.path)
            except FileNotFoundError:
                found = {}
            tag = str(found.get("ETag", "")).strip('"')
            if found.get("size") != size or not tag.endswith(f"-{parts}"):
                raise

    def check_folder(self, path: str) -> None:
        """Raise an `OSError` where there is no such bucket, or it may not be listed."""
        bucket, key, _ = self.split_path(path)
        self.call_s3("list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1)

    def dangling(self, path: str) -> Iterator[storage.Found]:
        """Uploads below a folder that were begun and not ended, with the bytes of their parts."""
        bucket, key, _ = self.split_path(path.rstrip("/") + "/")
        at: dict[str, str] = {}
        while True:
            page = self.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key, **at)
            for upload in page.get("Uploads", ()):
                if upload["Key"].startswith(key):  # some stores list a bucket's all
                    size = self._uploaded(bucket, upload["Key"], upload["UploadId"])
                    name = upload["Key"].removeprefix(key)
                    begun = upload["Initiated"].timestamp()
                    yield storage.Found(name, size, begun, upload["UploadId"])
            if not page.get("IsTruncated"):
                return
            at = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page.get("NextUploadIdMarker", ""),
            }

    def _uploaded(self, bucket: str, key: str, upload: str) -> int:
        size, marker = 0, 0
        while True:
            page = self.call_s3(
                "list_parts", Bucket=bucket, Key=key, UploadId=upload, PartNumberMarker=marker
            )
            size += sum(int(part["Size"]) for part in page.get("Parts", ()))
            if not page.get("IsTruncated"):
                return size
            marker = int(page["NextPartNumberMarker"])

    def abort(self, path: str, upload: str) -> None:
        """Drop an upload and its parts; it may be gone already."""
        bucket, key, _ = self.split_path(path)
        try:
            self.abort_mpu(bucket, key, upload)
        except FileNotFoundError:
            return
