"""Scenes: pictures and captions say the same."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.demo.scenes import (
    COLOURS,
    GROUNDS,
    RELATIONS,
    SHAPES,
    caption,
    draw_scene,
    make_scene,
    wrong_caption,
)


def words_of(text: str) -> set[str]:
    singular = {shape + "s": shape for shape in SHAPES} | {"crosses": "cross"}
    return {singular.get(word, word) for word in re.findall(r"[a-z]+", text)}


def is_drawn_in(colour: tuple[int, ...], pixel: object) -> bool:
    """Whether a pixel has a colour, up to the noise that a picture adds to it."""
    assert isinstance(pixel, tuple)
    return all(0 <= p - c <= 5 for p, c in zip(pixel, colour, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(160, 120), (120, 200), (320, 240)]))
def test_scene_picture_shows_the_colours_of_its_caption_and_no_other(
    seed: int, size: tuple[int, int]
) -> None:
    scene = make_scene(random.Random(seed))
    image = draw_scene(scene, *size)
    assert image.size == size
    assert image.tobytes() == draw_scene(scene, *size).tobytes()
    text = words_of(caption(scene, random.Random(seed)))
    pixels = {p: n for n, p in image.getcolors(size[0] * size[1]) or []}
    named = set(COLOURS) & text
    for colour, rgb in COLOURS.items():
        near = sum(n for pixel, n in pixels.items() if is_drawn_in(rgb, pixel))
        assert (near > size[0] * size[1] // 500) == (colour in named), colour


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["shape", "colour"]))
def test_scene_wrong_caption_differs_in_one_word_that_the_scene_lacks(seed: int, kind: str) -> None:
    scene = make_scene(random.Random(seed))
    words = SHAPES if kind == "shape" else tuple(COLOURS)
    true = {getattr(thing, kind) for thing in scene.objects}
    other = {getattr(t, "colour" if kind == "shape" else "shape") for t in scene.objects}
    text = words_of(wrong_caption(scene, random.Random(seed), kind))
    assert len((text & set(words)) - true) == 1
    assert other <= text
    assert len(caption(scene, random.Random(seed)).split()) >= 3


def test_scene_make_scene_covers_all_kinds_shapes_colours_and_relations() -> None:
    scenes = [make_scene(random.Random(seed)) for seed in range(400)]
    assert {s.kind for s in scenes} == {"single", "pair", "group"}
    assert {t.shape for s in scenes for t in s.objects} == set(SHAPES)
    assert {t.colour for s in scenes for t in s.objects} == set(COLOURS)
    assert {s.relation for s in scenes} - {None} == set(RELATIONS)
    assert {g for s in scenes for g in s.ground} == set(GROUNDS)
    assert len({caption(s, random.Random(i)) for i, s in enumerate(scenes)}) > 300


@pytest.mark.parametrize(
    ("relation", "axis", "first_is_lower"),
    [("left", 0, True), ("right", 0, False), ("above", 1, True), ("below", 1, False)],
)
def test_scene_relation_is_where_the_first_object_stands(
    relation: str, axis: int, first_is_lower: bool
) -> None:
    pairs = (make_scene(random.Random(seed)) for seed in range(2000))
    scene = next(
        s for s in pairs if s.relation == relation and s.objects[0].colour != s.objects[1].colour
    )
    image = draw_scene(scene, 200, 200)
    centres = []
    for thing in scene.objects:
        rgb = COLOURS[thing.colour]
        near = [p for _, p in image.getcolors(40_000) or [] if is_drawn_in(rgb, p)]
        places = [
            (x, y)[axis] for x in range(200) for y in range(200) if image.getpixel((x, y)) in near
        ]
        centres.append(sum(places) / len(places))
    assert (centres[0] < centres[1]) == first_is_lower


def test_scene_too_small_or_unknown_kind_raises() -> None:
    scene = make_scene(random.Random(1))
    with pytest.raises(ValueError, match="at least 32"):
        draw_scene(scene, 31, 100)
    with pytest.raises(ValueError, match="'size'"):
        wrong_caption(scene, random.Random(1), "size")
