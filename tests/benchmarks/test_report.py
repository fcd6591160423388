import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.report import Report, Row, hardware, middle, round_to_digits, versions

KEYS = {"what", "ours", "peer_name", "peer", "unit", "ratio"}


@pytest.mark.parametrize(
    ("ours", "peer", "more_is_better", "ratio"),
    [
        pytest.param(30.0, 10.0, True, 3.0, id="faster than the peer"),
        pytest.param(10.0, 30.0, True, 1 / 3, id="slower than the peer"),
        pytest.param(50.0, 100.0, False, 2.0, id="less memory than the limit"),
        pytest.param(200.0, 100.0, False, 0.5, id="more memory than the limit"),
        pytest.param(10.0, None, True, None, id="no peer"),
        pytest.param(0.0, 0.15, False, None, id="nothing to divide by"),
    ],
)
def test_ratio_above_one_means_ours_is_better(
    ours: float, peer: float | None, more_is_better: bool, ratio: float | None
) -> None:
    row = Row("speed", ours, "pages/s", "peer", peer, more_is_better)
    assert row.ratio == (None if ratio is None else pytest.approx(ratio))


def test_row_as_json_has_the_promised_keys_and_rounds() -> None:
    row = Row("read", 1234.5678, "pages/s", "peer 1.0", 0.00123456).as_json()
    assert set(row) == KEYS
    assert (row["ours"], row["peer"]) == (1235.0, 0.001235)


@pytest.mark.parametrize(
    ("value", "rounded"), [(None, None), (0.0, 0.0), (123456.0, 123500.0), (0.98765, 0.9877)]
)
def test_round_to_digits_keeps_four(value: float | None, rounded: float | None) -> None:
    assert round_to_digits(value) == rounded


def test_middle_is_the_median_of_odd_and_even_counts() -> None:
    assert middle([9.0, 1.0, 2.0]) == 2.0
    assert middle([1.0, 2.0]) == 1.5


def make_report(rows: list[Row]) -> Report:
    found = {"cpu": "a processor", "cores": 2, "memory_gb": 8.0, "system": "Linux x86_64"}
    return Report("pipeline", "make bench-pipeline", found, {"python": "3.11"}, rows, {"n": 1})


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results" / "pipeline.json"
    make_report([]).write(path)
    make_report([Row("read", 2.0, "pages/s", "peer", 1.0)]).write(path)
    made = json.loads(path.read_text())
    assert set(made) == {"name", "command", "hardware", "versions", "rows", "details"}
    assert [row["ratio"] for row in made["rows"]] == [2.0]
    assert list(path.parent.iterdir()) == [path]


def test_write_of_a_number_that_json_lacks_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.json"
    make_report([]).write(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        make_report([Row("read", float("nan"), "pages/s")]).write(path)
    assert path.read_bytes() == before


def test_show_prints_every_row_with_its_ratio() -> None:
    console = Console(width=200)
    rows = [Row("read", 30.0, "pages/s", "other 1.0", 10.0), Row("alone", 12345.0, "bytes")]
    with console.capture() as captured:
        make_report(rows).show(console)
    text = captured.get()
    read = next(line for line in text.splitlines() if " read" in line)
    assert [cell.strip() for cell in read.split("│")[1:-1]] == [
        "read", "30", "other 1.0", "10", "pages/s", "3",
    ]  # fmt: skip
    assert "12,345" in text


def test_hardware_counts_cores_and_does_not_name_the_machine() -> None:
    found = hardware()
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert not {"host", "hostname", "node"} & set(found)


def test_versions_says_what_is_not_installed() -> None:
    found = versions(["pyarrow", "no-such-distribution-of-ours"])
    assert found["python"].startswith("3.")
    assert found["pyarrow"][0].isdigit()
    assert found["no-such-distribution-of-ours"] == "not installed"
