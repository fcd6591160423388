"""The steps that reach the network, and those around them: what is wanted, what was answered.

``wanted -> rounds of robots.txt -> rounds of images -> answers``. Without `fetch.contact` nothing
is asked for; what was answered before is used all the same.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from pipeline.contamination_steps import evaluation_images, image_identity
from pipeline.runners import Build
from pipeline.state import Commits, RunState
from pipeline.steps import Rounds, Step, by_bucket, map_parts
from schemas.ids import digest
from transforms import (
    fetch_images,
    fetch_plan,
    fetch_robots,
    image_answers,
    wanted_urls,
)
from transforms.shuffle import CommitBlocks, EmitBlocks
from transforms.sink import Part

# --- wanted: URLs without bytes, by registered domain


def _wanted_parts(state: RunState) -> list[Part]:
    config = state.recipe.settings.fetch
    if not config.contact:
        return []
    fingerprint = digest(state.snapshot("images"), config.buckets, wanted_urls.STEP_VERSION)
    return [
        Part(f"wanted-{name}", fingerprint[:16], name)
        for name in wanted_urls.bucket_names(config.buckets)
    ]


def _wanted(state: RunState, missing: list[Part]) -> Build:
    del missing
    files = {
        name: wanted_urls.AnswerFiles(
            state.file("images", name, "image_refs"), state.file("images", name, "images")
        )
        for name in sorted(state.commits["images"])
    }
    files["none"] = wanted_urls.AnswerFiles(None, None)
    sources = [Part(name, "", spec) for name, spec in files.items()]
    emit = wanted_urls.EmitWanted(state.output, state.recipe.settings.fetch.buckets)
    parts = {part.spec: part for part in _wanted_parts(state)}
    return partial(_wanted_graph, state.output, sources, emit, parts)


def _wanted_graph(
    output: str, sources: list[Part], emit: Any, parts: dict[str, Part], pipeline: Any
) -> None:
    (
        pipeline
        | "EmitWanted" >> EmitBlocks(wanted_urls.STAGE, sources, emit)
        | "CommitWanted"
        >> CommitBlocks(
            wanted_urls.STAGE, output, partial(by_bucket, parts), wanted_urls.commit_wanted
        )
    )


# --- rounds: a plan for each bucket of domains, then the requests


def _answer_files(state: RunState, step: str, table: str) -> dict[str, list[str]]:
    """Files of answers, by the bucket of domains that they are of."""
    found: dict[str, list[str]] = {}
    for _, commit in sorted(state.commits[step].items()):
        for file, path in sorted(commit.files.get(table, {}).items()):
            found.setdefault(file.removeprefix("answers-"), []).append(path)
    return found


def _files_of_bucket(files: dict[str, list[str]], bucket: str) -> list[str]:
    """The files that may hold answers of a bucket of domains.

    Answers of a run that had another number of buckets may be of any of ours.
    """
    suffix = bucket[bucket.index("-of-") :]
    others = [
        path
        for name, paths in sorted(files.items())
        if "-of-" in name and not name.endswith(suffix)
        for path in paths
    ]
    return [*files.get(bucket, []), *others]


def _plan_parts(state: RunState, step: str, table: str, earlier: frozenset[str]) -> list[Part]:
    config = state.recipe.settings.fetch
    files = _answer_files(state, step, table)
    images: dict[str, list[str]] = {}
    stale = ""
    if table == fetch_plan.ROBOTS:
        IMAGES.read(state)
        images = _answer_files(state, "fetch", "images")
        stale = _stale_before(config.robots_hours)
    parts = []
    for bucket in wanted_urls.bucket_names(config.buckets) if config.contact else []:
        answers = tuple(_files_of_bucket(files, bucket))
        answered = tuple(_files_of_bucket(images, bucket))
        mine = frozenset(answers) & earlier
        wanted = state.commits["wanted"][f"wanted-{bucket}"]
        fingerprint = digest(
            wanted.name,
            *answers,
            "earlier",
            *sorted(mine),
            "images",
            *answered,
            "resting",
            *sorted(state.resting),
            stale,
            state.block_lists,
            fetch_plan.STEP_VERSION,
            state.recipe.section("fetch"),
        )
        spec = fetch_plan.PlanFiles(
            state.file("wanted", f"wanted-{bucket}", "wanted_urls"),
            answers,
            mine,
            answered,
            stale,
            frozenset(state.resting),
        )
        parts.append(Part(f"plan-{table}-{bucket}", fingerprint[:16], spec))
    return parts


def _stale_before(hours: float) -> str:
    """When a robots.txt that is used now must have been read, in whole periods of its age.

    The one place where the clock has a say: in what is asked, never in what an answer becomes.
    """
    seconds = hours * 3600
    now = datetime.now(UTC).timestamp()
    return datetime.fromtimestamp(now // seconds * seconds - seconds, UTC).isoformat()


def _plan(table: str, stage: str, state: RunState, missing: list[Part]) -> Build:
    settings = state.recipe.settings
    function = fetch_plan.PlanBucket(state.output, table, settings.fetch, settings.block_lists)
    return map_parts("PlanBuckets", stage, state.output, missing, function)


def _slices(table: str, plans: Commits) -> list[fetch_plan.SliceFile]:
    found = []
    for name, commit in sorted(plans.items()):
        bucket = name.removeprefix(f"plan-{table}-")
        for number, urls in enumerate(commit.details["slices"]):
            path = commit.files["planned_urls"][name]
            found.append(fetch_plan.SliceFile(bucket, path, number, urls))
    return found


def _ask_parts(
    table: str, prefix: str, state: RunState, plans: Commits, workers: int
) -> list[Part]:
    joined = fetch_plan.join_slices(_slices(table, plans), state.recipe.settings.fetch, workers)
    parts = []
    for number, slices in enumerate(joined):
        fingerprint = digest(*(f"{item.path} {item.number}" for item in slices))[:16]
        spec = tuple(slices)
        weight = sum(item.urls for item in slices)
        parts.append(Part(f"{prefix}{number:05d}", fingerprint, spec, weight))
    return parts


def _ask_robots(state: RunState, missing: list[Part]) -> Build:
    function = fetch_robots.FetchRobots(state.output, state.recipe.settings.fetch)
    return map_parts("FetchRobots", fetch_robots.STAGE, state.output, missing, function)


def _image_parts(prefix: str, state: RunState, plans: Commits, workers: int) -> list[Part]:
    robots = _answer_files(state, "robots", "robots")
    parts = _ask_parts(fetch_plan.IMAGES, prefix, state, plans, workers)
    return [
        Part(
            part.name,
            part.fingerprint,
            fetch_images.FetchFiles(
                part.spec,
                tuple(
                    dict.fromkeys(
                        path
                        for bucket in sorted({item.bucket for item in part.spec})
                        for path in _files_of_bucket(robots, bucket)
                    )
                ),
                min(len(parts), workers),
            ),
            part.weight,
        )
        for part in parts
    ]


def _ask_images(state: RunState, missing: list[Part]) -> Build:
    settings = state.recipe.settings
    function = fetch_images.FetchImages(
        state.output,
        settings.fetch,
        settings.extract.image,
        settings.extract.pack_bytes,
        settings.block_lists,
    )
    return map_parts("FetchImages", fetch_images.STAGE, state.output, missing, function)


_ROBOTS_PREFIX = f"robots-v{fetch_robots.STEP_VERSION}-"
# Not the version of image facts: better ones are no reason to download everything again.
_IMAGES_PREFIX = f"images-v{fetch_images.STEP_VERSION}-"


def _plan_robots(state: RunState, earlier: frozenset[str]) -> list[Part]:
    if not state.recipe.settings.fetch.robots:
        return []
    return _plan_parts(state, "robots", fetch_plan.ROBOTS, earlier)


def _plan_images(state: RunState, earlier: frozenset[str]) -> list[Part]:
    return _plan_parts(state, "fetch", fetch_plan.IMAGES, earlier)


# --- answers: the one that counts of each URL


def _answer_parts(state: RunState) -> list[Part]:
    settings = state.recipe.settings
    fingerprint = digest(
        state.snapshot("images"),
        state.snapshot("fetch"),
        settings.refs.buckets,
        state.block_lists,
        image_identity(state),
        image_answers.STEP_VERSION,
    )
    return [
        Part(f"answers-{number:05d}", fingerprint[:16], f"{number:05d}")
        for number in range(settings.refs.buckets)
    ]


def _answers(state: RunState, missing: list[Part]) -> Build:
    del missing
    settings = state.recipe.settings
    found = [*state.commits["images"].values(), *state.commits["fetch"].values()]
    sources = [Part("none", "", ())]
    sources += [
        Part(commit.name, "", tuple(sorted(paths.values())))
        for commit in found
        if (paths := commit.files.get("images"))
    ]
    emit = image_answers.EmitAnswers(state.output, settings.refs)
    commit_answers = image_answers.CommitAnswers(settings.block_lists, evaluation_images(state))
    parts = {part.spec: part for part in _answer_parts(state)}
    return partial(_answers_graph, state.output, sources, emit, commit_answers, parts)


def _answers_graph(
    output: str,
    sources: list[Part],
    emit: Any,
    commit_answers: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    (
        pipeline
        | "EmitAnswers" >> EmitBlocks(image_answers.STAGE, sources, emit)
        | "CommitAnswers"
        >> CommitBlocks(image_answers.STAGE, output, partial(by_bucket, parts), commit_answers)
    )


WANTED = Step("refs", "wanted", _wanted_parts, _wanted)
ROBOTS = Rounds(
    "refs",
    "robots",
    _ROBOTS_PREFIX,
    fetch_plan.ROBOTS,
    "robots",
    _plan_robots,
    partial(_plan, fetch_plan.ROBOTS, fetch_robots.STAGE),
    partial(_ask_parts, fetch_plan.ROBOTS, _ROBOTS_PREFIX),
    _ask_robots,
)
IMAGES = Rounds(
    "fetch",
    "fetch",
    _IMAGES_PREFIX,
    fetch_plan.IMAGES,
    "image_urls",
    _plan_images,
    partial(_plan, fetch_plan.IMAGES, fetch_images.STAGE),
    partial(_image_parts, _IMAGES_PREFIX),
    _ask_images,
)
ANSWERS = Step("fetch", "answers", _answer_parts, _answers)
