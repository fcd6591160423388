"""Recipes: one TOML file says what a corpus is. Every key is typed, named and checked on load.

A recipe holds what shapes the output and nothing else: no paths, no workers. Its fingerprint is
the hash of its resolved form, so two spellings of one recipe are one recipe.
"""

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import RecipeError
from schemas.ids import digest
from schemas.shards import ShardFormat
from transforms import candidates, select_images
from transforms.assign import parse_captioned_gate, parse_text_gate
from transforms.block_lists import BlockListConfig
from transforms.contamination_items import DecontaminationConfig
from transforms.distinct_images import ImageDedupConfig, image_dedup_checks
from transforms.document_gate import check_document_gate
from transforms.document_rules import DocumentGate, parse_document_gate
from transforms.extract import ExtractSettings
from transforms.fetch_config import FetchConfig, fetch_checks
from transforms.gates import RowGate, check_gate, parse_gate
from transforms.input_columns import InputConfig, check_config
from transforms.input_formats import format_names
from transforms.page_rank import check_rank
from transforms.pages import PAGE_SCHEMA
from transforms.refs import RefsConfig
from transforms.signed_pages import DedupConfig


@dataclass(frozen=True, slots=True)
class CaptionConfig:
    """Which caption of an image becomes the sample's text."""

    prefer: tuple[str, ...] = ("table", "alt", "figcaption", "neighbour", "title", "paragraph")
    """Origins, best first; within an origin the longer caption wins. MM1 trains on alt text."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How samples are held out."""

    validation: float = 0.0
    """Share of sites (or of duplicate components) whose samples go to the split `validation`."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """When a run is given up."""

    max_failed_fraction: float = 0.1
    """Failed rows a table may have, as a share of the rows that enter it, before the run fails."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The rules that decide, gate by gate."""

    dedup: RowGate
    fetch_image: RowGate
    fetch_caption: RowGate
    captioned: RowGate
    interleaved: DocumentGate
    text: RowGate


@dataclass(frozen=True)
class Settings:
    """Everything of a recipe but its gates."""

    name: str
    description: str = ""
    input: InputConfig = field(default_factory=InputConfig)
    extract: ExtractSettings = field(default_factory=ExtractSettings)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    dedup_images: ImageDedupConfig = field(default_factory=ImageDedupConfig)
    refs: RefsConfig = field(default_factory=RefsConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    block_lists: BlockListConfig = field(default_factory=BlockListConfig)
    decontamination: DecontaminationConfig = field(default_factory=DecontaminationConfig)
    captions: CaptionConfig = field(default_factory=CaptionConfig)
    shards: ShardFormat = field(default_factory=ShardFormat)
    splits: SplitConfig = field(default_factory=SplitConfig)
    run: RunConfig = field(default_factory=RunConfig)


@dataclass(frozen=True)
class Recipe:
    """A recipe, checked."""

    settings: Settings
    gates: Gates
    values: dict[str, Any]
    """The resolved recipe as plain values: what `run.json` records."""

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.settings.name

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can change the output."""
        # How work is cut and dealt changes nothing in a shard, nor does when a run gives up.
        # How images are asked for changes answers, which are recorded, not what is made of them.
        neutral = ("name", "description", "run", "refs", "fetch")
        shaping = {key: value for key, value in self.values.items() if key not in neutral}
        for section, key in (("dedup", "buckets"), ("input", "part_bytes")):
            shaping[section] = {k: v for k, v in shaping[section].items() if k != key}
        return digest(_canonical(shaping))

    def section(self, *names: str) -> str:
        """Canonical text of some sections, for the fingerprints of the parts they shape."""
        return _canonical({name: _at(self.values, name) for name in names})


def _canonical(values: Any) -> str:
    """One text for one meaning. Keys keep their order: that of rules says which one is decisive."""
    return json.dumps(values, separators=(",", ":"), default=list)


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with Weft."""
    folder = resources.files("pipeline") / "recipes"
    names = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, or a file by path, with `a.b=c` overrides. Raises `RecipeError`."""
    values = _read(name_or_path)
    for override in overrides:
        _override(values, override)
    return make_recipe(values)


def _read(name_or_path: str) -> dict[str, Any]:
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise RecipeError(f"recipe {name_or_path}: cannot be read: {e}") from e
        default_name = path.stem
    else:
        names = shipped_recipes()
        if name_or_path not in names:
            raise RecipeError(
                f"recipe {name_or_path}: not one of {', '.join(names)}; a recipe of your own is a "
                "path that ends in .toml"
            )
        text = (resources.files("pipeline") / "recipes" / f"{name_or_path}.toml").read_text("utf-8")
        default_name = name_or_path
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RecipeError(f"recipe {name_or_path}: not valid TOML: {e}") from e
    return {"name": default_name, **values}


def _override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not path:
        raise RecipeError(f"--set {override}: give it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # A bare word is a string, so that quoting twice is not needed in a shell.
        value = text.strip()
    *parents, last = path.split(".")
    at = values
    for name in parents:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise RecipeError(f"--set {override}: {name} is a value, not a section")
    at[last] = value


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values. Raises `RecipeError` that names the key."""
    plain = {key: value for key, value in values.items() if key != "gates"}
    _check_keys(plain, Settings, "", extra=("gates",))
    try:
        settings = msgspec.convert(plain, Settings, strict=True)
    except RecipeError as e:
        # The shard format checks itself, and so do sections that say whose error it is.
        said = str(e)
        named = said.startswith(("block_lists", "decontamination"))
        raise RecipeError(said if named else f"shards: {said}") from e
    except msgspec.ValidationError as e:
        message, _, where = str(e).partition(" - at ")
        raise RecipeError(f"{where.strip('`').removeprefix('$.') or 'recipe'}: {message}") from e
    _check_values(settings)
    gates, gate_values = _make_gates(values.get("gates", {}))
    resolved: dict[str, Any] = _without_unset(msgspec.to_builtins(settings))
    resolved["gates"] = gate_values
    return Recipe(settings, gates, resolved)


def _without_unset(value: Any) -> Any:
    """Leave out keys without a value: TOML has no null, and unset is unset either way."""
    if not isinstance(value, dict):
        return value
    return {key: _without_unset(item) for key, item in value.items() if item is not None}


def _check_values(settings: Settings) -> None:
    check_config(settings.input, format_names())
    check_rank(settings.dedup.prefer, settings.dedup.score, PAGE_SCHEMA)
    checks = {
        "splits.validation: must be from 0 to 0.5": 0 <= settings.splits.validation <= 0.5,
        "run.max_failed_fraction: must be from 0 to 1": 0 <= settings.run.max_failed_fraction <= 1,
        "dedup.buckets: must be from 1 to 99999": 1 <= settings.dedup.buckets <= 99999,
        "dedup.one_process_edges: must be at least 0": settings.dedup.one_process_edges >= 0,
        "refs.buckets: must be from 1 to 99999": 1 <= settings.refs.buckets <= 99999,
        "dedup.paragraph_pages: must be 0 (off), or at least 2": (
            settings.dedup.paragraph_pages == 0 or settings.dedup.paragraph_pages >= 2
        ),
        "dedup.min_similarity: must be from 0 to 1": 0 <= settings.dedup.min_similarity <= 1,
        "dedup.verify: signatures or texts": settings.dedup.verify in ("signatures", "texts"),
        "captions.prefer: name at least one origin": len(settings.captions.prefer) > 0,
        "extract.pack_bytes: must be at least 65536": settings.extract.pack_bytes >= 65536,
        **image_dedup_checks(settings.dedup_images),
        **fetch_checks(settings.fetch),
    }
    for message, holds in checks.items():
        if not holds:
            raise RecipeError(message)


def _check_keys(values: Any, made: Any, where: str, extra: tuple[str, ...] = ()) -> None:
    """Refuse keys that a section does not have; msgspec ignores them in dataclasses."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: must be a section, not {values!r}")
    hints = typing.get_type_hints(made)
    known = [column.name for column in dataclasses.fields(made)]
    for key, value in values.items():
        path = f"{where}.{key}" if where else key
        if key not in known:
            raise unknown_key(path, key, [*known, *extra])
        hint = hints[key]
        if typing.get_origin(hint) is types.UnionType:
            hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        if dataclasses.is_dataclass(hint):
            _check_keys(value, hint, path)


def unknown_key(path: str, key: str, known: Sequence[str]) -> RecipeError:
    """The error for a key that nobody knows, with the nearest that somebody does."""
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(sorted(known))}"
    return RecipeError(f"{path}: unknown key{hint}")


_GATE_TREE = {
    "dedup": None,
    "fetch": ("image", "caption"),
    "shard": ("captioned", "interleaved", "text"),
}


def _make_gates(values: Any) -> tuple[Gates, dict[str, Any]]:
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
    fetch, shard = plain.get("fetch", {}), plain.get("shard", {})
    row_gates = {}
    parsers = {
        "gates.shard.captioned": parse_captioned_gate, "gates.shard.text": parse_text_gate
    }  # fmt: skip
    for path, section, schema in (
        ("gates.dedup", plain.get("dedup", {}), PAGE_SCHEMA),
        ("gates.fetch.image", fetch.get("image", {}), select_images.FETCH_IMAGE_SCHEMA),
        ("gates.fetch.caption", fetch.get("caption", {}), select_images.FETCH_CAPTION_SCHEMA),
        ("gates.shard.captioned", shard.get("captioned", {}), candidates.CAPTION_SCHEMA),
        ("gates.shard.text", shard.get("text", {}), candidates.DOCUMENT_SCHEMA),
    ):
        parse = parsers.get(path, parse_gate)
        gate = parse(section, path)
        check_gate(gate, schema, path)
        row_gates[path] = gate
    where = "gates.shard.interleaved"
    interleaved = parse_document_gate(shard.get("interleaved", {}), where)
    check_document_gate(interleaved, candidates.DOCUMENT_SCHEMA, candidates.NODE_SCHEMA, where)
    gates = Gates(
        dedup=row_gates["gates.dedup"],
        fetch_image=row_gates["gates.fetch.image"],
        fetch_caption=row_gates["gates.fetch.caption"],
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
