"""A trained model as a folder that others load.

With the connector `mlp` it is a LLaVA of Hugging Face, which transformers and vLLM run. Any other
connector has no class there: weights, configuration and tokenizer are written as they are, and
`load_folder` reads them back.
"""

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import save_torch_state_dict

from schemas.errors import InputError, OutputError
from trainer import llava
from trainer.config import TrainConfig, parse_config
from trainer.data.tokenizer import TextTokenizer, tokenizer_folder

if TYPE_CHECKING:
    import torch

    from trainer.loop.restore import Trained
    from trainer.model.multimodal import MultimodalModel

WEFT_CONFIG = "weft_config.json"
"""Marks a folder that only `load_folder` reads."""
WEFT_FORMAT = 1
_DECODER = "decoder"
_SHARD = "5GB"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _open_tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder(source))


def _save_weights(
    weights: dict[str, "torch.Tensor"], folder: Path, dtype: "torch.dtype | None"
) -> None:
    # Each tensor in memory of its own: parts of one matrix would be taken for shared ones.
    own = {
        name: (value if dtype is None or not value.is_floating_point() else value.to(dtype))
        .detach().cpu().clone()
        for name, value in weights.items()
    }  # fmt: skip
    save_torch_state_dict(own, folder, max_shard_size=_SHARD, metadata={"format": "pt"})


def _write_llava(
    model: "MultimodalModel", tokenizer: TextTokenizer, folder: Path, dtype: "torch.dtype | None"
) -> None:
    from transformers import GenerationConfig

    loaded = _open_tokenizer(tokenizer.source)
    if llava.IMAGE_TOKEN not in loaded.get_vocab():
        loaded.add_special_tokens({"extra_special_tokens": [llava.IMAGE_TOKEN]})
    image_token = int(loaded.convert_tokens_to_ids(llava.IMAGE_TOKEN))
    weights = llava.llava_weights(model, image_token)
    rows = len(weights["language_model.model.embed_tokens.weight"])
    config = llava.llava_config(model, image_token, rows)
    _save_weights(weights, folder, dtype)
    name = str(dtype or next(model.parameters()).dtype).removeprefix("torch.")
    # Both spellings of the type: vLLM and older releases of transformers read the second.
    _write_json(folder / "config.json", {**config.to_dict(), "dtype": name, "torch_dtype": name})
    loaded.save_pretrained(str(folder))
    _write_json(folder / "preprocessor_config.json", llava.image_processor_config(model))
    _write_json(folder / "processor_config.json", llava.processor_config(model))
    (folder / "chat_template.jinja").write_text(llava.CHAT_TEMPLATE, encoding="utf-8")
    generation: Any = GenerationConfig  # it has no types
    generation(
        bos_token_id=tokenizer.bos, eos_token_id=tokenizer.eos, pad_token_id=tokenizer.pad
    ).save_pretrained(str(folder))


def _write_weft(
    model: "MultimodalModel", tokenizer: TextTokenizer, config: TrainConfig, folder: Path,
    dtype: "torch.dtype | None", reason: str,
) -> None:  # fmt: skip
    weights = model.state_dict()
    decoder: Any = model.decoder.model
    if decoder.get_input_embeddings().weight is decoder.get_output_embeddings().weight:
        head = next(n for n, m in model.named_modules() if m is decoder.get_output_embeddings())
        weights.pop(f"{head}.weight")
    _save_weights(weights, folder, dtype)
    _open_tokenizer(tokenizer.source).save_pretrained(str(folder))
    decoder.config.save_pretrained(str(folder / _DECODER))
    written = {"format": WEFT_FORMAT, "not_llava": reason, "config": asdict(config)}
    _write_json(folder / WEFT_CONFIG, written)


def export_model(
    model: "MultimodalModel", tokenizer: TextTokenizer, config: TrainConfig, output: Path | str,
    dtype: "torch.dtype | None" = None,
) -> str:  # fmt: skip
    """Write a model; the folder appears whole or not at all.

    Args:
        model: On one device, with all its weights: of a sharded one gather them first.
        tokenizer: That of the model.
        config: What the model was built from.
        output: The folder; it must be absent or empty.
        dtype: Type of the weights; left out, as they are.

    Returns:
        `llava`, or `weft: ` and why it is not.

    Raises:
        OutputError: The folder holds something.
    """
    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: holds something; export into a new folder")
    reason = llava.obstacle(model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        if reason is None:
            _write_llava(model, tokenizer, made, dtype)
        else:
            _write_weft(model, tokenizer, config, made, dtype, reason)
        for path in made.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    return "llava" if reason is None else f"weft: {reason}"


def export(trained: "Trained", output: Path | str, dtype: "torch.dtype | None" = None) -> str:
    """`export_model` of a checkpoint."""
    return export_model(trained.model, trained.tokenizer, trained.config, output, dtype)


def load_folder(folder: Path | str) -> "tuple[MultimodalModel, TextTokenizer, TrainConfig]":
    """A model that `export` wrote in the trainer's own format.

    The image encoder's architecture is looked up by its name again, so a folder that the
    configuration names must still be there.

    Raises:
        InputError: Not such a folder.
    """
    import torch
    from huggingface_hub import load_torch_model

    from trainer.model.multimodal import build_model

    folder = Path(folder)
    path = folder / WEFT_CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder}: no {WEFT_CONFIG} in it: not a model in the trainer's own format; a LLaVA "
            "is loaded by transformers"
        )
    written = json.loads(path.read_text(encoding="utf-8"))
    if written.get("format") != WEFT_FORMAT:
        raise InputError(f"{path}: format {written.get('format')}, not {WEFT_FORMAT}")
    config = parse_config(written["config"])
    decoder = replace(
        config.decoder, model=str(folder / _DECODER), config={}, random_weights=True,
        tokenizer=str(folder),
    )  # fmt: skip
    vision = config.vision
    if not vision.model.startswith(("local-dir:", "hf-hub:", "weft:")):
        vision = replace(vision, pretrained="")
    config = replace(config, decoder=decoder, vision=vision)
    tokenizer = TextTokenizer(str(folder))
    model = build_model(config, tokenizer)
    found: Any = load_torch_model(model, str(folder), strict=False)
    tied: Any = model.decoder.model
    shared = tied.get_input_embeddings().weight is tied.get_output_embeddings().weight
    if found.unexpected_keys or len(found.missing_keys) > int(shared):
        raise InputError(
            f"{folder}: weights that do not fit: missing {found.missing_keys[:3]}, "
            f"unexpected {found.unexpected_keys[:3]}"
        )
    if any(value.dtype != torch.float32 for value in model.parameters()):
        model.float()
    return model, tokenizer, config
