"""The kernel writes a page as the UTF-8 that Python writes; `slim` does it where nothing can go."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import page_kernel, parse_kernel

pytestmark = pytest.mark.skipif(not page_kernel.AVAILABLE, reason="the kernel was not built")

# The last character of each length in UTF-8 and of each width in memory, and the first of the next.
EDGES = "\x7f\x80\xff\u0100\u07ff\u0800\ud7ff\ud800\udfff\ue000\uffff\U00010000\U0010ffff"


@pytest.mark.parametrize("count", [*range(70), 127, 128, 129, 1000])
def test_edges_are_written_at_every_place_of_a_step(count: int) -> None:
    for character in EDGES:
        for text in (
            "a" * count + character,
            character + "a" * count,
            "a" * count + character + "b" * count,
            character * count,
        ):
            assert parse_kernel.slim(text)[0] == text.encode("utf-8", "replace")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 90)), max_size=8))
def test_any_text_is_written_as_python_writes_it(parts: list[tuple[str, int]]) -> None:
    text = "".join(piece + "x" * count for piece, count in parts).replace("<", "")
    assert parse_kernel.slim(text)[0] == text.encode("utf-8", "replace")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="must be str"):
        parse_kernel.slim(b"bytes")  # type: ignore[arg-type]
