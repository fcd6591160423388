"""When a finished stage is a failed one: more of it went wrong than the recipe allows."""

from collections.abc import Mapping

from pipeline.recipe import Recipe
from pipeline.state import sum_counts
from recaptioner import recaption
from schemas.commits import Commit, TableCounts
from schemas.errors import StageError
from schemas.outcomes import UNREACHED
from schemas.recaption_rows import FALLBACKS, OUTCOME_FACT, PROBLEM_FACT, RECAPTIONS
from transforms import score_items

ASKING = "fetch"
ASKED = "image_urls"
"""The table of fetched URLs, whose failures are those of the web."""
RECORDED = (ASKED, score_items.COUNTED, recaption.COUNTED)
"""Tables of answers of all runs, good and bad: what they mean to this run is counted elsewhere."""


def check_stage(
    stage: str,
    recipe: Recipe,
    tables: dict[str, TableCounts],
    facts: Mapping[str, int],
    asked: list[Commit],
) -> None:
    """Hold a stage against the budgets of its recipe.

    Args:
        stage: Its name.
        recipe: The recipe.
        tables: The counts of its tables.
        facts: Its facts.
        asked: Commits of answers that this run has made.

    Raises:
        StageError: One is exceeded.
    """
    settings = recipe.settings
    check_failures(stage, tables, settings.run.max_failed_fraction)
    if stage == ASKING:
        counts = sum_counts(asked).get(ASKED, TableCounts())
        check_network(counts, settings.fetch.max_failed_fraction)
    if stage == recaption.STAGE:
        counts = tables.get(RECAPTIONS, TableCounts())
        check_fallbacks(counts, facts, settings.recaption.max_fallback_fraction)


def check_failures(stage: str, tables: dict[str, TableCounts], budget: float) -> None:
    """Raise `StageError` where more rows of a table failed than the recipe allows."""
    for table, counts in sorted(tables.items()):
        if table in RECORDED:
            continue
        failed = sum(counts.failed.values())
        if failed > budget * counts.seen:
            worst = max(counts.failed, key=lambda name: (counts.failed[name], name))
            raise StageError(
                f"stage {stage}: {failed} of {counts.seen} rows of {table} failed, more than "
                f"run.max_failed_fraction = {budget} allows; most often {worst}. The table "
                "failures lists them: weft inspect OUT --sql 'SELECT * FROM failures'"
            )


def check_network(counts: TableCounts, budget: float) -> None:
    """Raise `StageError` where a run reached hardly a host: it is the network then, not the web.

    Dead links are the web's own, and no failure of a run.
    """
    unreached = sum(counts.failed.get(name, 0) for name in UNREACHED)
    if unreached > budget * counts.seen:
        worst = max(UNREACHED, key=lambda name: counts.failed.get(name, 0))
        raise StageError(
            f"stage {ASKING}: of {counts.seen} images asked for, {unreached} are at hosts that "
            f"cannot be reached, more than fetch.max_failed_fraction = {budget} allows; most often "
            f"{worst}. Is there a network, and a name server (fetch.nameservers)? Run again to ask "
            "again; the table failures lists them"
        )


def check_fallbacks(counts: TableCounts, facts: Mapping[str, int], budget: float) -> None:
    """Raise `StageError` where too few captions are what a model was asked for."""
    fallen = {name: facts.get(f"{OUTCOME_FACT}{name}", 0) for name in FALLBACKS}
    total = sum(fallen.values())
    if total > budget * counts.seen:
        problems = PROBLEM_FACT
        worst = max(
            (name for name in facts if name.startswith(problems)),
            key=lambda name: (facts[name], name),
            default=problems + "engine_error",
        )
        raise StageError(
            f"stage {recaption.STAGE}: of {counts.seen} captions {total} fell back to a "
            "description or an alt text, more than recaption.max_fallback_fraction = "
            f"{budget} allows; answers were refused most often for {worst.removeprefix(problems)}. "
            'See them: weft inspect OUT --sql "SELECT * FROM recaptions WHERE outcome LIKE '
            "'fallback%'\""
        )
