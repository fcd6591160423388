"""Text from a trained model, greedily or drawn, with pictures in the prompt.

Prompts of one length are computed together, so none is padded and an answer does not depend on
what else was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from trainer.data.layout import IMAGE
from trainer.data.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from trainer.model.multimodal import MultimodalModel


@dataclass(frozen=True)
class Prompt:
    """What a model goes on from."""

    tokens: list[int]
    """Ids, and IMAGE at each place of a picture: `image_tokens` in a row for one."""
    pictures: list[Tensor] = field(default_factory=list)
    """uint8 [3, S, S] each, in the order of their places."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen."""

    most_tokens: int = 48
    """Tokens of an answer at most, the one that ends it included."""
    temperature: float = 0.0
    """0: the likeliest token, the one with the lower id of two alike."""
    seed: int = 0
    """Of a prompt's random numbers, with the number of the prompt."""
    batch: int = 64
    """Prompts computed together."""


def caption_prompt(tokenizer: TextTokenizer, image_tokens: int, picture: Tensor) -> Prompt:
    """A document of the stream `captioned` up to where its text begins."""
    opening = [] if tokenizer.bos is None else [tokenizer.bos]
    return Prompt(opening + [IMAGE] * image_tokens, [picture])


def generate(
    model: "MultimodalModel", tokenizer: TextTokenizer, prompts: Sequence[Prompt],
    sampling: Sampling | None = None,
) -> list[list[int]]:  # fmt: skip
    """Go on from each prompt until the document ends.

    Args:
        model: Any, in training or evaluation mode; it comes back in the mode it was in.
        tokenizer: That of the model.
        prompts: In any order and of any length.
        sampling: How; greedy if left out.

    Returns:
        The new ids of each prompt, without the one that ends the document.

    Raises:
        ValueError: An empty prompt, or one whose places do not fit its pictures.
    """
    sampling = sampling or Sampling()
    for number, prompt in enumerate(prompts):
        places = sum(token == IMAGE for token in prompt.tokens)
        if not prompt.tokens or places != len(prompt.pictures) * model.image_tokens:
            raise ValueError(
                f"prompt {number}: {len(prompt.tokens)} tokens, {places} of them places of "
                f"{len(prompt.pictures)} pictures of {model.image_tokens} tokens"
            )
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt.tokens), []).append(number)
    answers: list[list[int]] = [[] for _ in prompts]
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for _, numbers in sorted(by_length.items()):
                for start in range(0, len(numbers), sampling.batch):
                    some = numbers[start : start + sampling.batch]
                    found = _answer(model, tokenizer, [prompts[n] for n in some], some, sampling)
                    for number, answer in zip(some, found, strict=True):
                        answers[number] = answer
    finally:
        model.train(training)
    return answers


def _embed(model: Any, tokenizer: TextTokenizer, prompts: Sequence[Prompt]) -> Tensor:
    """Prompts of one length to embeddings [B, L, D]."""
    device = next(model.parameters()).device
    tokens = torch.tensor([prompt.tokens for prompt in prompts], device=device)
    is_image = tokens == IMAGE
    embedded: Tensor = model.decoder.embed(tokens.masked_fill(is_image, tokenizer.pad))
    pictures = [picture for prompt in prompts for picture in prompt.pictures]
    if pictures:
        seen = model.encode_images(torch.stack(pictures).to(device))
        seen = seen.reshape(-1, embedded.shape[-1]).to(embedded.dtype)
        embedded = embedded.masked_scatter(is_image[..., None], seen)
    return embedded


def _choose(logits: Tensor, sampling: Sampling, generators: list[torch.Generator]) -> Tensor:
    """The next id of each prompt, [B]."""
    if sampling.temperature <= 0:
        return logits.argmax(dim=-1)
    # The largest of logits plus Gumbel noise is a draw from their softmax. The noise is made on
    # the CPU, a generator a prompt, so it is the same on every device and in every batch.
    noise = torch.stack(
        [torch.rand(logits.shape[-1], generator=each, dtype=torch.float64) for each in generators]
    )
    noise = -torch.log(-torch.log(noise))
    return (logits.double() / sampling.temperature + noise.to(logits.device)).argmax(dim=-1)


def _answer(
    model: Any, tokenizer: TextTokenizer, prompts: Sequence[Prompt], numbers: Sequence[int],
    sampling: Sampling,
) -> list[list[int]]:  # fmt: skip
    decoder = model.decoder
    embedded = _embed(model, tokenizer, prompts)
    batch, length = embedded.shape[:2]
    cache = DynamicCache(config=decoder.model.config)
    generators = [
        torch.Generator().manual_seed(sampling.seed * 1_000_003 + number) for number in numbers
    ]
    positions = torch.arange(length, device=embedded.device).expand(batch, -1)
    ended = torch.zeros(batch, dtype=torch.bool, device=embedded.device)
    chosen: list[Tensor] = []
    for _ in range(sampling.most_tokens):
        hidden = decoder.base(
            inputs_embeds=embedded,
            position_ids=positions,
            attention_mask=None,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        tokens = _choose(decoder.logits(hidden[:, -1]), sampling, generators)
        chosen.append(tokens)
        ended |= tokens == tokenizer.eos
        if bool(ended.all()):
            break
        embedded = decoder.embed(tokens[:, None])
        positions = positions[:, -1:] + 1
    return [_until(row, tokenizer.eos) for row in torch.stack(chosen, dim=1).tolist()]


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
