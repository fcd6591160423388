"""Families of decoders: the same loss packed and alone, and what is refused."""

from pathlib import Path

import pytest
import torch

from schemas.errors import RecipeError
from tests.trainer.model.models import (
    CAPTIONED,
    FAMILIES,
    INTERLEAVED,
    SIZES,
    TEXT,
    batch_of,
    decoder_config,
    model_of,
    pack,
    tokenizer,
)
from trainer.config import DecoderConfig
from trainer.model.decoder import LogitRule, build_decoder
from trainer.model.packing_check import check_decoder

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_accepted_and_packed_loss_is_that_of_its_documents(family: str) -> None:
    model = model_of(decoder=decoder_config(family)).eval()
    check_decoder(model, CPU)
    long = [2, *range(10, 40), 1]
    packed = batch_of(pack(TEXT, CAPTIONED, long, length=64), pack(INTERLEAVED, TEXT, length=64))
    # The pictures in the order of their places: one of the first pack, two of the second.
    alone = [
        batch_of(pack(TEXT, length=8)),
        batch_of(pack(CAPTIONED, length=12)),
        batch_of(pack(long, length=32)),
        batch_of(pack(INTERLEAVED, length=20)),
    ]
    alone[1].pictures = packed.pictures[:1]
    alone[3].pictures = packed.pictures[1:]
    with torch.no_grad():
        loss, labels, _ = model(packed, 1000)
        text, captioned, long_text, interleaved = [model(each, 1000).loss.sum() for each in alone]
    expected = torch.stack((text + captioned + long_text, interleaved + text))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert labels.tolist() == [6 + 4 + 31, 6 + 6]


def test_model_that_leaks_is_refused_by_name() -> None:
    plain = {
        "model_type": "opt",
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    }
    model = model_of(decoder=DecoderConfig(config=plain))
    with pytest.raises(RecipeError, match=r"OPTForCausalLM .* documents of a pack see each other"):
        check_decoder(model, CPU)


def test_head_that_does_more_is_refused() -> None:
    model = model_of(decoder=decoder_config("granite"))
    model.decoder.rule = LogitRule()
    with pytest.raises(RecipeError, match=r"GraniteForCausalLM .* does more to its logits"):
        check_decoder(model, CPU)


def test_model_that_looks_ahead_is_refused() -> None:
    model = model_of()
    layer = model.decoder_layers()[0]
    # Something of the next place comes into each.
    layer.register_forward_hook(lambda module, args, output: output + 0.1 * output.roll(-1, 1))
    with pytest.raises(RecipeError, match="see"):
        check_decoder(model, CPU)


def test_check_leaves_the_mode_as_it_was() -> None:
    model = model_of().train()
    check_decoder(model, CPU)
    assert model.training
    assert model.decoder.model.training


def test_decoder_from_a_folder_has_its_weights(tmp_path: Path) -> None:
    made = build_decoder(decoder_config(), tokenizer(), 128)
    made.model.save_pretrained(tmp_path)
    read = build_decoder(DecoderConfig(model=str(tmp_path)), tokenizer(), 128)
    fresh = build_decoder(DecoderConfig(model=str(tmp_path), random_weights=True), tokenizer(), 128)
    state = made.state_dict()
    for name, each in read.state_dict().items():
        assert torch.equal(each, state[name])
    assert read.model.dtype == torch.float32
    assert not torch.equal(fresh.head.weight, made.head.weight)


def test_decoder_from_scratch_takes_vocabulary_and_length_of_its_use() -> None:
    config = build_decoder(decoder_config(), tokenizer(100), 256).model.config
    assert (config.vocab_size, config.max_position_embeddings) == (100, 256)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (2, 1, 0)


def test_parameters_of_the_laws_leave_out_embeddings_and_head() -> None:
    for family in ("llama", "llama_tied"):
        decoder = build_decoder(decoder_config(family), tokenizer(), 128)
        expected = sum(each.numel() for each in decoder.base.parameters())
        expected -= decoder.model.get_input_embeddings().weight.numel()
        assert decoder.parameters_without_embeddings() == expected


def test_recomputed_layers_give_the_same_gradients() -> None:
    batch = batch_of(pack(CAPTIONED, TEXT, length=24))
    grads = []
    for recompute in (False, True):
        config = decoder_config()
        chosen = DecoderConfig(config=config.config, tokenizer="none", recompute=recompute)
        model = model_of(decoder=chosen).train()
        model(batch, 100).loss.sum().backward()
        grads.append([each.grad for each in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DecoderConfig(config={"model_type": "lama"}), "decoder.config.model_type: 'lama'"),
        (
            DecoderConfig(config={"model_type": "llama", "num_hiden_layers": 2}),
            "decoder.config.num_hiden_layers: LlamaConfig has no such field",
        ),
        (DecoderConfig(config={"model_type": "llama", "hidden_size": "x"}), "decoder.config"),
        (
            DecoderConfig(config={"model_type": "llama", **SIZES, "vocab_size": 50}),
            "a vocabulary of 50, where the tokenizer has 96",
        ),
        (
            DecoderConfig(config={"model_type": "llama", **SIZES, "max_position_embeddings": 64}),
            "data.sequence_length: 128, where the decoder takes documents of 64",
        ),
        (DecoderConfig(model="/nowhere/at/all"), "decoder.model: /nowhere/at/all"),
        (DecoderConfig(config={"model_type": "clip_vision_model"}), "no causal language model"),
    ],
)
def test_decoder_that_cannot_be_made_is_refused(config: DecoderConfig, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_decoder(config, tokenizer(), 128)
