"""The gates of a recipe: parsed, and checked against the columns that they will see."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.errors import RecipeError
from transforms import candidates, select_images
from transforms.assign import parse_captioned_gate, parse_text_gate
from transforms.document_gate import check_document_gate
from transforms.document_rules import DocumentGate, parse_document_gate
from transforms.gates import RowGate, check_gate, parse_gate
from transforms.pages import PAGE_SCHEMA
from transforms.paragraph_scores import RATIOS
from transforms.score_columns import score_fields
from transforms.scored_rows import ScoreColumns
from transforms.scorers.base import Scorer
from transforms.text_models import TextModelConfig


@dataclass(frozen=True, slots=True)
class Gates:
    """The rules that decide, gate by gate."""

    dedup: RowGate
    fetch_image: RowGate
    fetch_caption: RowGate
    score_image: RowGate
    score_caption: RowGate
    recaption: RowGate
    captioned: RowGate
    interleaved: DocumentGate
    text: RowGate


def unknown_key(path: str, key: str, known: Sequence[str]) -> RecipeError:
    """The error for a key that nobody knows, with the nearest that somebody does."""
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(sorted(known))}"
    return RecipeError(f"{path}: unknown key{hint}")


_GATE_TREE = {
    "dedup": None,
    "fetch": ("image", "caption"),
    "score": ("image", "caption"),
    "recaption": None,
    "shard": ("captioned", "interleaved", "text"),
}


def known_columns() -> dict[str, str]:
    """Columns that no model may be called by, and whose they are."""
    schemas = {
        "captions": candidates.CAPTION_SCHEMA,
        "nodes": candidates.NODE_SCHEMA,
        "pages": candidates.DOCUMENT_SCHEMA,
    }
    return {name: what for what, schema in schemas.items() for name in schema.names}


@dataclass(frozen=True)
class Columns:
    """What the gates of a recipe see: columns of tables, and those that the recipe adds."""

    pages: pa.Schema
    documents: pa.Schema
    captions: pa.Schema
    nodes: pa.Schema


def columns_of(models: Mapping[str, TextModelConfig], scores: ScoreColumns) -> Columns:
    """The columns of a recipe. Raises `RecipeError` for one that two would have."""
    of_paragraphs = [name for name, model in models.items() if model.paragraphs]
    of_images = (*scores.image, *scores.pair)
    found = Columns(
        with_columns(PAGE_SCHEMA, models),
        with_columns(candidates.DOCUMENT_SCHEMA, models),
        with_columns(candidates.CAPTION_SCHEMA, (*models, *of_images)),
        with_columns(candidates.NODE_SCHEMA, (*RATIOS, *of_paragraphs, *of_images)),
    )
    for schema in (found.captions, found.nodes):
        for name in of_images:
            if schema.names.count(name) > 1:
                raise RecipeError(f"scorers: the column {name!r} is another's already")
    return found


def with_columns(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    """What a gate sees where scorers of the recipe add columns to it."""
    return pa.schema([*schema, *score_fields(tuple(names))])


def make_gates(values: Any, columns: Columns) -> tuple[Gates, dict[str, Any]]:
    """Parse and check all gates; also their plain form, without rules that are switched off."""
    if not isinstance(values, Mapping):
        raise RecipeError("gates: must be a section")
    for name, section in values.items():
        if name not in _GATE_TREE:
            raise unknown_key(f"gates.{name}", name, list(_GATE_TREE))
        children = _GATE_TREE[name]
        if children is None:
            continue
        if not isinstance(section, Mapping):
            raise RecipeError(f"gates.{name}: must be a section")
        for child in section:
            if child not in children:
                raise unknown_key(f"gates.{name}.{child}", child, children)
    plain = _without_switched_off(values)
    fetch, score, shard = (plain.get(name, {}) for name in ("fetch", "score", "shard"))
    row_gates = {}
    parsers = {
        "gates.shard.captioned": parse_captioned_gate, "gates.shard.text": parse_text_gate
    }  # fmt: skip
    for path, section, schema in (
        ("gates.dedup", plain.get("dedup", {}), columns.pages),
        ("gates.fetch.image", fetch.get("image", {}), select_images.FETCH_IMAGE_SCHEMA),
        ("gates.fetch.caption", fetch.get("caption", {}), select_images.FETCH_CAPTION_SCHEMA),
        ("gates.score.image", score.get("image", {}), candidates.NODE_SCHEMA),
        ("gates.score.caption", score.get("caption", {}), candidates.CAPTION_SCHEMA),
        ("gates.recaption", plain.get("recaption", {}), columns.captions),
        ("gates.shard.captioned", shard.get("captioned", {}), columns.captions),
        ("gates.shard.text", shard.get("text", {}), columns.documents),
    ):
        parse = parsers.get(path, parse_gate)
        gate = parse(section, path)
        check_gate(gate, schema, path)
        row_gates[path] = gate
    where = "gates.shard.interleaved"
    interleaved = parse_document_gate(shard.get("interleaved", {}), where)
    check_document_gate(interleaved, columns.documents, columns.nodes, where)
    gates = Gates(
        dedup=row_gates["gates.dedup"],
        fetch_image=row_gates["gates.fetch.image"],
        fetch_caption=row_gates["gates.fetch.caption"],
        score_image=row_gates["gates.score.image"],
        score_caption=row_gates["gates.score.caption"],
        recaption=row_gates["gates.recaption"],
        captioned=row_gates["gates.shard.captioned"],
        interleaved=interleaved,
        text=row_gates["gates.shard.text"],
    )
    return gates, plain


def _without_switched_off(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rules set to `false` are left out: `--set gates.shard.text.language=false`."""
    if "value" in values or "sql" in values:
        return dict(values)
    return {
        key: _without_switched_off(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not False
    }


def check_assignment(name: str | None, scorers: Mapping[str, Scorer]) -> None:
    """What images are assigned by must have scored them with the texts of their documents."""
    where = "gates.shard.interleaved.assign"
    if name is None:
        return
    scorer = scorers.get(name)
    if scorer is None:
        raise RecipeError(f"{where}: there is no [scorers.{name}] in the recipe")
    source = scorer if scorer.of is None else scorers[scorer.of]
    if not scorer.pair_columns or getattr(source.config, "documents", "off") == "off":
        raise RecipeError(
            f"{where}: scorer {name} does not score documents; set "
            f'scorers.{source.name}.documents = "sentences" or "paragraphs"'
        )
