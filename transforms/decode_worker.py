"""The process that decodes strangers' images: a bug in a decoder ends it, and nothing else.

It is started by `decode_pool.py`, imports the decoders and little more, and answers batches of
images over a socket. It ends when its parent does: by the end of the socket, by a thread that looks
whether the parent is there, and by an alarm of the kernel where a decoder keeps that thread from
running.

Frames, numbers in network order. A request: how many images (2 bytes), then for each its length (4
bytes), 1 for a thumbnail else 0 (1 byte), the image. An answer: length (4 bytes), an `Answer` for
each image as one list in MessagePack. Before the first request the process sends an answer of
length 0: it is ready.
"""

import os
import resource
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from schemas.errors import ImageError
from transforms.image_facts import ImageFacts, ImageFactsConfig, read_picture
from transforms.thumbnails import Thumbnail, make_thumbnail

BATCH = struct.Struct("!H")
IMAGE = struct.Struct("!IB")
LENGTH = struct.Struct("!I")

OUT_OF_MEMORY = 3
"""Exit status of a worker that reached its memory limit."""

_BYTES_PER_PIXEL = 24
"""Measured with alpha channels: WebP takes 17, AVIF of 8 bits 14, progressive JPEG and TIFF 8."""
_OTHER_BYTES = 512 * 1024 * 1024
"""The interpreter with its libraries, the image as received, stacks of a decoder's threads."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a worker finds out about an image."""

    facts: ImageFacts
    thumbnail: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Either what was found out, or the name of the `ImageError` and its message."""

    decoded: Decoded | None
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is told at its start."""

    parent: int
    """Process id: the worker ends when this is not its parent any more."""
    alarm_seconds: float
    """Longest time for an image: a backstop, for the parent ends a slow worker before."""
    image: ImageFactsConfig
    memory: int
    """Bytes of address space, at most."""


def memory_limit(image: ImageFactsConfig) -> int:
    """Bytes of address space a worker needs for an image of `max_pixels`, with room to spare."""
    return _BYTES_PER_PIXEL * image.max_pixels + _OTHER_BYTES


def answer_image(data: bytes, thumbnail: bool, config: ImageFactsConfig) -> Answer:
    """Decode an image.

    Raises:
        MemoryError: It needs more than the process may have.
    """
    try:
        facts, picture = read_picture(data, config)
        small = make_thumbnail(data, facts, picture) if thumbnail else None
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from None
        return Answer(None, error.error, str(error))
    return Answer(Decoded(facts, small))


def serve(requests: BinaryIO, channel: socket.socket, config: WorkerConfig) -> None:
    """Answer images until the parent closes its end."""
    channel.sendall(LENGTH.pack(0))
    while batch := _read_batch(requests):
        answers = []
        for thumbnail, data in batch:
            signal.setitimer(signal.ITIMER_REAL, config.alarm_seconds)
            answers.append(answer_image(data, thumbnail, config.image))
            signal.setitimer(signal.ITIMER_REAL, 0)
        frame = msgspec.msgpack.encode(answers)
        channel.sendall(LENGTH.pack(len(frame)) + frame)


def _read_batch(requests: BinaryIO) -> list[tuple[bool, bytes]]:
    """The images of a request, each with whether a thumbnail is wanted; none at the end."""
    images = []
    try:
        (count,) = BATCH.unpack(requests.read(BATCH.size))
        for _ in range(count):
            size, thumbnail = IMAGE.unpack(requests.read(IMAGE.size))
            data = requests.read(size)
            if len(data) != size:
                return []
            images.append((bool(thumbnail), data))
    except struct.error:  # the socket ended
        return []
    return images


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def main(text: str) -> None:
    """Serve the socket that is standard input.

    Args:
        text: A `WorkerConfig` as JSON.
    """
    config = msgspec.json.decode(text, type=WorkerConfig)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (config.memory, config.memory))
    threading.Thread(target=_end_with, args=(config.parent,), daemon=True).start()
    channel = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "r+b") as nothing:
        # Errors went where the parent reads them; what decoders print from here on goes nowhere.
        for standard in (0, 1, 2):
            os.dup2(nothing.fileno(), standard)
    with channel, channel.makefile("rb") as requests:
        try:
            serve(requests, channel, config)
        except MemoryError:
            os._exit(
                OUT_OF_MEMORY
            )  # before the socket is closed, which the parent takes for a crash
        except OSError:
            os._exit(0)  # the parent is gone
