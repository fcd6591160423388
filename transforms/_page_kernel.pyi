"""The module that `setup.py` builds where there is a C compiler; `page_kernel.py` is its caller."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.rows import Node

def slim(formatting: bytes, long_tag: int, html: str, /) -> tuple[bytes, int, int, int]: ...
def limit_depth(
    passed_over: bytes,
    formatting: bytes,
    raw: bytes,
    max_depth: int,
    max_formatting: int,
    source: bytes,
    /,
) -> bytes | None: ...
def lexbor(
    functions: bytes,
    options: int,
    never_read: bytes,
    without_end: bytes,
    not_in_names: bytes,
    max_depth: int,
    max_attributes: int,
    /,
) -> object: ...
def lexbor_markup(
    lexbor: object, source: bytes, largest: int, most_memory: int, seconds: float, /
) -> bytes: ...
def stream_tables(
    never_read: bytes,
    without_end: bytes,
    formatting: bytes,
    not_in_names: bytes,
    references: bytes,
    long_tag: int,
    max_crowd: int,
    few_tags: int,
    many_tags: int,
    max_left_open: int,
    /,
) -> object: ...
def stream_markup(tables: object, html: str, largest: int, /) -> bytes | None: ...
def tag_names(packed: bytes, codes: bytes, is_void: bytes, other: int, /) -> object: ...
def read_tags(names: object, source: bytes, max_tags: int, /) -> tuple[bytes, bytes] | None: ...
def attributes(
    source: bytes, start: int, stop: int, read_references: Callable[[str], str], /
) -> dict[str, str]: ...
def measure_tables(
    words: bytes,
    attributes: bytes,
    hidden: int,
    seed: int,
    traits: bytes,
    tag_bits: bytes,
    counted: bytes,
    counters: bytes,
    first_edges: bytes,
    last_edges: bytes,
    levels: int,
    first_count: int,
    last_count: int,
    groups: int,
    bits: int,
    sentence: int,
    /,
) -> object: ...
def measure_blocks(
    tables: object,
    source: bytes,
    tags: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    levels: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int64],
    /,
) -> tuple[bytes, ...]: ...
def network(
    numbers: bytes,
    containers: bytes,
    page_inputs: int,
    measures: int,
    first: int,
    second: int,
    third: int,
    weight_unit: float,
    unit: float,
    largest: float,
    /,
) -> object: ...
def score_blocks(
    network: object,
    size: npt.NDArray[Any],
    ranges: npt.NDArray[Any],
    measures: npt.NDArray[Any],
    page: npt.NDArray[Any],
    /,
) -> bytes: ...
def settle_blocks(
    tables: bytes,
    source: bytes,
    tags: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    measures: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    chrome: npt.NDArray[np.bool_],
    keep: npt.NDArray[np.bool_],
    /,
) -> bool: ...
def cover_tags(
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    lies_in: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.bool_],
    /,
) -> None: ...
def walk_tables(
    actions: bytes, octets: bytes, class_: int, hints: bytes, entities: bytes, /
) -> object: ...
def read_steps(
    tables: object,
    node: type[Node],
    source: bytes,
    tags: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    text_stops: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    opens_line: npt.NDArray[np.bool_],
    images: npt.NDArray[np.bool_],
    /,
) -> list[tuple[int, int, int, str] | Node]: ...
def classes_with(
    words: bytes,
    source: bytes,
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    /,
) -> list[tuple[int, bytes]]: ...
def weigh_pictures(
    tables: bytes,
    source: bytes,
    tags: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    measures: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    chrome: npt.NDArray[np.bool_],
    keep: npt.NDArray[np.bool_],
    named: npt.NDArray[np.int64],
    /,
) -> tuple[list[tuple[int, int, bool, int, int]], list[int], bool]: ...
