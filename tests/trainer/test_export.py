"""Exported folders: transformers computes what the trainer computes, and nothing is lost."""

import json
import random

import pytest
import torch
from PIL import Image

from pipeline.demo.scenes import draw_scene, make_scene
from schemas.errors import InputError, OutputError
from trainer import llava
from trainer.config import TrainConfig, parse_config
from trainer.data.layout import IMAGE
from trainer.data.tokenizer import TextTokenizer
from trainer.export import WEFT_CONFIG, export_model, load_folder
from trainer.generate import Prompt, Sampling, caption_prompt, generate
from trainer.model.multimodal import MultimodalModel, build_model

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_config(connector: dict | None = None, **decoder) -> TrainConfig:
    return parse_config(
        {
            "data": {"sources": {"captioned": {"weight": 1}}, "sequence_length": 128},
            "vision": {"model": "weft:tiny-clip"},
            "connector": connector or {"kind": "mlp", "tokens": 0},
            "decoder": {"config": {**LLAMA, **decoder}, "tokenizer": "weft:tiny"},
            "run": {"seed": 3, "precision": "fp32"},
        }
    )


def make_model(config: TrainConfig) -> tuple[MultimodalModel, TextTokenizer]:
    tokenizer = TextTokenizer(config.decoder.tokenizer)
    model = build_model(config, tokenizer).eval()
    with torch.no_grad():
        # Far from where it starts: a bias of zero or a norm of one would hide a wrong name.
        generator = torch.Generator().manual_seed(5)
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    return model, tokenizer


def make_pictures(count: int) -> list[Image.Image]:
    rng = random.Random(7)
    return [draw_scene(make_scene(rng), 64, 64) for _ in range(count)]


def as_tensor(picture: Image.Image) -> "torch.Tensor":
    values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return values.view(picture.height, picture.width, 3).permute(2, 0, 1).contiguous()


def our_logits(model: MultimodalModel, tokens: list[int], picture: Image.Image) -> "torch.Tensor":
    with torch.no_grad():
        ids = torch.tensor([tokens])
        places = ids == IMAGE
        embedded = model.decoder.embed(ids.masked_fill(places, 0))
        seen = model.encode_images(as_tensor(picture)[None])
        embedded = embedded.masked_scatter(places[..., None], seen)
        return model.decoder.logits(model.decoder(embedded, torch.arange(len(tokens))[None]))[0]


@pytest.mark.parametrize(
    "decoder",
    [{"tie_word_embeddings": True}, {"tie_word_embeddings": False},
     {"model_type": "qwen2", "num_key_value_heads": 1}],
    ids=["tied", "untied", "qwen2"],
)  # fmt: skip
def test_transformers_computes_the_same_from_the_folder(tmp_path, decoder):
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    config = make_config(**decoder)
    model, tokenizer = make_model(config)
    assert export_model(model, tokenizer, config, tmp_path / "out") == "llava"
    theirs, report = LlavaForConditionalGeneration.from_pretrained(
        str(tmp_path / "out"), output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    processor = AutoProcessor.from_pretrained(str(tmp_path / "out"))
    pictures = make_pictures(3)
    for picture in pictures:
        text = "two red circles"
        inputs = processor(images=[picture], text=["<image>" + text], return_tensors="pt")
        prompt = caption_prompt(tokenizer, model.image_tokens, as_tensor(picture))
        tokens = [*prompt.tokens, *tokenizer.encode(text)]
        image = processor.tokenizer.convert_tokens_to_ids("<image>")
        assert [image if t == IMAGE else t for t in tokens] == inputs["input_ids"][0].tolist()
        with torch.no_grad():
            found = theirs.eval()(**inputs).logits[0]
        assert torch.allclose(found, our_logits(model, tokens, picture), atol=1e-4)


def test_greedy_captions_are_those_of_transformers(tmp_path):
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    config = make_config()
    model, tokenizer = make_model(config)
    export_model(model, tokenizer, config, tmp_path / "out")
    pictures = make_pictures(4)
    prompts = [caption_prompt(tokenizer, model.image_tokens, as_tensor(p)) for p in pictures]
    ours = generate(model, tokenizer, prompts, Sampling(most_tokens=12))
    theirs = LlavaForConditionalGeneration.from_pretrained(str(tmp_path / "out")).eval()
    processor = AutoProcessor.from_pretrained(str(tmp_path / "out"))
    inputs = processor(images=pictures, text=["<image>"] * 4, return_tensors="pt")
    with torch.no_grad():
        made = theirs.generate(**inputs, max_new_tokens=12, do_sample=False)
    made = made[:, inputs["input_ids"].shape[1] :].tolist()
    end = [row.index(tokenizer.eos) if tokenizer.eos in row else len(row) for row in made]
    assert ours == [row[:stop] for row, stop in zip(made, end, strict=True)]
    assert len({tuple(answer) for answer in ours}) > 1


def test_files_are_those_that_vllm_reads(tmp_path):
    from safetensors import safe_open

    config = make_config(tie_word_embeddings=False)
    model, tokenizer = make_model(config)
    export_model(model, tokenizer, config, tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight" in names
    assert "multi_modal_projector.linear_1.weight" in names
    assert {"language_model.model.embed_tokens.weight", "language_model.lm_head.weight"} <= names
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written["architectures"] == ["LlavaForConditionalGeneration"]
    assert (written["vision_feature_layer"], written["image_token_index"]) == (-1, 3)
    assert written["vision_feature_select_strategy"] == "default"
    assert written["text_config"]["vocab_size"] == tokenizer.vocabulary
    assert written["torch_dtype"] == written["dtype"] == "float32"


def test_other_types_of_weights_are_written(tmp_path):
    from safetensors import safe_open

    config = make_config()
    model, tokenizer = make_model(config)
    export_model(model, tokenizer, config, tmp_path / "out", dtype=torch.bfloat16)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        names = list(file.keys())
        assert {file.get_tensor(name).dtype for name in names} == {torch.bfloat16}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_new_row_never_wins():
    table = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    larger = llava.with_row(table, 8)
    assert len(larger) == 9
    assert torch.equal(larger[:7], table)
    hidden = torch.randn(100, 5, generator=torch.Generator().manual_seed(1))
    assert (hidden @ larger.T).argmax(dim=1).max() < 7
    assert llava.with_row(table, 6) is table


def test_a_tokenizer_without_the_token_gets_it(tmp_path):
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    config = make_config()
    folder = tmp_path / "tokenizer"
    loaded = TextTokenizer("weft:tiny")._json.replace('"<image>"', '"<other>"')
    folder.mkdir()
    (folder / "tokenizer.json").write_text(loaded)
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    decoder = {"config": dict(LLAMA), "tokenizer": str(folder)}
    config = parse_config(
        {
            "data": {"sources": {"captioned": {"weight": 1}}, "sequence_length": 128},
            "vision": {"model": "weft:tiny-clip"},
            "connector": {"kind": "mlp", "tokens": 0},
            "decoder": decoder,
        }
    )
    model, tokenizer = make_model(config)
    export_model(model, tokenizer, config, tmp_path / "out")
    theirs = LlavaForConditionalGeneration.from_pretrained(str(tmp_path / "out")).eval()
    assert theirs.config.image_token_index == tokenizer.vocabulary
    processor = AutoProcessor.from_pretrained(str(tmp_path / "out"))
    (picture,) = make_pictures(1)
    inputs = processor(images=[picture], text=["<image>a"], return_tensors="pt")
    prompt = caption_prompt(tokenizer, model.image_tokens, as_tensor(picture))
    with torch.no_grad():
        found = theirs(**inputs).logits[0][:, : tokenizer.vocabulary]
    ours = our_logits(model, [*prompt.tokens, *tokenizer.encode("a")], picture)
    assert torch.allclose(found, ours, atol=1e-4)


@pytest.mark.parametrize(
    "connector",
    [{"kind": "linear", "tokens": 0}, {"kind": "avg_pool", "tokens": 4}],
    ids=["linear", "avg_pool"],
)
def test_other_connectors_come_back_as_they_were(tmp_path, connector):
    config = make_config(connector)
    model, tokenizer = make_model(config)
    assert export_model(model, tokenizer, config, tmp_path / "out").startswith("weft: ")
    again, its_tokenizer, _ = load_folder(tmp_path / "out")
    assert its_tokenizer.fingerprint == tokenizer.fingerprint
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_full_folder_and_a_folder_of_something_else_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    config = make_config()
    model, tokenizer = make_model(config)
    with pytest.raises(OutputError, match="holds something"):
        export_model(model, tokenizer, config, tmp_path)
    with pytest.raises(InputError, match=WEFT_CONFIG):
        load_folder(tmp_path)


def test_answers_do_not_depend_on_what_else_is_asked():
    config = make_config()
    model, tokenizer = make_model(config)
    pictures = [as_tensor(picture) for picture in make_pictures(3)]
    prompts = [caption_prompt(tokenizer, model.image_tokens, picture) for picture in pictures]
    prompts.append(Prompt([1, *tokenizer.encode("a red")]))
    longer = prompts[0].tokens + tokenizer.encode("a") + prompts[1].tokens[1:]
    prompts.append(Prompt(longer, [pictures[0], pictures[1]]))
    for sampling in (Sampling(most_tokens=6), Sampling(most_tokens=6, temperature=1.0, seed=2)):
        together = generate(model, tokenizer, prompts, sampling)
        one_by_one = generate(model, tokenizer, prompts, Sampling(
            sampling.most_tokens, sampling.temperature, sampling.seed, batch=1))  # fmt: skip
        assert together == one_by_one
        assert together == generate(model, tokenizer, prompts, sampling)


def test_the_cache_changes_nothing():
    config = make_config()
    model, tokenizer = make_model(config)
    (picture,) = make_pictures(1)
    prompt = caption_prompt(tokenizer, model.image_tokens, as_tensor(picture))
    (answer,) = generate(model, tokenizer, [prompt], Sampling(most_tokens=8))
    tokens = list(prompt.tokens)
    for token in answer:
        assert int(our_logits(model, tokens, picture)[-1].argmax()) == token
        tokens.append(token)


def test_a_likely_token_is_drawn_as_often_as_its_share():
    from trainer.generate import _choose

    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]])).expand(2000, -1)
    made = [torch.Generator().manual_seed(number) for number in range(2000)]
    drawn = _choose(logits, Sampling(temperature=1.0), made)
    shares = torch.bincount(drawn, minlength=3) / 2000
    assert torch.allclose(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.04)


def test_a_prompt_that_does_not_fit_is_refused():
    config = make_config()
    model, tokenizer = make_model(config)
    for prompt in (Prompt([]), Prompt([1, IMAGE]), Prompt([1], [torch.zeros(3, 64, 64)])):
        with pytest.raises(ValueError, match="prompt 0"):
            generate(model, tokenizer, [prompt])
