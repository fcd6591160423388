"""The steps of decontamination: what evaluation items are known by, and which texts hold one.

``evaluation -> contamination``, both in stage dedup; images are looked at by step `answers`. The
first is made again when a table changes, the second only when the items do. Without tables in the
recipe there are no parts.
"""

import posixpath
import re

from pipeline.inputs import stamp_of
from pipeline.runners import Build
from pipeline.state import EvaluationTable, RunState
from pipeline.steps import Step, map_parts, page_files
from schemas.errors import InputError, OutputError
from schemas.ids import digest
from transforms import contamination, image_facts, minhash, storage
from transforms.contamination_items import DecontaminationConfig, ItemColumns, table_columns
from transforms.image_answers import EvaluationImages
from transforms.select_images import KeptFiles
from transforms.sink import Part

ITEMS_PART = "evaluation-all"
_GLOB = re.compile(r"[*?\[]")
_SHAPING = (
    "benchmark", "item", "texts", "images", "sha256", "phash", "ngram", "min_words",
)  # fmt: skip
"""Keys of the section that shape what items are known by."""


# --- the tables, before anything runs


def find_tables(config: DecontaminationConfig) -> list[EvaluationTable]:
    """The files of evaluation items, by name; each is looked at.

    Raises:
        InputError: No such file, one that cannot be read, or one without the columns of an item.
    """
    files = {table.url: table for name in config.tables for table in _expand(name)}
    tables = [files[url] for url in sorted(files)]
    found = [table_columns(table.url, config) for table in tables]
    if tables:
        _check_named(config, found)
    return tables


def _expand(name: str) -> list[EvaluationTable]:
    where = f"decontamination.tables: {name}"
    try:
        fs, path = storage.resolve(name)
        if _GLOB.search(path) and not fs.exists(path):
            infos = fs.glob(path, detail=True)
        else:
            infos = {path: fs.info(path)}
    except FileNotFoundError as e:
        raise InputError(f"{where}: there is no such file") from e
    except (OSError, OutputError) as e:
        raise InputError(f"{where}: cannot be read: {e}") from e
    files = {at: info for at, info in infos.items() if info["type"] == "file"}
    if not files:
        raise InputError(f"{where}: there is no such file; a folder is named as FOLDER/*.parquet")
    made = [
        EvaluationTable(fs.unstrip_protocol(at), int(info["size"]), stamp_of(info))
        for at, info in files.items()
    ]
    for table in made:
        if not table.size:
            raise InputError(f"{where}: {table.url}: the file is empty")
    return made


def _check_named(config: DecontaminationConfig, found: list[ItemColumns]) -> None:
    """Refuse a column that no table has: most likely it is misspelt."""
    read = {name.lower() for columns in found for name in columns.names}
    for key in ("texts", "images", "sha256", "phash"):
        named = getattr(config, key)
        for name in (named,) if isinstance(named, str) else named:
            if name and name.lower() not in read:
                raise InputError(
                    f"decontamination.{key}: no table has a column {name!a}; tables: "
                    f"{', '.join(config.tables)}"
                )


# --- evaluation: what items are known by


def _evaluation_parts(state: RunState) -> list[Part]:
    tables = state.evaluation_tables
    if not tables:
        return []
    settings = state.recipe.settings.decontamination
    identities = [
        value
        for table in tables
        for value in (posixpath.basename(table.url), table.size, table.stamp)
    ]
    fingerprint = digest(
        *identities,
        *(str(getattr(settings, name)) for name in _SHAPING),
        contamination.STEP_VERSION,
        minhash.STEP_VERSION,
        image_facts.STEP_VERSION,
    )
    return [Part(ITEMS_PART, fingerprint[:16], tuple(table.url for table in tables))]


def _evaluate(state: RunState, missing: list[Part]) -> Build:
    function = contamination.BuildEvaluation(state.recipe.settings.decontamination)
    return map_parts("BuildEvaluation", contamination.STAGE, state.output, missing, function)


def _identity(state: RunState, what: str) -> str:
    """A hash of the texts, or images, of items: equal items in any files have the same."""
    commit = state.commits["evaluation"].get(ITEMS_PART)
    return "" if commit is None else str(commit.details[what])


# --- contamination: pages and captions that hold a text of an item


def _contamination_parts(state: RunState) -> list[Part]:
    """A part for each part of the extract stage; none where no item has a text."""
    commit = state.commits["evaluation"].get(ITEMS_PART)
    if commit is None or not commit.facts["evaluation_texts"]:
        return []
    config = digest(
        _identity(state, "texts"),
        str(state.recipe.settings.decontamination.min_overlap),
        contamination.STEP_VERSION,
        minhash.STEP_VERSION,
    )
    parts = []
    for name, extracted in sorted(state.commits["extract"].items()):
        signed = state.commits["signatures"][f"signatures-{name}"]
        spec = KeptFiles(
            pages=page_files(state, name),
            signatures=state.file("signatures", signed.part, "signatures"),
            clusters=None,
            repeats=None,
        )
        fingerprint = digest(extracted.name, signed.name, config)[:16]
        weight = sum(counts.kept for counts in extracted.counts.values())
        parts.append(Part(f"contamination-{name}", fingerprint, spec, weight))
    return parts


def _match_texts(state: RunState, missing: list[Part]) -> Build:
    files = contamination.EvaluationFiles(
        *(
            state.file("evaluation", ITEMS_PART, f"evaluation_{name}")
            for name in ("texts", "ngrams")
        )
    )
    overlap = state.recipe.settings.decontamination.min_overlap
    function = contamination.MatchTexts(state.output, files, overlap)
    return map_parts("MatchTexts", contamination.STAGE, state.output, missing, function)


def contamination_file(state: RunState, name: str) -> str | None:
    """What was found in an extract part; None where nothing was, or nothing was looked for."""
    part = f"contamination-{name}"
    found = state.commits["contamination"]
    return state.file("contamination", part, "contamination") if part in found else None


def removed_texts(state: RunState, name: str) -> str:
    """A hash of what was removed from an extract part, for the steps that read the rest."""
    commit = state.commits["contamination"].get(f"contamination-{name}")
    return "" if commit is None else str(commit.details[contamination.REMOVED])


# --- images, for step `answers`


def evaluation_images(state: RunState) -> EvaluationImages | None:
    """The images of items; None where there are none."""
    commit = state.commits["evaluation"].get(ITEMS_PART)
    if commit is None or not commit.facts["evaluation_images"]:
        return None
    path = state.file("evaluation", ITEMS_PART, "evaluation_images")
    distance = state.recipe.settings.decontamination.phash_distance
    return EvaluationImages(state.output, path, distance)


def image_identity(state: RunState) -> str:
    """What the answers of image URLs depend on."""
    found = evaluation_images(state)
    if found is None:
        return ""
    return digest(_identity(state, "images"), found.distance, contamination.STEP_VERSION)


EVALUATION = Step("dedup", "evaluation", _evaluation_parts, _evaluate)
CONTAMINATION = Step("dedup", "contamination", _contamination_parts, _match_texts)
