"""The CLIP that is shipped: its file, its judgement, its tokens; and that it can be trained."""

import importlib.util
import io
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.demo.byte_pairs import END, OPEN, PAD
from pipeline.demo.clip.__main__ import main
from pipeline.demo.clip.facts import FACTS, facts_of, scene_facts
from pipeline.demo.clip.judge import auc, measure_separation, pair_cosines
from pipeline.demo.clip.model import (
    CONTEXT,
    load_tiny_clip,
    plain_text_tokenizer,
    train_tokenizer,
    write_folder,
)
from pipeline.demo.clip.pairs import (
    CHUNK,
    SIDE,
    draw_scenes,
    prose_sentences,
    written_caption,
)
from pipeline.demo.clip.train import ClipTraining, batches, embed_texts, train
from pipeline.demo.generate import plan_crawl
from pipeline.demo.scenes import Scene, SceneObject, caption, draw_scene, make_scene, wrong_scene
from transforms.models import tiny_clip_folder

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is None, reason="needs the extra `clip`: torch, open_clip"
)
THRESHOLD = 0.2
"""The cosine that parts right pairs of the demo crawl from wrong ones."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of two processes of tests wait for each other longer than they compute."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clip():
    return load_tiny_clip(tiny_clip_folder())


@pytest.fixture(scope="module")
def drawn():
    return draw_scenes("test", CHUNK)


def crawl_pairs(seed):
    """English captions of a crawl's good pictures: pictures, texts, what is wrong or None."""
    found = {}
    for page in plan_crawl(seed, 300).pages:
        for figure in page.figures:
            picture = figure.picture
            if page.language != "en" or picture.outcome != "ok" or picture.data is None:
                continue
            # The model knows no names: a credit is more than it can tell.
            if figure.right is None or figure.credit or page.kind == "hostile_alt":
                continue
            for text in filter(None, (figure.alt, figure.figcaption, figure.title)):
                found[picture.url, text] = (picture.data, figure.wrong_in)
    pictures = [Image.open(io.BytesIO(data)) for data, _ in found.values()]
    return pictures, [text for _, text in found], [wrong for _, wrong in found.values()]


def test_shipped_folder_is_small():
    sizes = {path.name: path.stat().st_size for path in tiny_clip_folder().iterdir()}
    assert {"open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"} <= set(sizes)
    assert sum(sizes.values()) < 3_000_000


@needs_torch
def test_shipped_model_tells_right_captions_from_wrong_ones(clip):
    found = measure_separation(clip, draw_scenes("held-out", 1000))
    assert found.other >= 0.98
    assert found.colour >= 0.98
    assert found.shape >= 0.97


@needs_torch
def test_shipped_model_parts_the_planted_pairs_of_a_crawl(clip):
    pictures, texts, wrong = crawl_pairs(0)
    found = pair_cosines(clip, pictures, texts)
    right = np.array([kind is None for kind in wrong])
    assert (~right).sum() == 20
    assert (found[right] >= THRESHOLD).mean() >= 0.95
    assert (found[~right] < THRESHOLD).all()


@needs_torch
def test_prose_describes_no_picture(clip, drawn):
    pictures = [Image.fromarray(picture) for picture in drawn.pictures[:200]]
    texts = list(islice(prose_sentences("test"), 200))
    assert (pair_cosines(clip, pictures, texts) < THRESHOLD).mean() >= 0.99


@needs_torch
def test_tokens_are_opened_ended_and_padded(clip):
    tokens = clip.tokenize(["a red star", "", "word " * 10_000, "A RED STAR"])
    assert tokens.shape == (4, CONTEXT)
    for row in tokens.tolist():
        assert row[0] == OPEN
        assert row.count(END) == 1
        assert all(token == PAD for token in row[row.index(END) + 1 :])
    assert tokens[2].tolist()[-1] == END
    assert tokens[0].tolist() == tokens[3].tolist()


@needs_torch
def test_tokens_of_the_training_are_those_of_open_clip(clip, drawn):
    rng = random.Random(0)
    texts = [written_caption(scene, rng) for scene in drawn.scenes]
    texts += [*islice(prose_sentences("test"), 200), "", "word " * 99]
    expected = clip.tokenize(texts).tolist()
    assert plain_text_tokenizer(clip)(texts).tolist() == expected


@needs_torch
@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 4, 9), (2, 9, 4)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    import torch

    from pipeline.demo.clip.muon import orthogonalized

    torch.manual_seed(0)
    matrices = torch.randn(shape)
    made = orthogonalized(matrices)
    assert made.shape == shape
    assert ((torch.linalg.svdvals(made) - 1).abs() < 0.4).all()
    # Only the singular values move.
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    inner = u.mT @ made @ v.mT
    assert (inner - torch.diag_embed(torch.diagonal(inner, dim1=1, dim2=2))).abs().max() < 1e-4


@needs_torch
@pytest.mark.parametrize("shape", [(8, 8), (8, 24), (24, 8)])
def test_muon_moves_matrices_as_that_of_torch(shape):
    import torch

    from pipeline.demo.clip.muon import Muon

    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for _ in range(3)]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    began = [matrix.detach().clone() for matrix in ours]
    muon = Muon(ours, weight_decay=0.05)
    peer = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(6):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(shape)
            other.grad = one.grad.clone()
        muon.step(0.01)
        peer.step()
    for one, other, before in zip(ours, theirs, began, strict=True):
        # It computes in bfloat16.
        assert (one - other).norm() < 0.03 * (other - before).norm()


@needs_torch
def test_a_training_that_fails_leaves_torch_and_the_model_as_they_were(clip, drawn):
    import torch

    def fail(step: int, loss: float) -> None:
        raise OSError("the terminal is gone")

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    shipped = load_tiny_clip(tiny_clip_folder())
    try:
        with pytest.raises(OSError, match="gone"):
            train(shipped, drawn, ClipTraining(scenes=CHUNK, batch=8, prose=2), fail)
        assert torch.get_num_threads() == 2
        assert not shipped.model.training
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--processes", "-1"], "--processes -1: at least 1"),
        (["--output", __file__], "is a file; a folder is written"),
    ],
)
def test_odd_flags_of_the_training_are_refused(flags, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["make clip", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@needs_torch
def test_longest_caption_fits(clip):
    rng = random.Random(0)
    texts = [caption(make_scene(rng), rng) for _ in range(2000)]
    assert (clip.tokenize(texts) == PAD).any(dim=1).all()


@needs_torch
def test_end_token_is_pooled(clip):
    import torch

    tokens = clip.tokenize(["a red star", "a blue star", "a red star"])
    end = tokens[0].tolist().index(END)
    tokens[2, end + 1 :] = 17
    with torch.inference_mode():
        same, other, padded = clip.model.encode_text(tokens, normalize=True)
    assert torch.allclose(same, padded, atol=1e-6)
    assert not torch.allclose(same, other, atol=1e-2)


@needs_torch
def test_cutting_off_the_padding_changes_nothing(clip, drawn):
    import torch

    texts = [written_caption(scene, random.Random(0)) for scene in drawn.scenes[:9]]
    tokens = clip.tokenize([*texts, "", "word " * 99])
    with torch.inference_mode():
        whole = clip.model.encode_text(tokens, normalize=True)
        assert torch.allclose(embed_texts(clip.model, tokens), whole, atol=1e-5)


@needs_torch
def test_preprocessing_is_that_of_the_training(clip, drawn):
    picture = draw_scene(drawn.scenes[0], 320, 240)
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    expected = small.transpose(2, 0, 1) / 127.5 - 1
    assert np.allclose(clip.preprocess(picture).numpy(), expected, atol=1e-5)


@needs_torch
def test_training_lowers_the_loss(tmp_path: Path, drawn):
    import torch

    config = ClipTraining(scenes=CHUNK, batch=32, prose=4, warmup_steps=5)
    rng = random.Random(0)
    tokenizer = train_tokenizer([written_caption(scene, rng) for scene in drawn.scenes])
    write_folder(tmp_path / "model", tokenizer, None)

    def losses(steps: int) -> list[float]:
        found: list[float] = []
        torch.manual_seed(0)
        clip = load_tiny_clip(tmp_path / "model")
        train(clip, drawn, config, lambda step, loss: found.append(loss), steps)
        assert not clip.model.training
        return found

    found = losses(20)
    assert len(found) == 20
    assert np.mean(found[-4:]) < 0.9 * np.mean(found[:2])
    assert losses(3) == found[:3]


@needs_torch
def test_batch_knows_which_texts_may_be_right(clip, drawn):
    config = ClipTraining(scenes=CHUNK, batch=100, prose=3)
    batch = next(batches(drawn, clip.tokenize, config))
    assert batch.pictures.shape == (100, 3, SIDE, SIDE)
    assert batch.tokens.shape == (303, CONTEXT)
    assert batch.facts.shape == (300, len(FACTS))
    assert batch.same.shape == (100, 300)
    assert batch.same.any()
    for kind in range(3):
        assert not batch.same.diagonal(100 * kind).any()


@needs_torch
def test_folder_is_replaced_whole(tmp_path: Path, drawn):
    tokenizer = train_tokenizer(["a red star"])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "left behind").touch()
    write_folder(tmp_path / "model", tokenizer, None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / "left behind").exists()


def test_drawn_scenes_do_not_depend_on_the_number_of_processes():
    one, two = draw_scenes("test", CHUNK + 7), draw_scenes("test", CHUNK + 7, processes=2)
    assert one.scenes == two.scenes
    assert np.array_equal(one.pictures, two.pictures)
    assert one.pictures.shape == (CHUNK + 7, SIDE, SIDE, 3)


def test_sets_of_scenes_have_nothing_in_common(drawn):
    crawl = [picture.scene for picture in plan_crawl(0, 300).pictures.values()]
    sets = [drawn.scenes, draw_scenes("train", CHUNK).scenes, draw_scenes("held-out", CHUNK).scenes]
    for scenes in sets:
        others = [scene for other in [*sets, crawl] if other is not scenes for scene in other]
        assert not set(scenes) & set(others)


def test_facts_are_those_of_the_captions():
    star, ring = SceneObject("star", "red"), SceneObject("ring", "blue")
    pair = Scene("pair", (star, ring), relation="left")
    assert scene_facts(pair) == scene_facts(Scene("pair", (ring, star), relation="right"))
    assert scene_facts(pair) != scene_facts(Scene("pair", (ring, star), relation="left"))
    assert scene_facts(pair) == scene_facts(Scene("pair", (star, ring), None, "left", jitter=9))
    assert scene_facts(Scene("group", (star,), count=3)) == {
        "group", "red star", "red", "star", "3 of them",
    }  # fmt: skip


def test_every_fact_is_of_some_scene(drawn):
    facts = facts_of(drawn.scenes)
    assert facts.shape == (CHUNK, len(FACTS))
    assert facts.any(axis=0).all()
    told = [{FACTS[column] for column in np.flatnonzero(row)} for row in facts]
    assert told == [scene_facts(scene) for scene in drawn.scenes]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["shape", "colour"]))
def test_wrong_scene_has_other_facts(seed, kind):
    scene = make_scene(random.Random(seed))
    assert scene_facts(wrong_scene(scene, random.Random(seed), kind)) != scene_facts(scene)


def test_wrong_scene_refuses_another_kind():
    with pytest.raises(ValueError, match="size"):
        wrong_scene(make_scene(random.Random(0)), random.Random(0), "size")


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=9),
    st.lists(st.integers(0, 5), min_size=1, max_size=9),
)
def test_auc_is_the_share_of_pairs(right, wrong):
    expected = np.mean([(a > b) + (a == b) / 2 for a in right for b in wrong])
    found = auc(np.array(right, dtype=np.float32), np.array(wrong, dtype=np.float32))
    assert found == pytest.approx(expected)
