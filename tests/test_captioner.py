"""The captioner's pieces: its shards, the trainer's small tokenizer, and how it is judged."""

import hashlib
import importlib.util
import io
import json
import random

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.demo.captioner import fusions
from pipeline.demo.captioner.__main__ import MOST_BYTES, WANTED
from pipeline.demo.captioner.drawn import draw_samples
from pipeline.demo.captioner.judge import (
    LlavaFolder,
    held_out_scenes,
    judge_captioner,
    judge_fusions,
    named_things,
    names_rightly,
)
from pipeline.demo.captioner.shards import draw_chunk, write_lessons
from pipeline.demo.captioner.tokenizer import (
    IMAGE,
    VOCABULARY,
    tokenizer_folder,
    training_texts,
    write_tokenizer,
)
from pipeline.demo.languages import LANGUAGES
from pipeline.demo.prose import make_article
from pipeline.demo.scenes import Scene, SceneObject, caption, make_scene
from recaptioner.models import tiny_captioner_folder
from schemas.rows import IndexRow
from schemas.shards import Manifest, parse_shard_name, shard_of
from schemas.tables import from_dict
from transforms.shards import iter_shard, read_sample

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the extra `train`"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return folder / "captioned", write_lessons(str(folder), {"train": 60, "validation": 20})[0]


def test_shards_are_those_that_manifest_and_index_name(written):
    folder, manifest = written
    assert Manifest.from_json((folder / "manifest.json").read_text()) == manifest
    assert manifest.totals["samples"] == 80
    rows = [from_dict(IndexRow, row) for row in pq.read_table(folder / "index.parquet").to_pylist()]
    assert len(rows) == 80
    seen = {}
    for entry in manifest.shards:
        data = (folder / entry.name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        split, number = parse_shard_name(entry.name)
        for key, members in iter_shard(io.BytesIO(data)):
            assert shard_of(key, manifest.bits[split]) == number
            seen[entry.name, key] = members
    for row in rows:
        with (folder / row.shard).open("rb") as shard:
            assert read_sample(shard, row) == seen[row.shard, row.key]


def test_a_sample_names_what_its_picture_shows(written):
    folder, manifest = written
    for entry in manifest.shards:
        for _, members in iter_shard(io.BytesIO((folder / entry.name).read_bytes())):
            text, details = members["txt"].decode(), json.loads(members["json"])
            assert details["caption"] == text
            things = sorted((each["colour"], each["shape"]) for each in details["objects"])
            assert named_things(text) == things
            picture = Image.open(io.BytesIO(members["jpg"]))
            assert picture.format == "JPEG"
            assert max(picture.size) <= 240


def test_splits_have_no_scene_in_common():
    drawn = {split: draw_samples(draw_chunk, split, 40, None) for split in ("train", "validation")}
    pictures = [picture for found in drawn.values() for _, picture in found]
    keys = [sample.key for found in drawn.values() for sample, _ in found]
    assert len(set(pictures)) == len(set(keys)) == 80


def test_the_same_shards_whoever_draws(tmp_path, written):
    _, manifest = written
    assert write_lessons(str(tmp_path), {"validation": 20, "train": 60}, 2)[0] == manifest


def test_fewer_scenes_are_the_first_ones():
    assert (
        draw_samples(draw_chunk, "train", 3, None) == draw_samples(draw_chunk, "train", 7, None)[:3]
    )


@pytest.mark.parametrize(
    ("text", "things"),
    [
        ("A red circle on the left.", [("red", "circle")]),
        ("two blue crosses side by side", [("blue", "cross")]),
        ("a white star above a black ring", [("black", "ring"), ("white", "star")]),
        ("a red red square", [("red", "square")]),
        ("red, and a circle", []),
        ("a reddish circle", []),
        ("", []),
    ],
)
def test_named_things(text, things):
    assert named_things(text) == things


PAIR = Scene("pair", (SceneObject("star", "red"), SceneObject("ring", "blue")), relation="left")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("a red star left of a blue ring", True),
        ("a blue ring above a red star", True),
        ("a red star", False),
        ("a red ring left of a blue star", False),
        ("a red star left of a blue ring and a red star", False),
    ],
)
def test_rightly_named_is_every_thing_once_and_no_other(text, right):
    assert names_rightly(PAIR, text) is right


def test_true_captions_of_held_out_scenes_are_right():
    rng = random.Random(1)
    drawn = held_out_scenes(100)
    assert all(names_rightly(scene, caption(scene, rng)) for scene, _ in drawn)


@needs_tokenizers
def test_the_tokenizer_that_is_shipped_is_the_one_that_is_learned(tmp_path):
    write_tokenizer(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (tokenizer_folder() / name).read_bytes()


@needs_tokenizers
def test_the_tokenizer_loses_nothing():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_folder()))
    assert len(tokenizer) == VOCABULARY
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer(IMAGE).input_ids == [1, 3]
    rng = random.Random(2)
    texts = [make_article(rng, language, 5).text for language in ("en", *sorted(LANGUAGES))]
    texts += ["", " ", "\n\n two  spaces", "Ä\u0301 🜚 \x00 </s", "x" * 5000]
    for text in texts:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


@needs_tokenizers
def test_captions_are_short_in_tokens():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_folder()))
    rng = random.Random(3)
    counts = [
        len(tokenizer(caption(make_scene(rng), rng), add_special_tokens=False).input_ids)
        for _ in range(500)
    ]
    assert max(counts) <= 18


def test_the_tokenizer_is_learned_from_every_language():
    texts = list(training_texts())
    assert len(texts) == len(list(training_texts()))
    assert any("\u4e00" <= c <= "\u9fff" for text in texts for c in text)


@needs_tokenizers
def test_the_shipped_captioner_is_the_one_that_was_judged():
    folder = tiny_captioner_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    model = LlavaFolder(folder)
    assert judge_captioner(model, 100).share >= WANTED
    assert judge_fusions(model, 50).share >= WANTED


def test_fusions_are_what_the_prompt_asks_and_what_it_holds():
    for sample, picture in draw_samples(fusions.draw_chunk, "train", 60, None):
        assert (sample.stream, picture, sample.images) == ("text", b"", [])
        prompt, _, fused = sample.txt.rpartition("\nCaption: ")
        alt, description = prompt.removeprefix("Alt text: ").split("\nDescription: ")
        assert fused.startswith(description)
        credit = fused.removeprefix(description).removeprefix(", ")
        assert credit in alt
