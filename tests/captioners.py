"""Small captioners whose weights are drawn, as LLaVA folders that vLLM loads; their pictures."""

import random
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from pipeline.demo.scenes import draw_scene, make_scene


def make_captioner(folder: Path) -> Path:
    """A model of the shape of the shipped captioner. What it writes is nonsense, and depends on
    picture and text."""
    import torch

    from trainer.config import load_config, parse_config
    from trainer.data.tokenizer import TextTokenizer
    from trainer.export import export_model
    from trainer.model.multimodal import build_model

    settings = asdict(load_config("captioner"))
    settings["run"]["seed"] = 3
    config = parse_config(settings)
    tokenizer = TextTokenizer(config.decoder.tokenizer)
    model = build_model(config, tokenizer).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    assert export_model(model, tokenizer, config, folder) == "llava"
    return folder


def make_pictures(count: int) -> list[Image.Image]:
    rng = random.Random(7)
    return [draw_scene(make_scene(rng), 64, 64) for _ in range(count)]
