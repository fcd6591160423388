"""Everything that a report shows of an output, as plain values: report.json."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.inspection import described
from pipeline.inspection.database import broken_file, dict_rows, first_line, open_database
from pipeline.inspection.facts import inspect_output
from pipeline.inspection.rejudge import Rejudge, read_state
from pipeline.inspection.rule_losses import add_losses
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from pipeline.inspection.streams import Json
from pipeline.report import galleries
from pipeline.report.config import ReportConfig
from pipeline.report.funnels import funnels
from pipeline.report.gate_tally import GateTally, spread_parts, tally_gates
from pipeline.report.pictures import data_urls
from pipeline.report.standing import REPORT_VERSION
from schemas.errors import InputError, UserError
from schemas.recaption_rows import OUTCOME_FACT, OUTCOMES, PROBLEM_FACT, RECAPTIONS
from schemas.rows import Locator
from schemas.shards import STREAMS
from transforms.caption_choice import TRAINED_ON

_SCORES = {
    "images": "scores_images",
    "images of documents": "scores_nodes",
    "pages": "scores_models",
    "paragraphs": "scores_paragraphs",
}
"""What has scores by models -> the table that holds them. Those of captions are told by their gate,
which sees them beside those of their images."""
_SCORE_BINS = 24
_VIEWS = (*galleries.VIEWS, *described.VIEWS, *_SCORES.values())

Say = Callable[[str], None]


def report_facts(output: str, say: Say = lambda line: None) -> Json:
    """What a report shows.

    Args:
        output: An output of `run`. Of one whose run has not ended, what there is.
        say: Is told what is done, a line each.

    Returns:
        A JSON value: docs/report.md lists its keys.

    Raises:
        InputError: There is no output, or a file of it is there and cannot be read.
    """
    say("numbers")
    facts = inspect_output(output)
    try:
        rejudge: Rejudge | None = Rejudge(read_state(output))
    except UserError as error:
        facts["problems"].append(f"no gate can be told of: {error}")
        rejudge = None
    config = ReportConfig() if rejudge is None else rejudge.state.recipe.settings.report
    tallies: dict[str, GateTally] = {}
    judged: Json | None = None
    if rejudge is not None:
        say("gates")
        parts = spread_parts(_part_rows(rejudge), config.rows)
        try:
            tallies = tally_gates(rejudge, parts, config.examples)
            judged = {
                "parts": len(parts), "of_parts": len(rejudge.parts),
                "rows": sum(tally.rows for tally in tallies.values()),
            }  # fmt: skip
        except (OSError, pa.ArrowException) as error:
            # A table that is lost or damaged; the rest can be told.
            facts["problems"].append(f"no gate can be told of: {_one_line(error)}")
    spec = _spec_of(rejudge)
    rules = [rule for tally in tallies.values() for rule in tally.rules(spec)]
    shown, pictures = _look(output, rules, config, facts["problems"], say)
    return {
        "report_version": REPORT_VERSION,
        "title": "" if facts["recipe"] is None else facts["recipe"]["name"],
        **facts,
        "judged": judged,
        "funnels": funnels(facts["stages"], {rule["path"] for rule in rules}),
        "rules": rules,
        "explorers": _told(tally.explorer(spec) for tally in tallies.values()),
        "slices": _told(tally.slices() for tally in tallies.values()),
        "balance": _balance(facts["streams"], config),
        "token_estimate": {
            "tokens_per_image": config.tokens_per_image,
            "characters_per_token": config.characters_per_token,
        },
        "fetch": facts["images"],
        "recaption": _recaption(facts["stages"]),
        "duplicates": shown.pop("duplicates"),
        "scores": _caption_scores(tallies) | shown.pop("scores"),
        "time": _time(facts["stages"]),
        "galleries": shown,
        "pictures": pictures,
    }


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _told(found: Iterable[Json | None]) -> list[Json]:
    return [each for each in found if each is not None]


def _part_rows(rejudge: Rejudge) -> list[tuple[str, int]]:
    """Name of each part, and how many rows of its largest table are judged."""
    commits = rejudge.state.commits["extract"]
    return [
        (name, max((counts.seen for counts in commits[name].counts.values()), default=0))
        for name in rejudge.parts
    ]


def _spec_of(rejudge: Rejudge | None) -> Callable[[str], Any]:
    values: Any = {} if rejudge is None else rejudge.state.recipe.values

    def spec(path: str) -> Any:
        found = values
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    return spec


def _look(
    output: str, rules: list[Json], config: ReportConfig, problems: list[str], say: Say
) -> tuple[Json, dict[str, str]]:
    """Galleries, with the rows of the rules told in words; and thumbnails."""
    snapshot = read_snapshot(output)
    examples = [row for rule in rules for rows in rule["examples"].values() for row in rows]
    found: Json = {
        "duplicates": None,
        "scores": {},
        "captions": [],
        "documents": [],
        "clusters": [],
    }
    by_url: dict[str, str] = {}
    wanted: dict[str, Locator] = {}
    say("galleries")
    try:
        with open_database(snapshot, _VIEWS) as con:
            places = galleries.Places(con)
            wanted = places.wanted
            described.describe(con, examples)
            add_losses(con, [row for rule in rules for row in rule["examples"]["kept"]])
            by_url = places.by_url(row["image_url"] for row in examples)
            found["duplicates"] = {"sizes": _duplicates(con)}
            found["scores"] = _scores(con)
            found["captions"] = galleries.caption_gallery(con, places)
            found["documents"] = galleries.document_gallery(con, places)
            found["clusters"] = galleries.cluster_gallery(con, places)
    except (duckdb.Error, InputError) as error:
        # What a damaged table would tell is left out; the numbers stand.
        told = error if isinstance(error, InputError) else _broken(snapshot, error)
        problems.append(f"not all can be shown: {told}")
        for row in examples:
            row |= {"text": None, "url": None, "image_url": None} | row
    unsafe = _unsafe_pictures(rules, by_url, config.blur)
    for row in examples:
        row["picture"] = by_url.get(row["image_url"])
        row["unsafe"] = row["picture"] in unsafe
    say("thumbnails")
    pictures = data_urls(output, wanted.items())
    if lost := len(wanted) - len(pictures):
        problems.append(
            f"{lost} of {len(wanted)} pictures of this report cannot be shown: their packs are "
            "lost or damaged (weft inspect --verify tells which), or there are too many"
        )
    return found, pictures


def _broken(snapshot: Snapshot, error: Exception) -> Exception:
    files = [file for view in _VIEWS for file in snapshot.tables.get(view, [])]
    told = InputError(f"{snapshot.output}: {first_line(error)}")
    return broken_file(snapshot, files) or told


def _unsafe_pictures(rules: list[Json], by_url: dict[str, str], blur: list[str]) -> set[str]:
    """Pictures of rows that a rule about safety refuses."""
    safety = {
        (rule["gate"], rule["name"])
        for rule in rules
        if any(word in f"{rule['name']} {rule['expression'] or ''}".lower() for word in blur)
    }
    found = set()
    for rule in rules:
        for row in (*rule["examples"]["kept"], *rule["examples"]["dropped"]):
            failed = [*row["also"], *([rule["name"]] if row in rule["examples"]["dropped"] else [])]
            if any((rule["gate"], name) in safety for name in failed):
                found.add(by_url.get(row["image_url"], ""))
    return found


def _balance(streams: Json, config: ReportConfig) -> list[Json]:
    """Samples and tokens of each stream, beside what the recipe wants."""
    rows: list[Json] = []
    for stream in STREAMS:
        facts = streams.get(stream, {})
        tokens = round(
            (facts.get("characters") or 0) / config.characters_per_token
            + (facts.get("images") or 0) * config.tokens_per_image
        )
        rows.append({"stream": stream, "samples": facts.get("samples") or 0, "tokens": tokens})
    samples, tokens = (sum(row[name] for row in rows) for name in ("samples", "tokens"))
    wanted = sum(config.mixture.values())
    return [
        {
            **row,
            "share_of_samples": row["samples"] / samples if samples else None,
            "share_of_tokens": row["tokens"] / tokens if tokens else None,
            "wanted": config.mixture.get(row["stream"], 0.0) / wanted,
        }
        for row in rows
    ]


def _recaption(stages: Json) -> Json | None:
    """What became of the captions that models were asked for."""
    stage = stages.get("recaption", {})
    wanted = stage.get("tables", {}).get(RECAPTIONS, {}).get("in", 0)
    if not wanted:
        return None
    facts = stage["facts"]
    problems = _counts(facts, PROBLEM_FACT)
    outcomes = {
        name: rows
        for name, rows in _counts(facts, OUTCOME_FACT).items()
        if f"{OUTCOME_FACT}{name}" not in {f"{PROBLEM_FACT}{problem}" for problem in problems}
    }
    ranks = {name: rank for rank, name in enumerate(OUTCOMES)}
    trained = _counts(stages.get("shard", {}).get("facts", {}), TRAINED_ON)
    return {
        "wanted": wanted,
        "outcomes": [
            {
                "outcome": name,
                "meaning": OUTCOMES.get(name, "the image cannot be shown"),
                "rows": outcomes[name],
            }
            for name in sorted(outcomes, key=lambda name: (ranks.get(name, len(ranks)), name))
        ],
        "problems": [{"problem": name, "rows": rows} for name, rows in problems.items()],
        "trained_on": [{"origin": name, "rows": rows} for name, rows in trained.items()],
        "prompt_tokens": facts.get("answers_prompt_tokens"),
        "completion_tokens": facts.get("answers_completion_tokens"),
    }


def _counts(facts: Json, prefix: str) -> dict[str, int]:
    found = {n.removeprefix(prefix): rows for n, rows in facts.items() if n.startswith(prefix)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _duplicates(con: Any) -> list[Json]:
    """Clusters by kind and size: `from` 2, 3, 4, 8, 16, ... members."""
    sizes = []
    for table, kind in (("clusters", "kind"), ("image_clusters", "'image'")):
        sizes += dict_rows(
            con,
            f"SELECT kind, CASE WHEN size < 4 THEN size ELSE CAST(pow(2, floor(log2(size))) AS "
            'BIGINT) END AS "from", count(*) AS clusters, sum(size)::BIGINT AS members FROM ('
            f"SELECT {kind} AS kind, cluster_id, count(*) AS size FROM {table} GROUP BY ALL "
            "HAVING size > 1) GROUP BY ALL ORDER BY ALL",
        )
    return sizes


def _caption_scores(tallies: Mapping[str, GateTally]) -> Json:
    tally = tallies.get("gates.shard.captioned")
    scores = {} if tally is None else tally.scores
    told = {name: score_distribution(values) for name, values in scores.items()}
    told = {name: found for name, found in told.items() if found is not None}
    return {"captions": told} if told else {}


def _scores(con: Any) -> Json:
    """What was scored -> score -> its distribution over all rows, those that are dropped too."""
    found: Json = {}
    for what, table in _SCORES.items():
        columns = con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND data_type IN "
            "('FLOAT', 'DOUBLE') ORDER BY column_index",
            [table],
        ).fetchall()
        for (column,) in columns:
            # Of a recipe: letters, digits and _ only.
            query = (
                f'SELECT CAST("{column}" AS DOUBLE) AS x FROM {table} WHERE "{column}" IS NOT NULL'
            )
            values = np.asarray(con.execute(query).fetchnumpy()["x"], np.float64)
            if (told := score_distribution(values)) is not None:
                found.setdefault(what, {})[column] = told
    return found


def score_distribution(values: npt.NDArray[np.float64]) -> Json | None:
    """As `distributions.distribution`; the first bin and the last hold what lies beyond them too.

    None where there is no finite value.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.005, 0.995])
    step = float(high - low) / _SCORE_BINS or 1.0
    at = np.clip(np.floor((values - low) / step), 0, _SCORE_BINS - 1).astype(np.int64)
    counts = np.bincount(at, minlength=_SCORE_BINS)
    median, p95 = np.quantile(values, [0.5, 0.95], method="inverted_cdf")
    return {
        "count": len(values),
        "min": float(values.min()),
        "median": float(median),
        "mean": float(values.mean()),
        "p95": float(p95),
        "max": float(values.max()),
        "histogram": [
            {"from": float(low) + step * number, "count": int(count)}
            for number, count in enumerate(counts)
        ],
    }


def _time(stages: Json) -> list[Json]:
    """How long each stage took, and the rows of its largest table."""
    return [
        {
            "stage": stage,
            "seconds": facts["seconds"],
            "parts": facts["parts"],
            "rows": max((counts["in"] for counts in facts["tables"].values()), default=0),
        }
        for stage, facts in stages.items()
    ]
