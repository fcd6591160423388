"""The kernel weighs blocks as the network in numpy does, whatever its widths and weights."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.transforms.test_page_kernel import PAGES, needs_kernel, numpy_only
from transforms.content_features import measure_blocks
from transforms.content_model import ContentModel, load_model, score_blocks
from transforms.dom import Dom
from transforms.html_parsers import canonical_lexbor

pytestmark = needs_kernel


@pytest.mark.parametrize("widths", [(48, 24, 16), (8, 8, 8), (104, 40, 64)])
def test_any_network_gives_the_scores_of_numpy(widths: tuple[int, int, int]) -> None:
    blocks = measure_blocks(Dom(canonical_lexbor(PAGES["article"].encode())))
    numbers = np.random.default_rng(5)

    def whole(*shape: int) -> npt.NDArray[np.float32]:
        return numbers.integers(-9, 13, shape).astype(np.float32)

    first, second, third = widths
    parts = 8
    inputs = (blocks.measures.shape[1], parts * first, parts * second, third)
    layers = tuple(
        (whole(before, after), whole(after))
        for before, after in zip(inputs, (*widths, 1), strict=True)
    )
    model = ContentModel(layers, whole(len(blocks.page), first))
    scores = score_blocks(blocks, model)
    with numpy_only():
        np.testing.assert_array_equal(scores, score_blocks(blocks, model))
    assert len(set(scores.tolist())) > 1


def test_arrays_that_are_not_of_blocks_are_refused() -> None:
    blocks = measure_blocks(Dom(canonical_lexbor(PAGES["article"].encode())))
    beyond, empty = blocks.ranges.copy(), blocks.ranges.copy()
    beyond[2, 1, 0] = len(blocks.size) + 1
    empty[1, 1] = empty[1, 0]
    wrong = [
        replace(blocks, ranges=beyond),
        replace(blocks, ranges=empty),
        replace(blocks, ranges=blocks.ranges[:5]),
        replace(blocks, measures=blocks.measures[:, :-1].copy()),
        replace(blocks, page=blocks.page[1:]),
        replace(blocks, size=blocks.size[1:]),
        replace(blocks, size=-blocks.size),
    ]
    for arrays in wrong:
        with pytest.raises(ValueError, match="not the arrays of blocks"):
            score_blocks(arrays)
    (weights, biases), *others = load_model().layers
    short = ContentModel(((weights[1:], biases), *others), load_model().page)
    with pytest.raises(ValueError, match="not the arrays of blocks"):
        score_blocks(blocks, short)
    cut = ContentModel((others[0], *others), load_model().page)
    with pytest.raises(ValueError, match="not those of its layers"):
        score_blocks(blocks, cut)
