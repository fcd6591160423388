"""The steps of stage `score`: candidates, what is to be scored of them, answers, scores.

``candidates -> wanted -> plan of what is open -> answers, recorded -> [vectors meet] -> scores``

A recipe without scorers ends at the candidates.
"""

from functools import partial
from typing import Any

from pipeline.answer_plans import (
    joined_slices,
    plan_fingerprint,
    plan_graph,
    slices_fingerprint,
)
from pipeline.runners import Build
from pipeline.state import Commits, RunState
from pipeline.steps import Rounds, Step, by_bucket, map_parts
from schemas.commits import Commit
from schemas.ids import digest
from transforms import gates, score_items, score_pairs, score_plan, score_wanted
from transforms.score_plan import IMAGES, TEXTS
from transforms.scored_rows import ScoreColumns, ScoreFiles
from transforms.scorers import negclip
from transforms.scorers.base import PAIRS, PIXELS
from transforms.scorers.registry import kind_of
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part
from transforms.text_units import OFF, PARAGRAPHS, SENTENCES

STAGE = score_items.STAGE
_TABLES = {IMAGES: "wanted_images_score", TEXTS: "wanted_texts"}
_ANSWERS = {IMAGES: "image_scores", TEXTS: "text_embeddings"}
_PREFIX = f"answers-v{score_items.STEP_VERSION}-"


def _unit(state: RunState) -> str:
    """The finest unit that a scorer asks for."""
    asked = {getattr(each.config, "documents", OFF) for each in state.recipe.scorers.values()}
    return next((unit for unit in (SENTENCES, PARAGRAPHS) if unit in asked), OFF)


# --- wanted


def _wanted_parts(state: RunState) -> list[Part]:
    if not state.recipe.scorers:
        return []
    config = digest(
        state.recipe.section("gates.score"),
        _unit(state),
        score_wanted.STEP_VERSION,
        gates.STEP_VERSION,
    )
    return [
        Part(
            f"wanted-{name}",
            digest(commit.name, config)[:16],
            score_wanted.ScoredFiles(
                commit.file("candidates_nodes"), commit.file("candidates_captions")
            ),
        )
        for name, commit in _by_extract_part(state.commits["candidates"], "candidates")
    ]


def _by_extract_part(commits: Commits, step: str) -> list[tuple[str, Any]]:
    """Commits by the name of the extract part that they are of."""
    return [(name.removeprefix(f"{step}-"), commit) for name, commit in sorted(commits.items())]


def _want(state: RunState, missing: list[Part]) -> Build:
    decided = state.recipe.gates
    function = score_wanted.WantScores(
        state.output, decided.score_image, decided.score_caption, _unit(state)
    )
    return map_parts("WantScores", STAGE, state.output, missing, function)


# --- answers


def _identities(state: RunState) -> dict[str, list[str]]:
    """Kind of item -> identities of the scorers that see all of them."""
    of_pixels = [each for each in state.recipe.scorers.values() if kind_of(each).sees == PIXELS]
    return {
        IMAGES: list(dict.fromkeys(each.identity for each in of_pixels)),
        TEXTS: list(
            dict.fromkeys(each.identity for each in of_pixels if kind_of(each).embeds_texts)
        ),
    }


def _answer_files(commits: Commits) -> list[tuple[str, str]]:
    """Kind and path of every file of answers."""
    return [
        (kind, path)
        for _, commit in sorted(commits.items())
        for kind, table in _ANSWERS.items()
        for path in commit.files.get(table, {}).values()
    ]


def _wanted_files(state: RunState) -> list[tuple[str, str]]:
    return [
        (kind, path)
        for _, commit in sorted(state.commits["wanted_scores"].items())
        for kind, table in _TABLES.items()
        if (path := commit.file(table)) is not None
    ]


def _plan_parts(state: RunState, earlier: frozenset[str]) -> list[Part]:
    del earlier
    if not state.recipe.scorers:
        return []
    plan = _plan_id(state)
    return [
        Part(f"plan-{kind}-{number:05d}", plan, kind)
        for kind in (IMAGES, TEXTS)
        for number in range(state.recipe.settings.score.buckets)
    ]


def _plan_id(state: RunState) -> str:
    settings = state.recipe.settings
    base = digest(
        state.snapshot("wanted_scores"),
        str(_identities(state)),
        settings.score.buckets,
        settings.score.part_images,
        settings.score.part_texts,
        score_plan.STEP_VERSION,
        score_items.STEP_VERSION,
    )
    return plan_fingerprint(base, _PREFIX, state.commits["answers_of_scorers"], _asks_again)


def _asks_again(commit: Commit) -> bool:
    return score_plan.ASKED_AGAIN in commit.counts[score_items.COUNTED].failed


def _plan(state: RunState, missing: list[Part]) -> Build:
    del missing
    settings = state.recipe.settings
    sources = [score_plan.PlanSource(path, kind) for kind, path in _wanted_files(state)] + [
        score_plan.PlanSource(path, kind, is_answer=True)
        for kind, path in _answer_files(state.commits["answers_of_scorers"])
    ]
    buckets = settings.score.buckets
    planned = {
        f"plan {part.spec} {part.name.rpartition('-')[2]}": part
        for part in _plan_parts(state, frozenset())
    }
    sizes = {IMAGES: settings.score.part_images, TEXTS: settings.score.part_texts}
    return partial(
        plan_graph,
        STAGE,
        state.output,
        sources,
        score_plan.EmitOpen(state.output, buckets),
        score_plan.ChooseOpen(_identities(state), buckets),
        score_plan.CommitPlan(sizes),
        planned,
    )


def _ask_parts(state: RunState, plans: Commits, workers: int) -> list[Part]:
    """Slices joined to parts of the size that the recipe says, whatever the number of workers.

    Those that a run before this one has answered are left out.
    """
    del workers
    plan = _plan_id(state)
    done = {commit.name for commit in state.commits["answers_of_scorers"].values()}
    config = state.recipe.settings.score
    sizes = {IMAGES: config.part_images, TEXTS: config.part_texts}
    parts: list[Part] = []
    for kind, size in sizes.items():
        for slices, answers in joined_slices(plans, f"planned_{kind}", size):
            spec = score_items.ItemSlices(kind, slices)
            name = f"{_PREFIX}{plan}-{kind}-{len(parts):05d}"
            parts.append(Part(name, slices_fingerprint(slices), spec, answers))
    return [part for part in parts if part.key not in done]


def _ask(state: RunState, missing: list[Part]) -> Build:
    scorers = [each for each in state.recipe.scorers.values() if kind_of(each).sees == PIXELS]
    function = score_items.ScoreItems(
        state.output, tuple(scorers), state.recipe.settings.score.decoders
    )
    return map_parts("ScoreItems", STAGE, state.output, missing, function)


# --- negatives: a sample of the corpus, where a scorer compares with one


def _negative_parts(state: RunState) -> list[Part]:
    if not any(kind_of(each).sees == PAIRS for each in state.recipe.scorers.values()):
        return []
    fingerprint = digest(*_meeting(state), negclip.SAMPLE)
    return [Part("negatives-all", fingerprint[:16], "all")]


def _negatives(state: RunState, missing: list[Part]) -> Build:
    del missing
    sample = partial(score_pairs.sample_answers, count=negclip.SAMPLE)
    commit = score_pairs.CommitSample(negclip.SAMPLE)
    parts = {part.spec: part for part in _negative_parts(state)}
    return partial(_meet_graph, state.output, *_sources(state), sample, commit, parts)


# --- scores


def _meeting(state: RunState) -> list[str]:
    """What tells of everything that meets."""
    return [
        state.snapshot("wanted_scores"),
        *(path for _, path in _answer_files(state.commits["answers_of_scorers"])),
        *(f"{each.name} {each.identity}" for each in state.recipe.scorers.values()),
        str(score_pairs.STEP_VERSION),
    ]


def _score_parts(state: RunState) -> list[Part]:
    if not state.recipe.scorers:
        return []
    fingerprint = digest(*_meeting(state))
    return [
        Part(f"scores-{name}", fingerprint[:16], name)
        for name, _ in _by_extract_part(state.commits["wanted_scores"], "wanted")
    ]


def _use_files(state: RunState) -> dict[str, score_pairs.UseFiles]:
    """What each extract part uses."""
    return {
        name: score_pairs.UseFiles(
            name,
            commit.file(_TABLES[IMAGES]),
            commit.file(_TABLES[TEXTS]),
            commit.file("wanted_pairs"),
            commit.file("text_units"),
            commit.file("caption_pairs"),
        )
        for name, commit in _by_extract_part(state.commits["wanted_scores"], "wanted")
    }


def _sources(state: RunState) -> tuple[list[Part], Any]:
    """Uses and answers, and what deals them to buckets."""
    sources = [Part(name, "", found) for name, found in _use_files(state).items()]
    sources += [
        Part(f"answers {number:05d}", "", (score_pairs.AnswerFile(kind, path),))
        for number, (kind, path) in enumerate(_answer_files(state.commits["answers_of_scorers"]))
    ]
    identities = tuple(dict.fromkeys(each.identity for each in state.recipe.scorers.values()))
    buckets = state.recipe.settings.dedup.buckets
    return sources, score_pairs.EmitScores(state.output, identities, buckets)


def _scores(state: RunState, missing: list[Part]) -> Build:
    del missing
    negatives = state.commits["score_negatives"].get("negatives-all")
    commit = score_pairs.CommitScores(
        state.output,
        tuple(state.recipe.scorers.values()),
        _use_files(state),
        None if negatives is None else negatives.file("score_negatives"),
    )
    parts = {f"part {part.spec}": part for part in _score_parts(state)}
    send = score_pairs.send_answers
    return partial(_meet_graph, state.output, *_sources(state), send, commit, parts)


def _meet_graph(
    output: str,
    sources: list[Part],
    emit: Any,
    send: Any,
    commit: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    (
        pipeline
        | "EmitScores" >> EmitBlocks(STAGE, sources, emit)
        | "SendAnswers" >> RegroupBlocks(STAGE, send)
        | "CommitScores" >> CommitBlocks(STAGE, output, partial(by_bucket, parts), commit)
    )


def score_files(state: RunState, name: str) -> ScoreFiles:
    """The scores of an extract part."""
    columns = ScoreColumns.of(state.recipe.scorers)
    part = f"scores-{name}"
    if part not in state.commits["scores"]:
        return ScoreFiles(columns)
    return ScoreFiles(
        columns,
        state.file("scores", part, "scores_images"),
        state.file("scores", part, "scores_clip"),
        state.file("scores", part, "scores_nodes"),
        state.file("wanted_scores", f"wanted-{name}", "text_units"),
        state.file("scores", part, "scores_captions"),
    )


WANTED_SCORES = Step(STAGE, "wanted_scores", _wanted_parts, _want)
ANSWERS_OF_SCORERS = Rounds(
    STAGE,
    "answers_of_scorers",
    _PREFIX,
    "image_scores",
    score_items.COUNTED,
    _plan_parts,
    _plan,
    _ask_parts,
    _ask,
)
NEGATIVES = Step(STAGE, "score_negatives", _negative_parts, _negatives)
SCORES = Step(STAGE, "scores", _score_parts, _scores)
