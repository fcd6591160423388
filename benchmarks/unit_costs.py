"""Copies what `weft plan --scale` needs out of the results: `python -m benchmarks.unit_costs`.

The copy is a file of the package, for the results are none. The table of docs/scale.md is made with
it; a test compares both with the results.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.report import RESULTS, middle, round_to_digits
from pipeline.recipe import load_recipe
from pipeline.scale import PAGES, Prices, estimate
from pipeline.scale_costs import FILE, load_costs
from pipeline.scale_table import COLUMNS, cell

DOCS = ROOT / "docs" / "scale.md"
BEGIN = "<!-- python -m benchmarks.unit_costs writes what follows -->\n"
END = "<!-- until here -->\n"
RECIPE = "mm1"


def collect(results: Path = RESULTS) -> dict[str, Any]:
    """Unit costs, each with the file and the machine of its measurement."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    costs: dict[str, Any] = {}

    def add(name: str, value: float, unit: str, file: str, how: str) -> None:
        costs[name] = {
            "value": round_to_digits(value), "unit": unit, "file": f"{file}.json", "from": how,
            "machine": machine_of(found[file]["hardware"]),
        }  # fmt: skip

    row = {(name, row["what"]): row["ours"] for name, one in found.items() for row in one["rows"]}
    page = 1 / row["pipeline", "extract, pages only, CPU"]
    mixed = found["pipeline"]["details"]["crawls"]["pages and images"]
    both = mixed["pages"] / row["pipeline", "extract, pages and images, CPU"]
    image = (both - page * mixed["pages"]) / mixed["images"]
    add("extract.page", page, "CPU s", "pipeline", "extract, pages only, CPU")
    add("extract.image", image, "CPU s", "pipeline",
        "extract, pages and images, CPU, less its pages")  # fmt: skip
    signed = row["dedup", "signatures, text of real pages"]
    add("dedup.signature", 1 / signed, "CPU s", "dedup", "signatures, text of real pages")
    sizes = {
        int(size): middle([run["seconds"] for run in runs])
        for size, runs in found["dedup"]["details"]["stage"].items()
    }
    small, large = sorted(sizes)[-2:]
    add("dedup.page", (sizes[large] - sizes[small]) / (large - small), "CPU s", "dedup",
        f"stage dedup, {large:,} pages less {small:,}")  # fmt: skip
    shuffled = row["dedup", f"stage dedup, {large:,} pages: shuffled"]
    add("dedup.shuffled", shuffled, "bytes", "dedup", f"stage dedup, {large:,} pages: shuffled")
    fetched = "fetch, one worker, PNG and JPEG"
    add("fetch.image", 1 / row["fetch", fetched], "worker s", "fetch", fetched)
    _add_models(found["score"], row, add)
    if "driver" in found:
        _add_driver(found["driver"], add)
    stages = found["stages"]
    per_page = {
        stage: {name: row["stages", f"{stage}: {name}"] for name in ("cpu", "read", "shuffled")}
        for stage in next(iter(stages["details"]["runs"].values()))[0]
    }
    size = max(stages["details"]["counts"], key=int)
    return {
        "costs": costs,
        "demo": {
            "machine": machine_of(stages["hardware"]),
            "per_page": per_page,
            "opened": {stage: _opened(stages["details"], stage) for stage in per_page},
            "counts": stages["details"]["counts"][size],
        },
    }


def _opened(details: dict[str, Any], stage: str) -> dict[str, float | None]:
    """Files that a stage opens for a part of the input, and for all else that it does.

    Nearly all that stage shard opens are packs, for ranges that the model counts image by image.
    """
    if stage == "shard":
        return {"part": 0.0, "other": 0.0}
    small, large = sorted(details["counts"], key=int)
    parts = {size: details["counts"][size]["parts"] for size in (small, large)}
    files = {
        size: middle([run[stage]["opened"] for run in details["runs"][size]])
        for size in (small, large)
    }
    part = max(0.0, (files[large] - files[small]) / (parts[large] - parts[small]))
    other = max(0.0, files[large] - part * parts[large])
    return {"part": round_to_digits(part), "other": round_to_digits(other)}


def _add_models(score: dict[str, Any], row: dict[tuple[str, str], float], add: Any) -> None:
    """Seconds of a core that an image takes, and a text: the stage has all cores."""
    cores = score["hardware"]["cores"]
    for name, found in score["details"].items():
        if not isinstance(found, dict) or "runs" not in found:
            continue
        what = f"{name}: images of stage score"
        if ("score", what) not in row:
            continue
        add(f"score.{name}.image", cores / row["score", what], "CPU s", "score", what)
        texts = middle(found["runs"]["texts, each picture once"])
        add(f"score.{name}.text", cores / texts, "CPU s", "score",
            f"{name}: texts, each picture once")  # fmt: skip


def _add_driver(driver: dict[str, Any], add: Any) -> None:
    runs = {int(parts): found for parts, found in driver["details"]["runs"].items()}
    small, large = sorted(runs)
    more = large - small
    first, last = runs[small], runs[large]
    steps = len(last["dedup"]["steps"]) - 1  # all but the labels, which are one part
    memory = last["dedup"]["by_role"]["driver"]["rss"] - first["dedup"]["by_role"]["driver"]["rss"]
    how = f"stage dedup, {large:,} parts less {small:,}"
    add("driver.memory", max(memory, 0) * 1e6 / more / steps, "bytes/commit", "driver", how)


def machine_of(hardware: dict[str, Any]) -> str:
    """What a number depends on, in a few words."""
    gpus = "".join(f", {name}" for name in hardware.get("gpus", []))
    return f"{hardware['cpu']}, {hardware['cores']} cores{gpus}"


def docs_table() -> str:
    """The table of docs/scale.md: totals of the recipe on pages like the demo's."""
    costs = load_costs()
    recipe, counts = load_recipe(RECIPE), costs.demo.counts
    size = counts.input_bytes / counts.rows["pages"]
    lines = [
        f"Rows of a page as in the {counts.source}, {size:,.0f} bytes of input a page.",
        "",
        "| pages | " + " | ".join([*COLUMNS.values(), "parts", "shards", "run.json"]) + " |",
        "|---" + "|---:" * (len(COLUMNS) + 3) + "|",
    ]
    for name, pages in PAGES.items():
        found = estimate(pages, recipe, counts, costs, Prices({}))
        cells = [cell(key, found["total"][key]) for key in COLUMNS]
        cells += [f"{found['parts']:,}", f"{found['shards']:,}", cell("read", found["run_json"])]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The document with the table of today."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + docs_table() + END + rest.partition(END)[2]


def main() -> None:
    """Write both."""
    FILE.write_text(json.dumps(collect(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    load_costs.cache_clear()
    DOCS.write_text(with_table(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (FILE, DOCS):
        print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
