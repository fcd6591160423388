"""Stage `score` end to end: what is embedded, once; what gates see of it; what can go wrong."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.run import RunOptions, execute
from pipeline.run_record import STAGES
from schemas.errors import RecipeError
from tests.small_crawl import (
    SITE,
    alt_text,
    commits,
    picture,
    picture_crawl,
    prose,
    response,
    rows,
    write_recipe,
)
from tests.tiny_models import make_clip
from transforms.minhash import text_hash

PAGES = 6
TO_SCORE = STAGES[: STAGES.index("score") + 1]
"""For tests that look at scores alone."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


def run(recipe: Path, crawl: Path, output: Path, *sets: str, stages: Sequence[str] = STAGES) -> Any:
    return execute(
        RunOptions(
            str(recipe), [str(crawl)], str(output), stages, overrides=sets, workers=1, quiet=True
        )
    )


@pytest.fixture(scope="module")
def scored(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A run with a model that looks at sentences; recipe, crawl, output."""
    folder = tmp_path_factory.mktemp("scored")
    crawl = picture_crawl(folder / "crawl.warc", PAGES)
    clip = {"model": f"local-dir:{model}", "documents": "sentences", "batch": 4}
    recipe = write_recipe(folder / "recipe.toml", {"clip": clip, "quality": {}})
    run(recipe, crawl, folder / "out")
    return recipe, crawl, folder / "out"


def plain_scores(model: Path, pairs: list[tuple[bytes, str]]) -> list[float]:
    """What open_clip says of each pair, one by one."""
    import open_clip
    import torch

    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{model}")
    clip.eval()
    tokenize = open_clip.get_tokenizer(f"local-dir:{model}")
    found = []
    with torch.inference_mode():
        for data, text in pairs:
            pixels = preprocess(Image.open(io.BytesIO(data)).convert("RGB"))[None]
            image = clip.encode_image(pixels, normalize=True)
            found.append(float(image @ clip.encode_text(tokenize([text]), normalize=True).T))
    return found


def image_bytes(output: Path) -> dict[str, bytes]:
    found = {}
    for row in rows(output, "wanted_images_score"):
        pack = (output / "packs" / row["pack"]).read_bytes()
        found[row["image_key"]] = pack[row["offset"] : row["offset"] + row["size"]]
    return found


def test_every_image_and_every_text_is_embedded_once(scored: tuple[Path, Path, Path]) -> None:
    _, _, output = scored
    images, texts = rows(output, "image_scores"), rows(output, "text_embeddings")
    keys = [(row["scorer"], row["image_key"]) for row in images]
    assert len(keys) == len(set(keys)) == 2 * (PAGES + 1)
    hashes = [row["text_hash"] for row in texts]
    assert len(hashes) == len(set(hashes))
    assert {row["outcome"] for row in (*images, *texts)} == {"ok"}


def test_scores_are_those_of_a_plain_loop(scored: tuple[Path, Path, Path], model: Path) -> None:
    _, _, output = scored
    texts = {row["text_hash"]: row["text"] for row in rows(output, "wanted_texts")}
    data = image_bytes(output)
    windows = {row["text_hash"]: row["windows"] for row in rows(output, "text_embeddings")}
    pairs = [row for row in rows(output, "scores_clip") if windows[row["text_hash"]] == 1]
    assert len(pairs) >= PAGES
    plain = plain_scores(model, [(data[p["image_key"]], texts[p["text_hash"]]) for p in pairs])
    np.testing.assert_allclose([row["clip_score"] for row in pairs], plain, atol=1e-3)


def test_a_caption_meets_its_image_and_a_document_all_its_sentences(
    scored: tuple[Path, Path, Path],
) -> None:
    _, _, output = scored
    units = rows(output, "text_units")
    images = rows(output, "scores_nodes")
    scores = rows(output, "scores_clip")
    of_page: dict[str, set[str]] = {}
    for unit in units:
        of_page.setdefault(unit["id"], set()).add(unit["text_hash"])
    assert all(len(found) == 6 for found in of_page.values())
    for image in images:
        found = [
            row["clip_score"]
            for row in scores
            if (row["id"], row["image_key"]) == (image["id"], image["image_key"])
            and row["text_hash"] in of_page[row["id"]]
        ]
        assert len(found) == 6
        assert image["clip_score"] == max(found)
    samples = [row for row in rows(output, "samples") if row["stream"] == "interleaved"]
    assert len(samples) == PAGES


def test_scores_of_captions_stand_in_their_order(scored: tuple[Path, Path, Path]) -> None:
    _, _, output = scored
    pairs = {
        (row["id"], row["image_key"], row["text_hash"]): row for row in rows(output, "scores_clip")
    }
    captions, scores = rows(output, "candidates_captions"), rows(output, "scores_captions")
    assert len(scores) == len(captions) > 0
    for caption, score in zip(captions, scores, strict=True):
        assert score["caption_id"] == caption["caption_id"]
        pair = pairs.get((caption["doc_id"], caption["image_key"], text_hash(caption["text"])))
        assert score["clip_score"] == (None if pair is None else pair["clip_score"])
    assert any(score["clip_score"] is not None for score in scores)


def test_samples_ship_their_scores(scored: tuple[Path, Path, Path]) -> None:
    _, _, output = scored
    nodes = {(row["id"], row["image_key"]): row for row in rows(output, "scores_nodes")}
    told = {
        (row["id"], row["image_key"], row["text_hash"]): row for row in rows(output, "scores_clip")
    }
    seen = set()
    for sample in rows(output, "samples"):
        facts = json.loads(sample["json"])
        seen.add(sample["stream"])
        if sample["stream"] == "captioned":
            assert facts["scores"]["quality_aspect"] == 1
            for caption in facts["captions"]:
                key = facts["doc_id"], facts["image_key"], text_hash(caption["text"])
                assert caption["scores"]["clip_score"] == round(told[key]["clip_score"], 6)
        elif sample["stream"] == "interleaved":
            for image in facts["image_info"]:
                best = nodes[facts["doc_id"], image["image_key"]]["clip_score"]
                assert image["scores"]["clip_score"] == round(best, 6)
    assert {"captioned", "interleaved"} <= seen


def test_a_second_run_does_nothing_and_another_threshold_scores_nothing(
    scored: tuple[Path, Path, Path],
) -> None:
    recipe, crawl, output = scored
    before = commits(output)
    run(recipe, crawl, output)
    assert commits(output) == before
    samples = [row for row in rows(output, "samples") if row["stream"] == "captioned"]
    captions = [caption for row in samples for caption in json.loads(row["json"])["captions"]]
    scores = sorted({caption["scores"]["clip_score"] for caption in captions})
    middle = scores[len(scores) // 2]
    threshold = f'gates.shard.captioned.alignment={{ value = "clip_score", min = {middle} }}'
    run(recipe, crawl, output, threshold)
    new = {name.split("-")[0] for name in commits(output) - before}
    assert new <= {"samples", "shard"}
    kept = [row for row in rows(output, "ledger") if row["rule"] == "alignment"]
    assert kept
    assert all(row["value"] < middle for row in kept)
    run(recipe, crawl, output)


def test_more_pages_cost_only_what_is_new(model: Path, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    picture_crawl(crawl / "a.warc", 3)
    recipe = write_recipe(tmp_path / "r.toml", {"clip": {"model": f"local-dir:{model}"}})
    run(recipe, crawl, tmp_path / "out", stages=TO_SCORE)
    first = {row["image_key"] for row in rows(tmp_path / "out", "image_scores")}
    picture_crawl(crawl / "b.warc", 3, first=3)
    run(recipe, crawl, tmp_path / "out", stages=TO_SCORE)
    answers = rows(tmp_path / "out", "image_scores")
    assert len(answers) == len({row["image_key"] for row in answers}) == 7
    assert first < {row["image_key"] for row in answers}


def test_another_model_is_asked_beside_the_first(model: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other", seed=1, side=48, embed=16)
    crawl = picture_crawl(tmp_path / "crawl.warc", 2)
    one = {"clip": {"model": f"local-dir:{model}"}}
    two = {**one, "clip_b": {"kind": "clip", "model": f"local-dir:{other}"}}
    run(write_recipe(tmp_path / "r.toml", one), crawl, tmp_path / "out", stages=TO_SCORE)
    before = {row["image_key"]: row["vector"] for row in rows(tmp_path / "out", "image_scores")}
    run(write_recipe(tmp_path / "r.toml", two), crawl, tmp_path / "out", stages=TO_SCORE)
    answers = rows(tmp_path / "out", "image_scores")
    assert len(answers) == 2 * len(before)
    assert sum(row["vector"] in before.values() for row in answers) == len(before)
    scores = rows(tmp_path / "out", "scores_clip")
    assert all(row["clip_score"] != row["clip_b_score"] for row in scores)


def test_another_run_gives_the_same_bits_and_pairs_of_few_documents_at_a_time_too(
    scored: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transforms import document_pairs

    recipe, crawl, output = scored
    monkeypatch.setattr(document_pairs, "PAIRS_OF_A_PIECE", 1)
    run(recipe, crawl, tmp_path / "out", stages=TO_SCORE)
    tables = (
        "image_scores", "text_embeddings", "scores_clip", "scores_captions", "scores_images",
        "scores_nodes",
    )  # fmt: skip
    for table in tables:
        assert rows(tmp_path / "out", table) == rows(output, table), table


@pytest.mark.parametrize("batch", [1, 64])
def test_batches_move_no_score(scored: tuple[Path, Path, Path], tmp_path: Path, batch: int) -> None:
    recipe, crawl, output = scored
    run(
        recipe,
        crawl,
        tmp_path / "out",
        f"scorers.clip.batch={batch}",
        "score.part_images=3",
        stages=TO_SCORE,
    )
    names = ("id", "image_key", "text_hash")
    expected = {
        tuple(row[name] for name in names): row["clip_score"] for row in rows(output, "scores_clip")
    }
    for row in rows(tmp_path / "out", "scores_clip"):
        assert row["clip_score"] == pytest.approx(
            expected.pop(tuple(row[name] for name in names)), abs=1e-3
        )
    assert not expected


def test_a_pack_that_is_gone_and_one_cut_short(
    scored: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    recipe, crawl, _ = scored
    stages = ["extract", "dedup", "refs", "fetch", "dedup_images"]
    options = RunOptions(str(recipe), [str(crawl)], str(tmp_path / "out"), stages, workers=1,
                         overrides=["run.max_failed_fraction=1"], quiet=True)  # fmt: skip
    execute(options)
    (pack,) = (tmp_path / "out" / "packs").iterdir()
    data = pack.read_bytes()
    whole, half = data, data[: len(data) // 2]
    pack.write_bytes(half)
    state = run(recipe, crawl, tmp_path / "out", "run.max_failed_fraction=1",
                'gates.shard.captioned.alignment={ value = "clip_score", min = -1 }')  # fmt: skip
    answers = rows(tmp_path / "out", "image_scores")
    lost = {row["image_key"] for row in answers if row["outcome"] == "ImageMissingError"}
    good = {row["image_key"] for row in answers if row["outcome"] == "ok"}
    assert lost
    assert good
    assert not lost & good
    counted = state.record["stages"]["score"]["tables"]
    for table in ("answers", "scores"):
        assert counted[table]["failed_by_error"] == {"ImageMissingError": 2 * len(lost)}
    for row in rows(tmp_path / "out", "samples"):
        for image in row["images"]:
            assert image["image_key"] in good or row["stream"] != "captioned"
    pack.write_bytes(whole)
    run(recipe, crawl, tmp_path / "out")
    answers = rows(tmp_path / "out", "image_scores")
    assert {row["image_key"] for row in answers if row["outcome"] == "ok"} == good | lost
    assert all(row["clip_score"] is not None for row in rows(tmp_path / "out", "scores_clip"))


def test_negclip_compares_with_all_that_is_scored(model: Path, tmp_path: Path) -> None:
    crawl = picture_crawl(tmp_path / "crawl.warc", 3)
    scorers = {
        "clip": {"model": f"local-dir:{model}"},
        "neg": {"kind": "negclip", "temperature": 0.1},
    }
    run(write_recipe(tmp_path / "r.toml", scorers), crawl, tmp_path / "out", stages=TO_SCORE)
    vectors = {}
    for table, key in (("image_scores", "image_key"), ("text_embeddings", "text_hash")):
        for row in rows(tmp_path / "out", table):
            vector = np.frombuffer(row["vector"], "<f2").astype(np.float64)
            vectors[row[key]] = vector / np.linalg.norm(vector)
    scores = rows(tmp_path / "out", "scores_clip")
    images, texts = ({row[key] for row in scores} for key in ("image_key", "text_hash"))
    assert len(scores) == 6
    for row in scores:
        image, text = vectors[row["image_key"]], vectors[row["text_hash"]]
        by_text = np.log(np.mean([np.exp(image @ vectors[key] / 0.1) for key in texts]))
        by_image = np.log(np.mean([np.exp(text @ vectors[key] / 0.1) for key in images]))
        expected = image @ text - 0.1 / 2 * (by_text + by_image)
        assert row["neg_score"] == pytest.approx(expected, abs=1e-4)


def test_a_strip_that_a_model_cannot_be_shown(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "model")
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["resize_mode"] = "longest"
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    body = f"<p>{prose(1)}</p>" + "".join(
        f'<img src="/{which}.png" alt="{alt_text(which)}">' for which in (1, 2)
    )
    strip = io.BytesIO()
    Image.new("RGB", (1, 240), "red").save(strip, "PNG")
    (tmp_path / "crawl.warc").write_bytes(
        response(f"{SITE}/page.html", "text/html", f"<article>{body}</article>".encode())
        + response(f"{SITE}/1.png", "image/png", picture(1))
        + response(f"{SITE}/2.png", "image/png", strip.getvalue())
    )
    scorers = {"clip": {"model": f"local-dir:{copy}"}, "quality": {}}
    recipe = write_recipe(tmp_path / "recipe.toml", scorers)
    run(
        recipe,
        tmp_path / "crawl.warc",
        tmp_path / "out",
        "run.max_failed_fraction=1",
        stages=TO_SCORE,
    )
    answers = rows(tmp_path / "out", "image_scores")
    assert sorted(row["outcome"] for row in answers) == ["ScoreError", "ok", "ok", "ok"]


def test_measures_of_pictures_need_no_torch(tmp_path: Path) -> None:
    crawl = picture_crawl(tmp_path / "crawl.warc", 2)
    recipe = write_recipe(tmp_path / "r.toml", {"quality": {}})
    command = [
        "run", str(recipe), "-i", str(crawl), "-o", str(tmp_path / "out"), "-w", "1", "-q"
    ]  # fmt: skip
    code = (
        "import sys; sys.modules['torch'] = None; from beam_runner import main; "
        f"sys.exit(main({command!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(row["values"] for row in rows(tmp_path / "out", "image_scores"))


def test_a_folder_beside_the_files_of_a_model_is_none_of_it(model: Path, tmp_path: Path) -> None:
    from transforms.scorers.registry import identify, parse_scorers

    def identity() -> str:
        return identify(parse_scorers({"clip": {"model": f"local-dir:{copy}"}}))["clip"].identity

    copy = shutil.copytree(model, tmp_path / "copy")
    before = identity()
    (copy / ".cache" / "huggingface").mkdir(parents=True)
    (copy / ".cache" / "huggingface" / "model.lock").touch()
    assert identity() == before


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        ({"x": {}}, "scorers.x.kind: 'x' is none of clip, head, negclip, quality, text_area"),
        ({"clip": {"modle": "a"}}, "scorers.clip.modle: unknown key; known keys: model, "),
        ({"clip": {"model": "ViT-B-99"}}, "scorers.clip.model: open_clip has no model 'ViT-B-99'"),
        ({"clip": {}}, "scorers.clip.pretrained: name the weights of ViT-B-32"),
        ({"clip": {"pretrained": "nobody"}}, "open_clip has no weights 'nobody' of ViT-B-32"),
        ({"clip": {"pretrained": "./no.pt"}}, "scorers.clip.pretrained: there is no file ./no.pt"),
        ({"clip": {"model": "local-dir:/nowhere"}}, "/nowhere holds no open_clip_config.json"),
        ({"clip": {"batch": "many"}}, "scorers.clip.batch: Expected `int`, got `str`"),
        ({"a": {"kind": "negclip"}}, "scorers.a.of: 'clip' is no scorer of the recipe with"),
        ({"a": {"kind": "head", "file": "/no.safetensors"}}, "/no.json: no description of a head"),
        ({"a": {"kind": "text_area", "detector": "x"}}, "give it as package.module:function"),
        ({"a": {"kind": "text_area", "detector": "no.such:f"}}, "there is no module no.such"),
        ({"Clip": {}}, "scorers.Clip: a scorer's name is a lower-case word"),
        ({"clip": 3}, "scorers.clip: must be a table, not 3"),
        ({"a": {"kind": "clip", "documents": "paragraphs"},
          "b": {"kind": "clip", "documents": "sentences"}},
         "scorers.b.documents: 'sentences', and scorers.a has 'paragraphs': all scorers"),
    ],
    ids=range(15),
)  # fmt: skip
def test_scorers_that_are_refused(scorers: dict[str, Any], message: str) -> None:
    from transforms.scorers.registry import identify, parse_scorers

    with pytest.raises(RecipeError) as caught:
        identify(parse_scorers(scorers))
    assert message in str(caught.value)


def test_a_rule_on_a_score_that_no_scorer_gives(tmp_path: Path) -> None:
    from pipeline.recipe import load_recipe

    rule = '[gates.shard.captioned]\nalignment = { value = "clip_score", min = 0.2 }\n'
    recipe = write_recipe(tmp_path / "r.toml", {}, rule)
    with pytest.raises(RecipeError, match=r"gates\.shard\.captioned\.alignment.*clip_score"):
        load_recipe(str(recipe))
