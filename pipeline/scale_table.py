"""`plan --scale`: the cost model applied to a recipe and an input, and printed."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.output_counts import count_output
from pipeline.run import RunOptions, prepare
from pipeline.run_record import read_run
from pipeline.scale import PAGES, PRICES, Prices, estimate
from pipeline.scale_costs import load_costs
from pipeline.scale_limits import find_limits

NOT_MEASURED = "not measured"
LARGEST = max(PAGES, key=lambda name: PAGES[name])
COLUMNS = {
    "cpu_hours": "CPU-hours", "gpu_hours": "GPU-hours", "read": "read", "written": "written",
    "shuffled": "shuffled", "gets": "GETs", "puts": "PUTs, LISTs", "web": "web requests",
}  # fmt: skip
BYTES = ("read", "written", "shuffled")
_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def make_scale(options: RunOptions, prices: Prices) -> dict[str, Any]:
    """The estimates for this recipe. Raises `UserError` for what `run` would refuse.

    Returns:
        `source`: whose counts they are; `sizes`: name -> an `estimate`; `limits`, the first first;
        `costs`: the unit costs, each with file and machine; `bytes_of_input`.
    """
    state = prepare(options)
    costs = load_costs()
    record = read_run(state.output)
    counts = None if record is None else count_output(state.output, record)
    sizes = dict(PAGES)
    if counts is None:
        counts = costs.demo.counts
    else:
        sizes = {"this output": counts.rows["pages"], **sizes}
    found = {
        name: estimate(pages, state.recipe, counts, costs, prices) for name, pages in sizes.items()
    }
    limits = find_limits(state.recipe, counts, costs, found[LARGEST])
    return {
        "recipe": state.recipe.name,
        "source": counts.source,
        "bytes_of_input": sum(file.size for file in state.inputs),
        "bytes_of_page": round(counts.input_bytes / counts.rows["pages"]),
        "sizes": found,
        "limits": [limit.as_json() for limit in limits],
        "costs": {
            name: {"value": cost.value, "unit": cost.unit, "file": cost.file,
                   "from": cost.source, "machine": cost.machine}
            for name, cost in costs.costs.items()
        },
        "demo_machine": costs.demo.machine,
    }  # fmt: skip


def show_scale(found: dict[str, Any], console: Console) -> None:
    """Print the estimates, what breaks first, and where the numbers are from."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(
        f"recipe {escape(found['recipe'])}; input of {found['bytes_of_input']:,} bytes; rows of a "
        f"page as in {escape(found['source'])}, {found['bytes_of_page']:,} bytes of input a page"
    )
    for name, size in found["sizes"].items():
        say("")
        console.print(_table(name, size))
        say(_below(size))
    say("\nWhat breaks first:")
    for limit in found["limits"]:
        say(f"  {_short(limit['pages'], _COUNTS)} pages: {limit['what']}; {limit['do']}.")
    say("\nMeasured (benchmarks/results):")
    for name, cost in found["costs"].items():
        say(
            f"  {name}: {cost['value']:.4g} {cost['unit']}, {cost['file']}, {cost['from']} "
            f"({cost['machine']})"
        )
    say(
        f"  all else: stages.json, the demo crawl ({found['demo_machine']}); its score has a tiny "
        "model."
    )


def _table(name: str, size: dict[str, Any]) -> Table:
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=f"{name}: {size['pages']:,} pages",
        title_justify="left",
    )  # fmt: skip
    table.add_column("stage")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for stage, cost in [*size["stages"].items(), ("all", size["total"])]:
        missing = {key: stage == "all" and bool(size["not_measured"].get(key)) for key in COLUMNS}
        table.add_row(
            stage,
            *(("over " if missing[key] else "") + cell(key, cost[key]) for key in COLUMNS),
        )
    return table


def cell(key: str, value: float | None) -> str:
    """A number of a column of `COLUMNS`, to three digits."""
    if value is None:
        return NOT_MEASURED
    if key in BYTES:
        return _short(value, _UNITS, " B")
    if key.endswith("hours"):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value else "0"
    return _short(value, _COUNTS)


def _short(value: float, units: tuple[tuple[float, str], ...], unit: str = "") -> str:
    for size, name in units:
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.0f}{unit}"


def _below(size: dict[str, Any]) -> str:
    """What is no column: parts, files, the largest bucket, the driver, dollars."""
    stage, largest = max(size["largest_bucket"].items(), key=lambda item: (item[1], item[0]))
    lines = [
        f"{size['parts']:,} parts, {size['shards']:,} shards, "
        f"{_short(size['total']['files'] + size['total']['records'], _COUNTS)} files; largest "
        f"bucket {_short(largest, _UNITS, ' B')} (stage {stage}), which is the largest key; "
        f"run.json {_short(size['run_json'], _UNITS, ' B')}"
    ]
    memory = size["driver_memory"]
    lines[0] += "; records in the driver " + (
        NOT_MEASURED if memory is None else _short(memory, _UNITS, " B")
    )
    if size["dollars"]:
        prices = ", ".join(f"{name} ${value:,.2f}" for name, value in size["dollars"].items())
        without = [name for name in PRICES if name not in size["dollars"]]
        line = f"${sum(size['dollars'].values()):,.2f}: {prices}"
        if without:
            line += f"; no price of {', '.join(without)}"
        lines.append(line)
    return "\n".join(lines)
