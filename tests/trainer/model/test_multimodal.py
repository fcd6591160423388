"""The model as a whole: image tokens in their places, and gradients everywhere."""

import pytest
import torch

from schemas.errors import RecipeError
from tests.trainer.model.models import (
    CAPTIONED,
    IMAGE_TOKENS,
    INTERLEAVED,
    SIDE,
    TEXT,
    batch_of,
    decoder_config,
    model_of,
    pack,
    tokenizer,
    train_config,
)
from trainer.config import (
    CONNECTORS,
    ConnectorConfig,
    DataConfig,
    DecoderConfig,
    RunConfig,
    VisionConfig,
)
from trainer.data.batch import IGNORE, MicroBatch
from trainer.model.multimodal import build_model, image_tokens_of

BATCHES = {
    "text": lambda: batch_of(pack(TEXT, TEXT, length=32)),
    "images without a label": lambda: unlabelled(batch_of(pack([2, -1], [2, -1], length=32))),
    "mixed": lambda: batch_of(pack(TEXT, length=32), pack(CAPTIONED, INTERLEAVED, length=32)),
}


def unlabelled(batch: MicroBatch) -> MicroBatch:
    batch.labels.fill_(IGNORE)
    return batch


def connector(kind: str) -> ConnectorConfig:
    tokens = 0 if kind in ("linear", "mlp") else IMAGE_TOKENS
    return ConnectorConfig(kind, tokens, hidden=32, depth=1, heads=4)


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("family", ["llama", "llama_tied", "gemma3_text"])
def test_every_trained_weight_gets_a_gradient(family: str, kind: str) -> None:
    model = model_of(decoder=decoder_config(family), connector=connector("c_abstractor"))
    sums = model(BATCHES[kind](), 8)
    sums.loss.sum().backward()
    assert [name for name, each in model.named_parameters() if each.grad is None] == []
    if kind == "mixed":
        assert [
            name
            for name, each in model.named_parameters()
            if not each.grad.any() and "norm" not in name
        ] == []
    if kind == "images without a label":
        assert not any(each.grad.any() for each in model.parameters())
        assert float(sums.loss.detach().sum()) == 0


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("trained", ["vision", "connector", "decoder"])
def test_one_trained_part_gets_gradients_alone(trained: str, kind: str) -> None:
    frozen = {part: part != trained for part in ("vision", "connector", "decoder")}
    model = model_of(
        vision=VisionConfig("weft:tiny-clip", freeze=frozen["vision"]),
        connector=ConnectorConfig(
            "avg_pool", IMAGE_TOKENS, hidden=32, heads=4, freeze=frozen["connector"]
        ),
        decoder=DecoderConfig(config=decoder_config().config, freeze=frozen["decoder"]),
    )
    model(BATCHES[kind](), 8).loss.sum().backward()
    for name, each in model.named_parameters():
        assert (each.grad is not None) == name.startswith(trained), name


def test_image_tokens_stand_in_their_places_in_order() -> None:
    model = model_of().eval()
    batch = batch_of(pack(TEXT, CAPTIONED, length=32), pack(INTERLEAVED, length=32))
    with torch.no_grad():
        embeddings = model.embed(batch)
        expected = model.decoder.embed(batch.tokens)
        tokens = model.encode_images(batch.pictures)
    places = [(0, len(TEXT) + 1), (1, 3), (1, 3 + IMAGE_TOKENS + 2)]
    for number, (row, start) in enumerate(places):
        expected[row, start : start + IMAGE_TOKENS] = tokens[number]
    assert torch.equal(embeddings, expected)


def test_text_before_an_image_and_of_another_pack_does_not_see_it() -> None:
    model = model_of().eval()
    batch = batch_of(pack(TEXT, INTERLEAVED, length=32), pack(TEXT, length=32))
    with torch.no_grad():
        before = model(batch, 8, True).logits
        batch.pictures = batch.pictures.flip(2) // 2
        after = model(batch, 8, True).logits
    start = len(TEXT) + 3
    assert torch.equal(before[0, :start], after[0, :start])
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[0, start:20], after[0, start:20])


def test_pictures_that_do_not_fill_their_places_are_an_error() -> None:
    model = model_of()
    batch = batch_of(pack(INTERLEAVED, length=32))
    batch.pictures = batch.pictures[:1]
    with pytest.raises(RuntimeError, match="places of images and image tokens differ in number"):
        model(batch, 8)


def test_weights_of_bfloat16_give_a_loss_of_float32() -> None:
    model = model_of(connector=connector("perceiver")).to(torch.bfloat16)
    batch = batch_of(pack(CAPTIONED, TEXT, length=32))
    sums = model(batch, 8)
    assert sums.loss.dtype == torch.float32
    sums.loss.sum().backward()
    assert all(each.grad.dtype == torch.bfloat16 for each in model.parameters())
    wide = model_of(connector=connector("perceiver"))(batch, 8)
    torch.testing.assert_close(sums.loss, wide.loss, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_number_of_image_tokens_is_known_before_anything_is_built(kind: str) -> None:
    config = train_config(connector=connector(kind))
    model = build_model(config, tokenizer())
    pictures = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    assert model.image_tokens == image_tokens_of(config)
    assert model.encode_images(pictures).shape == (2, model.image_tokens, 32)


def test_random_weights_are_a_function_of_the_seed_and_of_their_part() -> None:
    one, same = model_of(), model_of()
    other = model_of(run=RunConfig(seed=7))
    wider = model_of(connector=connector("mlp"))
    for name, each in one.state_dict().items():
        assert torch.equal(each, same.state_dict()[name])
        if name.startswith("decoder."):
            assert torch.equal(each, wider.state_dict()[name])
    head = "decoder.model.lm_head.weight"
    assert not torch.equal(one.state_dict()[head], other.state_dict()[head])


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    model_of()
    assert torch.equal(before, torch.random.get_rng_state())


def test_model_with_nothing_to_train_is_refused() -> None:
    with pytest.raises(RecipeError, match="nothing would be trained"):
        model_of(
            vision=VisionConfig("weft:tiny-clip", freeze=True),
            connector=ConnectorConfig("linear", 0, freeze=True),
            decoder=DecoderConfig(config=decoder_config().config, freeze=True),
        )


def test_image_larger_than_a_pack_is_refused() -> None:
    with pytest.raises(RecipeError, match="no room for the 4 tokens of an image"):
        model_of(data=DataConfig(sequence_length=4))


def test_counted_labels_go_with_the_batch() -> None:
    batch = batch_of(pack(CAPTIONED, TEXT, length=32))
    assert batch.valid == -1
    assert batch.to(torch.device("cpu")).valid == int(batch.labels.ne(IGNORE).sum())
