"""What a site repeats does not come back at a picture."""

import pyarrow as pa

from transforms.shortened_pages import with_repeated_captions


def tables(repeated: bool = True) -> tuple[pa.Table, pa.Table]:
    """Captions and nodes: in document `a` the notice at 1 is repeated, `b` has it only once."""
    nodes = pa.table(
        {
            "id": ["a", "a", "a", "b", "b"],
            "node": [0, 1, 2, 0, 1],
            "paragraph": pa.array([1, None, 1, 1, None], pa.int64()),
        }
    )
    if repeated:
        pages = pa.array([None, 7, None, None, None], pa.int64())
        nodes = nodes.append_column("repeated_pages", pages)
    captions = pa.table(
        {
            "doc_id": ["a", "a", "b", "c"],
            "node": [0, 2, 0, 0],
            "origin": ["paragraph", "alt", "paragraph", "paragraph"],
            "paragraph_pages": pa.nulls(4, pa.int64()),
        }
    )
    return captions, nodes


def test_a_caption_that_is_a_repeated_paragraph_tells_its_pages() -> None:
    found = with_repeated_captions(*tables())
    assert found["paragraph_pages"].to_pylist() == [7, None, None, None]


def test_where_nothing_is_repeated_captions_stay_as_they_are() -> None:
    captions, nodes = tables(repeated=False)
    assert with_repeated_captions(captions, nodes) is captions
