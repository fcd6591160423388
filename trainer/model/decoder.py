"""The decoder: any causal language model of transformers, fed with embeddings.

Packed documents are kept apart by positions that restart, which transformers sees only where no
mask and no cache is given; both are passed explicitly, for either default leaks. The head is ours
(`loss.py` takes it chunk by chunk), so what a family does to its logits behind the head is done
here too, and compared with the model's own logits at start-up (`packing_check.py`).
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn

from schemas.errors import RecipeError
from trainer.config import DecoderConfig

if TYPE_CHECKING:
    from trainer.data.tokenizer import TextTokenizer


@dataclass(frozen=True)
class LogitRule:
    """What comes between the head and the softmax: a factor, then a soft cap (0: none)."""

    factor: float = 1.0
    softcap: float = 0.0

    def apply(self, logits: Tensor) -> Tensor:
        """Logits as the family means them."""
        if self.factor != 1.0:
            logits = logits * self.factor
        if self.softcap:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


def logit_rule(config: Any) -> LogitRule:
    """The rule of a family: Cohere multiplies, Granite divides, Gemma 2 caps."""
    factor = float(getattr(config, "logit_scale", None) or 1.0)
    factor /= float(getattr(config, "logits_scaling", None) or 1.0)
    return LogitRule(factor, float(getattr(config, "final_logit_softcapping", None) or 0.0))


class Decoder(nn.Module):
    """A causal language model.

    Attributes:
        model: The model of transformers, whole: what is saved, exported, and generated with.
    """

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.rule = logit_rule(model.config)
        self.width = int(model.get_input_embeddings().embedding_dim)
        self.vocabulary = int(model.get_input_embeddings().num_embeddings)

    @property
    def base(self) -> nn.Module:
        """The model without its head."""
        base: nn.Module = self.model.get_decoder()
        return base

    @property
    def head(self) -> nn.Linear:
        """The linear layer from hidden states to logits; it may share the embeddings' weight."""
        head: nn.Linear = self.model.get_output_embeddings()
        return head

    def layers(self) -> nn.ModuleList:
        """The layers in order."""
        count = self.model.config.num_hidden_layers
        found = [
            child
            for child in self.base.children()
            if isinstance(child, nn.ModuleList) and len(child) == count
        ]
        if len(found) != 1:
            raise RecipeError(
                f"decoder: {type(self.model).__name__} has no single list of its {count} layers"
            )
        return found[0]

    def embed(self, tokens: Tensor) -> Tensor:
        """Ids [B, L] to embeddings [B, L, D], with the scale that the family gives them."""
        embeddings: Tensor = self.model.get_input_embeddings()(tokens)
        return embeddings

    def forward(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """Embeddings [B, L, D] and positions [B, L] to hidden states [B, L, D], behind the norm."""
        hidden: Tensor = self.base(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask=None,
            use_cache=False,
        ).last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] to fp32 logits [..., vocabulary]."""
        return self.rule.apply(self.head(hidden).float())

    def own_logits(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """The logits that the model of transformers gives by itself, to compare with."""
        logits: Tensor = self.model(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask=None,
            use_cache=False,
        ).logits
        return logits.float()

    def parameters_without_embeddings(self) -> int:
        """The N of MM1's laws: embeddings and head do not count."""
        tables = {id(self.model.get_input_embeddings().weight), id(self.head.weight)}
        return sum(each.numel() for each in self.parameters() if id(each) not in tables)


def pick_attention(config: DecoderConfig, architecture: Any) -> str:
    """The implementation that `auto` stands for here: the fastest that the family has."""
    if config.attention != "auto":
        return config.attention
    if torch.cuda.is_available() and getattr(architecture, "_supports_flex_attn", False):
        return "flex_attention"
    return "sdpa" if getattr(architecture, "_supports_sdpa", False) else "eager"


def build_decoder(
    config: DecoderConfig, tokenizer: "TextTokenizer", sequence_length: int
) -> Decoder:
    """The decoder of a configuration, weights in fp32.

    Args:
        config: Its section.
        tokenizer: What its ids mean; of a model from scratch it gives the size of the vocabulary.
        sequence_length: Of a pack; the default of a model from scratch for its longest document.

    Raises:
        RecipeError: No such model, or one that the tokenizer or the packs do not fit.
    """
    made = _read_config(config, tokenizer, sequence_length)
    _check_fit(made, config, tokenizer, sequence_length)
    try:
        architecture = transformers.AutoModelForCausalLM._model_mapping[type(made)]
    except KeyError as error:
        raise RecipeError(
            f"decoder: {type(made).__name__} is no causal language model of transformers"
        ) from error
    options = {"attn_implementation": pick_attention(config, architecture), "dtype": torch.float32}
    try:
        if config.model and not config.random_weights:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                config.model, config=made, **options
            )
        else:
            make: Any = transformers.AutoModelForCausalLM.from_config
            model = make(made, **options)
    except Exception as error:  # of values that a family does not take it raises what it likes
        raise RecipeError(
            f"decoder: {config.model or config.config.get('model_type')}: cannot be made by "
            f"transformers: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    _check_head(model)
    if config.recompute:
        _recompute_layers(model)
    if config.freeze:
        model.requires_grad_(False)
    decoder = Decoder(model)
    decoder.layers()
    return decoder


def _read_config(config: DecoderConfig, tokenizer: "TextTokenizer", sequence_length: int) -> Any:
    if config.model:
        try:
            return transformers.AutoConfig.from_pretrained(config.model)
        except (ValueError, OSError) as error:
            raise RecipeError(
                f"decoder.model: {config.model}: {type(error).__name__}: {str(error)[:300]}"
            ) from error
    wanted = dict(config.config)
    kind = wanted.pop("model_type", None)
    known = transformers.CONFIG_MAPPING
    if kind not in known:
        raise RecipeError(f"decoder.config.model_type: {kind!r} is no model type of transformers")
    names = {each.name for each in fields(known[kind])} | set(known[kind].attribute_map)
    for key in wanted:
        if key not in names:  # transformers would keep it as a remark and build something else
            raise RecipeError(f"decoder.config.{key}: {known[kind].__name__} has no such field")
    # A row of padding is not trained, so the end of a text must not stand in for it.
    padding = tokenizer.pad if tokenizer.pad != tokenizer.eos else None
    for key, value in {
        "vocab_size": tokenizer.vocabulary,
        "max_position_embeddings": sequence_length,
        "bos_token_id": tokenizer.bos,
        "eos_token_id": tokenizer.eos,
        "pad_token_id": padding,
    }.items():
        if key in names:
            wanted.setdefault(key, value)
    try:
        return transformers.AutoConfig.for_model(kind, **wanted)
    except Exception as error:  # its validation raises types of its own
        raise RecipeError(f"decoder.config: {str(error)[:300]}") from error


def _check_fit(
    made: Any, config: DecoderConfig, tokenizer: "TextTokenizer", sequence_length: int
) -> None:
    vocabulary = getattr(made, "vocab_size", None)
    if vocabulary is not None and vocabulary < tokenizer.vocabulary:
        raise RecipeError(
            f"decoder: a vocabulary of {vocabulary}, where the tokenizer has "
            f"{tokenizer.vocabulary} ids: take the model's own tokenizer, or a larger vocab_size"
        )
    longest = getattr(made, "max_position_embeddings", None)
    if longest is not None and longest < sequence_length:
        raise RecipeError(
            f"data.sequence_length: {sequence_length}, where the decoder takes documents of "
            f"{longest} tokens (max_position_embeddings)"
        )
    dropout = getattr(made, "attention_dropout", 0.0)
    if dropout and config.attention in ("auto", "flex_attention") and torch.cuda.is_available():
        raise RecipeError(
            f"decoder: attention_dropout {dropout}, which flex_attention does not have: set "
            "decoder.attention to sdpa"
        )


def _recompute_layers(model: Any) -> None:
    # The name changed between versions of transformers that we run with.
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _check_head(model: Any) -> None:
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or not hasattr(model.get_input_embeddings(), "weight"):
        raise RecipeError(
            f"decoder: {type(model).__name__}: its head is no linear layer, so its loss cannot be "
            "taken chunk by chunk"
        )
