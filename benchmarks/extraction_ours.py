"""Our side of `make bench-extract`, a process a run: `python -m benchmarks.extraction_ours ...`.

`pages BACKEND PAGES.json` extracts every page, `held-out BACKEND FOLDS.npz PAGES.json` does so with
weights fitted to other sites; with `--whole` headline and captions stay in. `agreement PAGES.json`
compares the backends node by node. Prints a line of JSON.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.content_network import as_whole_model
from benchmarks.peers import Content, Extractor, pin_to_one_core, run_pages
from benchmarks.train_content_model import fold_of
from schemas.errors import DataError
from schemas.rows import Node
from transforms.content_model import ContentModel
from transforms.html_parsers import BACKENDS
from transforms.interleave import extract_page
from transforms.page_limits import ExtractConfig
from transforms.urls import site_of

CONFIG = ExtractConfig(max_seconds=600.0)
"""A deadline that nothing here reaches: what is found must not depend on the machine's speed."""


def content_of(nodes: Sequence[Node], *, whole: bool = False) -> Content:
    """Text nodes one below the other, their light markup left in; images with their full size.

    The body text is what the sets hold: without the headline (the first heading, of level 1) and
    without captions, which belong to their images. `whole` leaves both in.
    """
    texts = [node for node in nodes if node.text]
    if not whole:
        first = next((node for node in texts if node.role == "heading"), None)
        headline = first if first and (first.text or "").startswith("# ") else None
        texts = [node for node in texts if node is not headline and node.role != "caption"]
    text = "\n".join(node.text or "" for node in texts)
    images = [
        [url for url in (node.image_url, node.full_url) if url]
        for node in nodes
        if node.kind == "image"
    ]
    return Content(text, images)


def our_extractor(
    backend: str,
    model_of: Callable[[str], ContentModel | None] = lambda url: None,
    *,
    whole: bool = False,
) -> Extractor:
    """The shipped extractor on a backend; a page that it refuses has nothing.

    `model_of` gives the content model for a URL, None for the shipped one.
    """

    def extract(html: str, url: str) -> Content:
        try:
            nodes = extract_page(html, url, CONFIG, backend, model_of(url)).nodes
            return content_of(nodes, whole=whole)
        except DataError:
            return Content("", failed=True)

    return extract


def held_out_extractor(
    backend: str, folds: Path, pages: Sequence[dict[str, Any]], *, whole: bool = False
) -> Extractor:
    """The shipped extractor, with the content model of a fold that never saw the page's site.

    Args:
        backend: Parser.
        folds: The weights of each fold, as `train_content_model.py` writes them.
        pages: The pages that will come; which weights are theirs is no cost of extracting them.
    """
    with np.load(folds, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    models = {}
    for fold in {int(name.partition("/")[0]) for name in arrays}:
        own = {
            name.partition("/")[2]: value
            for name, value in arrays.items()
            if name.startswith(f"{fold}/")
        }
        models[fold] = as_whole_model(own)
    of_page = {page["url"]: models[fold_of(site_of(page["url"]))] for page in pages}
    return our_extractor(backend, of_page.__getitem__, whole=whole)


def first_difference(first: Sequence[Node], second: Sequence[Node]) -> int | None:
    """Position of the first node that is not the same in both, None where there is none."""
    for position, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return position
    return None if len(first) == len(second) else min(len(first), len(second))


def _outcome(page: dict[str, Any], backend: str) -> list[Node] | str:
    try:
        return extract_page(page["html"], page["url"], CONFIG, backend).nodes
    except DataError as error:
        return type(error).__name__


def _shown(outcome: list[Node] | str, position: int) -> Any:
    if isinstance(outcome, str):
        return outcome
    if position >= len(outcome):
        return None
    return {
        name: value for name, value in asdict(outcome[position]).items() if value not in (None, "")
    }


def compare_backends(pages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pages on which the backends differ, each with the first node that does."""
    differing = []
    for page in pages:
        first, second = (_outcome(page, backend) for backend in BACKENDS)
        if first == second:
            continue
        position = 0
        if not isinstance(first, str) and not isinstance(second, str):
            position = first_difference(first, second) or 0
        differing.append({
            "page": page["name"],
            "node": position,
            BACKENDS[0]: _shown(first, position),
            BACKENDS[1]: _shown(second, position),
        })  # fmt: skip
    return differing


def main() -> None:
    """Program entry."""
    arguments = [each for each in sys.argv[1:] if each != "--whole"]
    whole = len(arguments) < len(sys.argv) - 1
    what, *names, path = arguments
    pin_to_one_core()
    with open(path, encoding="utf-8") as file:
        pages = json.load(file)
    if what == "agreement":
        result: Any = {"pages": len(pages), "differing": compare_backends(pages)}
    elif what == "held-out":
        backend, folds = names
        result = run_pages(held_out_extractor(backend, Path(folds), pages, whole=whole), pages)
    else:
        (backend,) = names
        result = run_pages(our_extractor(backend, whole=whole), pages)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
