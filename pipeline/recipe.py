"""Recipes: one TOML file says what a corpus is. Every key is typed, named and checked on load.

A recipe holds what shapes the output, and in `[workers]` on what machines a service runs it. Its
fingerprint is the hash of its resolved form but for what shapes nothing, so two spellings of one
recipe are one recipe.
"""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import msgspec

from pipeline.recipe_gates import (
    Gates,
    check_assignment,
    columns_of,
    known_columns,
    make_gates,
    unknown_key,
    with_columns,
)
from pipeline.report.config import ReportConfig
from pipeline.workers import WorkersConfig, check_workers
from recaptioner.config import RecaptionConfig, asked_templates
from schemas.errors import OutputError, RecipeError
from schemas.ids import digest
from schemas.overrides import override_value
from schemas.shards import ShardFormat
from transforms import storage
from transforms.block_lists import BlockListConfig
from transforms.caption_choice import CaptionConfig
from transforms.contamination_items import DecontaminationConfig
from transforms.distinct_images import ImageDedupConfig, image_dedup_checks
from transforms.extract import ExtractSettings
from transforms.fetch_config import FetchConfig, fetch_checks
from transforms.image_order import InterleavedConfig, check_order
from transforms.input_columns import InputConfig, check_config
from transforms.input_formats import format_names
from transforms.page_rank import check_rank
from transforms.pages import PAGE_SCHEMA
from transforms.personal_data import PrivacyConfig, check_masks
from transforms.refs import RefsConfig
from transforms.score_items import ScoreConfig
from transforms.scored_rows import ScoreColumns
from transforms.scorers.base import Scorer
from transforms.scorers.registry import parse_scorers
from transforms.signed_pages import DedupConfig
from transforms.soft_cap import SamplingStreams, check_sampling
from transforms.text_models import TextModelConfig, check_text_models


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
    text_models: dict[str, TextModelConfig] = field(default_factory=dict)
    scorers: dict[str, Any] = field(default_factory=dict)
    """A table a scorer: see `Recipe.scorers`."""
    score: ScoreConfig = field(default_factory=ScoreConfig)
    recaption: RecaptionConfig = field(default_factory=RecaptionConfig)
    captions: CaptionConfig = field(default_factory=CaptionConfig)
    interleaved: InterleavedConfig = field(default_factory=InterleavedConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    shards: ShardFormat = field(default_factory=ShardFormat)
    splits: SplitConfig = field(default_factory=SplitConfig)
    sampling: SamplingStreams = field(default_factory=SamplingStreams)
    report: ReportConfig = field(default_factory=ReportConfig)
    run: RunConfig = field(default_factory=RunConfig)
    workers: WorkersConfig = field(default_factory=WorkersConfig)


@dataclass(frozen=True)
class Recipe:
    """A recipe, checked."""

    settings: Settings
    gates: Gates
    scorers: dict[str, Scorer]
    """By name, in recipe order."""
    values: dict[str, Any]
    """The resolved recipe as plain values: what `run.json` records."""

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.settings.name

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can change the output."""
        # How work is cut and dealt changes nothing in a shard, nor where, nor when a run gives up.
        # How images are asked for changes answers, which are recorded, not what is made of them.
        neutral = ("name", "description", "report", "run", "refs", "fetch", "workers")
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
    """A shipped recipe by name, or a file by path or URL, with `a.b=c` overrides.

    Raises:
        RecipeError: It names the key, or the file.
    """
    values = _read(name_or_path)
    for override in overrides:
        override_value(values, override)
    return make_recipe(values)


def _read(name_or_path: str) -> dict[str, Any]:
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        try:
            data = storage.read_bytes(name_or_path)
            if data is None:
                raise FileNotFoundError("there is no such file")
            text = data.decode("utf-8")
        except (OSError, UnicodeDecodeError, OutputError) as e:
            raise RecipeError(f"recipe {name_or_path}: cannot be read: {e}") from e
        default_name = PurePosixPath(name_or_path).stem
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


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values. Raises `RecipeError` that names the key."""
    plain = {key: value for key, value in values.items() if key != "gates"}
    _check_keys(plain, Settings, "", extra=("gates",))
    try:
        settings = msgspec.convert(plain, Settings, strict=True)
    except RecipeError as e:
        # The shard format checks itself, and so do sections that say whose error it is.
        said = str(e)
        named = said.startswith(
            ("block_lists", "captions", "decontamination", "recaption", "report")
        )
        raise RecipeError(said if named else f"shards: {said}") from e
    except msgspec.ValidationError as e:
        message, _, where = str(e).partition(" - at ")
        raise RecipeError(f"{where.strip('`').removeprefix('$.') or 'recipe'}: {message}") from e
    _check_values(settings)
    asked_templates(settings.recaption)
    scorers = parse_scorers(settings.scorers)
    columns = columns_of(settings.text_models, ScoreColumns.of(scorers))
    gates, gate_values = make_gates(values.get("gates", {}), columns)
    check_order(settings.interleaved, gates.interleaved.assign)
    check_assignment(gates.interleaved.assign, scorers)
    if settings.sampling.captioned is not None:
        check_sampling(settings.sampling.captioned, columns.captions, "sampling.captioned")
    resolved: dict[str, Any] = _without_unset(msgspec.to_builtins(settings))
    resolved["gates"] = gate_values
    return Recipe(settings, gates, scorers, resolved)


def _without_unset(value: Any) -> Any:
    """Leave out keys without a value: TOML has no null, and unset is unset either way."""
    if not isinstance(value, dict):
        return value
    return {key: _without_unset(item) for key, item in value.items() if item is not None}


def _check_values(settings: Settings) -> None:
    check_config(settings.input, format_names())
    check_text_models(settings.text_models, known_columns())
    pages = with_columns(PAGE_SCHEMA, settings.text_models)
    check_rank(settings.dedup.prefer, settings.dedup.score, pages)
    check_masks(settings.privacy.mask)
    check_workers(settings.workers, settings.recaption.vllm.tensor_parallel_size)
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
        "score.buckets: must be from 1 to 99999": 1 <= settings.score.buckets <= 99999,
        "score.part_images: must be at least 1": settings.score.part_images >= 1,
        "score.part_texts: must be at least 1": settings.score.part_texts >= 1,
        "score.decoders: must be from 0 to 1024": 0 <= settings.score.decoders <= 1024,
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
        elif typing.get_origin(hint) is dict and isinstance(value, Mapping):
            section_type = typing.get_args(hint)[1]
            for name, section in value.items() if dataclasses.is_dataclass(section_type) else ():
                _check_keys(section, section_type, f"{path}.{name}")
