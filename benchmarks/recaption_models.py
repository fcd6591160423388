"""The shipped captioner at the cost of a larger model, for `make bench-recaption`.

No usable captioner has 1.2 million parameters. A wider feed-forward layer whose new units lead to
nothing computes as much as a layer of a larger model and leaves every caption as it was, so both
sides of the comparison do what they do with a model that sees.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def widen_captioner(source: Path, target: Path, width: int) -> int:
    """Copy a captioner with feed-forward layers of `width` units in its language model.

    Returns:
        Its parameters.
    """
    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["intermediate_size"] = width
    (target / "config.json").write_text(json.dumps(config))
    weights = load_file(source / WEIGHTS)
    generator = torch.Generator().manual_seed(0)
    for name, old in weights.items():
        if "language_model" not in name or ".mlp." not in name:
            continue
        is_down = name.endswith("down_proj.weight")
        new = torch.zeros((old.shape[0], width) if is_down else (width, old.shape[1]))
        if not is_down:
            # Not zeros: what they compute must cost what it costs.
            new.normal_(0, 0.02, generator=generator)
        new[: old.shape[0], : old.shape[1]] = old
        weights[name] = new.to(old.dtype)
    save_file(weights, target / WEIGHTS)
    return sum(value.numel() for value in weights.values())
