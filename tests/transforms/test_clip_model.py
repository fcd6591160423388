"""A CLIP as scorers use it: texts of any length, strips, memory that runs out, Beam."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.small_crawl import picture
from tests.tiny_models import CONTEXT, make_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


def test_texts_that_are_empty_or_too_long(model: Path, tmp_path: Path) -> None:
    from transforms.scorers.clip import ClipConfig, load

    clip = load(ClipConfig(model=f"local-dir:{model}"))
    found = clip.embed_texts(["", " \n", "\ud800", "a" * 200_000, "word " * 20, "boat"])
    names = [None if each is None else each.error for each in found.problems]
    assert names == ["EmptyTextError", "EmptyTextError", None, "TextTooLongError", None, None]
    assert found.windows[4] > 1
    assert found.windows[5] == 1
    assert np.isfinite(found.vectors[[2, 4, 5]]).all()
    assert np.isnan(found.vectors[[0, 1, 3]]).all()
    marking = load(ClipConfig(model=f"local-dir:{model}", long_texts="mark"))
    long = "x" * (CONTEXT - 2), "x" * (CONTEXT - 1)
    problems = marking.embed_texts(long).problems
    assert [None if each is None else each.error for each in problems] == [None, "TextTooLongError"]


def test_long_texts_are_pooled_over_all_of_them(model: Path) -> None:
    from transforms.scorers.clip import ClipConfig, load

    clip = load(ClipConfig(model=f"local-dir:{model}"))
    start = "a red boat lies at the quay " * 3
    ends = clip.embed_texts([start + "north", start + "south"]).vectors
    assert not np.allclose(ends[0], ends[1])
    assert np.linalg.norm(ends, axis=1) == pytest.approx(1, abs=1e-5)


def test_out_of_memory_halves_the_batch(model: Path) -> None:
    import torch

    from transforms.scorers.clip import ClipConfig, load

    clip = load(ClipConfig(model=f"local-dir:{model}", batch=16))
    pictures = [clip.prepare(Image.open(io.BytesIO(picture(n)))) for n in range(16)]
    expected = clip.finish(clip.begin(pictures)).vectors
    encode, seen = clip._encode_image, []

    def small(pixels: Any) -> Any:
        seen.append(len(pixels))
        if len(pixels) > 5:
            raise torch.OutOfMemoryError("no memory")
        return encode(pixels)

    clip._encode_image = small
    np.testing.assert_allclose(clip.finish(clip.begin(pictures)).vectors, expected, atol=1e-5)
    assert seen == [16, 8, 4, 4, 4, 4]
    assert clip.batch == 4


def test_out_of_memory_loses_no_text(model: Path) -> None:
    import torch

    from transforms.scorers.clip import ClipConfig, load

    texts = [f"boat {number} at the quay"[: 6 + number % 12] for number in range(20)]
    clip = load(ClipConfig(model=f"local-dir:{model}", batch=8))
    expected = clip.embed_texts(texts).vectors
    encode = clip._encode_text

    def small(ids: Any) -> Any:
        if len(ids) > 3:
            raise torch.OutOfMemoryError("no memory")
        return encode(ids)

    clip._encode_text = small
    np.testing.assert_allclose(clip.embed_texts(texts).vectors, expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 9001), (9000, 1), (3, 900)])
def test_a_strip_is_resized_only_where_the_model_looks(
    model: Path, size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transforms import resize
    from transforms.scorers.clip import ClipConfig, load

    strip = Image.linear_gradient("L").resize(size).convert(mode)
    clip = load(ClipConfig(model=f"local-dir:{model}"))
    seen = []
    real, step = resize.resize, clip._resize[0]

    def note(picture: Image.Image) -> Image.Image:
        seen.append(max(picture.size) / min(picture.size))
        return picture

    # A picture of another mode goes through the steps of open_clip.
    clip._resize[0] = lambda shown: step(note(shown))
    monkeypatch.setattr(resize, "resize", lambda shown, *a, **b: real(note(shown), *a, **b))
    found = clip.prepare(strip).astype(int)
    assert seen[0] <= 65
    monkeypatch.setattr(resize, "_MAX_ASPECT", 10_000)
    assert abs(clip.prepare(strip) - found).max() <= 1
    assert seen[1] == max(size) / min(size)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_pixels_are_those_of_open_clip(mode: str, interpolation: str) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from transforms.clip_model import _fitter

    config = PreprocessCfg(size=64, resize_mode=mode, interpolation=interpolation)
    steps = image_transform_v2(config, is_train=False).transforms[:-2]
    fit = _fitter(mode, (64, 64), interpolation)
    assert fit is not None
    for size in [(64, 64), (200, 133), (133, 201), (65, 64), (31, 90), (5, 3), (640, 481)]:
        noise = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
        picture = wanted = Image.fromarray(noise)
        for step in steps:
            wanted = step(wanted)
        assert np.array_equal(fit(picture), np.asarray(wanted)), size


def test_rare_ways_to_fit_a_picture_are_left_to_open_clip() -> None:
    from transforms.clip_model import _fitter

    assert _fitter("longest", (64, 64), "bicubic") is None
    assert _fitter("shortest", (64, 32), "bicubic") is None
    assert _fitter("squash", (64, 64), "random") is None


def test_beam_can_run_the_model_itself(model: Path) -> None:
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference
    from apache_beam.testing.util import assert_that

    from transforms.clip_model import ClipModelHandler
    from transforms.scorers.clip import ClipConfig, load

    config = ClipConfig(model=f"local-dir:{model}")
    expected = load(config).embed_texts(["boat"]).vectors[0]

    def check(found: list[Any]) -> None:
        (result,) = found
        np.testing.assert_allclose(result.inference, expected, atol=1e-6)

    with beam.Pipeline("FnApiRunner") as pipeline:
        results = pipeline | beam.Create(["boat"]) | RunInference(ClipModelHandler(config))
        assert_that(results, check)
