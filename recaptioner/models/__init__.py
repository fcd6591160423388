"""The small captioner that the project makes and ships, as files."""

from pathlib import Path


def tiny_captioner_folder() -> Path:
    """The LLaVA folder of the captioner of the demo (`model = "weft:tiny-captioner"` in a recipe).

    It knows drawn shapes in eight colours and nothing else: for the demo, tests and benchmarks.
    `make captioner` makes it.
    """
    return Path(__file__).parent / "tiny_captioner"
