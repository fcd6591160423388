"""The cost model: its numbers are those of the results, its products add up, unknowns stay so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beam_runner import main
from benchmarks.unit_costs import DOCS, collect, with_table
from pipeline.output_counts import GROUPS, OutputCounts, StageCounts, count_output
from pipeline.recipe import Recipe, load_recipe
from pipeline.run_record import read_run
from pipeline.scale import BASIS, PRICES, Prices, count_shards, estimate
from pipeline.scale_costs import FILE, load_costs
from pipeline.scale_limits import find_limits
from schemas.errors import UserError
from schemas.shards import choose_bits
from tests.small_output import build
from transforms import storage

BILLION = 1_000_000_000
NO_PRICES = Prices({})


def estimated(recipe: Recipe, pages: int, **changes: Any) -> dict[str, Any]:
    costs = load_costs()
    return estimate(pages, recipe, replace(costs.demo.counts, **changes), costs, NO_PRICES)


def test_shipped_costs_are_those_of_the_results() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == collect()


def test_the_table_of_the_document_is_that_of_the_model() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert with_table(text) == text


def test_every_cost_names_its_file_and_machine() -> None:
    results = {path.name for path in Path("benchmarks/results").glob("*.json")}
    costs = load_costs()
    assert {cost.file for cost in costs.costs.values()} <= results
    assert all(cost.machine and cost.source and cost.value > 0 for cost in costs.costs.values())
    assert set(costs.demo.per_page) == set(BASIS) == set(GROUPS) == set(costs.demo.counts.stages)


def test_extract_of_a_million_pages_is_the_product_by_hand() -> None:
    costs = load_costs()
    rows = costs.demo.counts.rows
    images = rows["images_in_input"] / rows["pages"]
    seconds = costs.value("extract.page") + costs.value("extract.image") * images  # type: ignore[operator]
    found = estimated(load_recipe("mm1"), 1_000_000)["stages"]["extract"]
    assert found["cpu_hours"] == pytest.approx(1_000_000 * seconds / 3600)
    written = costs.demo.counts.stages["extract"].written
    assert found["written"] == pytest.approx(1_000_000 * written / rows["pages"])


def test_ten_times_the_pages_are_ten_times_the_bytes_and_hours() -> None:
    recipe = load_recipe("mm1")
    small, large = estimated(recipe, BILLION), estimated(recipe, 10 * BILLION)
    for name in ("cpu_hours", "read", "written", "shuffled"):
        assert large["total"][name] == pytest.approx(10 * small["total"][name])
    assert large["parts"] == pytest.approx(10 * small["parts"], abs=10)


def test_files_that_are_opened_are_those_that_were_counted() -> None:
    details = json.loads(Path("benchmarks/results/stages.json").read_text())["details"]
    opened = load_costs().demo.opened
    for size, runs in details["runs"].items():
        parts = details["counts"][size]["parts"]
        for stage, costs in opened.items():
            if stage != "shard":  # opens packs, whose ranges are counted image by image
                counted = runs[0][stage]["opened"]
                assert costs["part"] * parts + costs["other"] == pytest.approx(counted, abs=1)


def test_parts_are_those_of_the_input_and_the_recipe() -> None:
    recipe = load_recipe("mm1", ["input.part_bytes=1048576"])
    found = estimated(recipe, 1000, input_bytes=load_costs().demo.counts.rows["pages"] * 10_000)
    assert found["parts"] == -(-1000 * 10_000 // 1048576)


def test_a_model_without_a_measurement_has_no_hours(tmp_path: Path) -> None:
    known = load_recipe("demo")
    name, scorer = next(iter(known.scorers.items()))
    measured = replace(scorer, config=replace(scorer.config, model="ViT-L-14"))
    strange = replace(scorer, config=replace(scorer.config, model="nobody-measured-it"))
    found = estimated(replace(known, scorers={name: measured}), BILLION)
    assert found["not_measured"] == {"cpu_hours": [], "gpu_hours": ["scorers"]}
    assert found["stages"]["scorers"]["cpu_hours"] > 0
    found = estimated(replace(known, scorers={name: strange}), BILLION)
    assert found["not_measured"] == {"cpu_hours": ["scorers"], "gpu_hours": ["scorers"]}
    assert found["stages"]["scorers"]["cpu_hours"] is None
    assert "scorers" not in estimated(replace(known, scorers={}), BILLION)["stages"]


def test_web_requests_are_those_of_images_that_the_crawl_lacks() -> None:
    rows = {**load_costs().demo.counts.rows, "pages": 10, "image_urls": 30, "images_found": 10}
    contact = "fetch.contact=https://example.org/crawler"
    asked = estimated(load_recipe("mm1", [contact]), 1000, rows=rows)
    assert asked["stages"]["fetch"]["web"] == 2000
    assert estimated(load_recipe("mm1"), 1000, rows=rows)["total"]["web"] == 0


def test_dollars_are_of_what_has_a_price() -> None:
    costs = load_costs()
    recipe = load_recipe("mm1")
    prices = Prices.parse(["cpu_hour=0.5", "million_reads=0.4"])
    found = estimate(BILLION, recipe, costs.demo.counts, costs, prices)
    total = found["total"]
    assert found["dollars"] == {
        "cpu_hour": pytest.approx(total["cpu_hours"] / 2),
        "million_reads": pytest.approx(total["gets"] * 0.4e-6),
    }


@pytest.mark.parametrize("text", ["cpu_hour", "cpu_hour=", "cpu_hour=-1", "cpu_hour=nan", "tea=1"])
def test_a_price_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"--price {text}: must be NAME=DOLLARS") as refused:
        Prices.parse([text])
    assert all(name in str(refused.value) for name in PRICES)


def test_shards_are_those_that_the_plan_chooses() -> None:
    settings = load_recipe("mm1").settings
    rows = {"captioned_samples": 10_000_000.0, "interleaved_samples": 0.0, "text_samples": 40_000.0}
    fmt = settings.shards
    expected = sum(
        1 << choose_bits(count, count * 1000, fmt.target_samples, fmt.target_bytes, None)
        for count in (10_000_000, 40_000)
    )
    assert count_shards(settings, rows, 10_040_000 * 1000) == expected == 1024 + 4


def test_limits_come_in_order_and_move_with_the_recipe() -> None:
    costs = load_costs()

    def limits(*overrides: str) -> dict[str, int]:
        recipe = load_recipe("mm1", overrides)
        size = estimate(BILLION, recipe, costs.demo.counts, costs, NO_PRICES)
        found = find_limits(recipe, costs.demo.counts, costs, size)
        assert [limit.pages for limit in found] == sorted(limit.pages for limit in found)
        return {limit.what.partition(" with ")[0]: limit.pages for limit in found}

    few, many = limits("dedup.buckets=64"), limits("dedup.buckets=128")
    assert many["a bucket of dedup may reach 1 GiB"] == pytest.approx(
        2 * few["a bucket of dedup may reach 1 GiB"], abs=2
    )


def test_an_output_is_counted_by_its_snapshots(tmp_path: Path) -> None:
    out = build(str(tmp_path))
    record = read_run(out.url)
    assert record is not None
    assert count_output(out.url, record) is None, "no pages"
    record["stages"]["extract"]["tables"]["pages"] = {"in": 2, "kept": 2}
    counts = count_output(out.url, record)
    assert counts is not None
    files = [tmp_path / f"tables/{table}/a-f0.parquet" for table in ("captions", "failures")]
    assert counts.stages["extract"] == StageCounts(1, 0, 2, 0, sum(f.stat().st_size for f in files))
    # Names of parts of the extract stage, with a step before them, are told from buckets.
    assert counts.stages["shard"].part_commits == 1
    assert counts.stages["dedup"] == StageCounts(0, 1, 0, 0, 0)
    assert (counts.parts, counts.input_bytes, counts.rows["pages"]) == (1, 1024, 2)
    assert OutputCounts.from_json(json.loads(json.dumps(counts.as_json()))) == counts
    record["stages"]["shard"]["status"] = "stale"
    assert count_output(out.url, record) is None, "not finished"


def test_plan_scale_prints_what_it_estimates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crawl = tmp_path / "crawl" / "a.warc"
    storage.write_bytes(str(crawl), b"anything: nothing is read")
    command = ["plan", "mm1", "-i", str(crawl), "-o", str(tmp_path / "out"), "--scale"]
    assert main([*command, "--json", "--price", "cpu_hour=1"]) == 0
    found = json.loads(capsys.readouterr().out)
    size = found["sizes"]["1 billion"]
    assert size["dollars"] == {"cpu_hour": size["total"]["cpu_hours"]}
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "MM1's 3 billion: 3,000,000,000 pages" in shown
    assert found["source"] in shown
    assert "What breaks first:" in shown
    assert found["limits"][0]["what"] in shown
    assert not (tmp_path / "out").exists()


def test_prices_without_scale_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "mm1", "-i", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main([*command, "--price", "cpu_hour=1"]) == 2
    assert "--price: is for --scale" in capsys.readouterr().err
