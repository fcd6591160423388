"""Every number of a report against the tables, counted another way."""

import base64
import io
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.inspection import inspect_output
from pipeline.inspection.rejudge import GATES
from tests.report.reported import Reported
from transforms.minhash import text_hash

SEEN_BY = {
    "gates.dedup": "SELECT id FROM {scores_text}",
    "gates.shard.captioned": "SELECT caption_id FROM {candidates_captions}",
    "gates.shard.interleaved.image": "SELECT id FROM {candidates_nodes} WHERE kind = 'image'",
    "gates.shard.interleaved.paragraph": "SELECT id FROM {candidates_nodes} WHERE kind = 'text'",
    "gates.shard.interleaved.document": "SELECT id FROM {candidates_documents}",
}
PLAIN = {
    "gates.shard.captioned": "{candidates_captions}",
    "gates.shard.interleaved.image": "(SELECT * FROM {candidates_nodes} WHERE kind = 'image')",
    "gates.dedup": "{scores_text}",
}
"""Gates and the table that has the columns of most of their rules."""


def place(path: str) -> tuple[str, str, str]:
    """Gate, kind and rule of a path as the ledger has them."""
    gate, _, rule = path.removeprefix("gates.").rpartition(".")
    kinds = {"dedup": "page", "fetch.image": "image", "fetch.caption": "caption",
             "shard.captioned": "caption", "shard.text": "text"}  # fmt: skip
    if gate in kinds:
        return gate, kinds[gate], rule
    return "shard.interleaved", gate.rpartition(".")[2], rule


def test_every_step_of_a_funnel_adds_up(reported: Reported) -> None:
    streams = [funnel["stream"] for funnel in reported.facts["funnels"]]
    assert streams == ["captioned", "interleaved", "text", "images"]
    for funnel in reported.facts["funnels"]:
        for step in funnel["steps"]:
            assert step["in"] == step["kept"] + step["rejected"] + step["failed"], step
            assert sum(toll["rows"] for toll in step["tolls"]) == step["rejected"] + step["failed"]
            told = reported.facts["stages"][step["stage"]]["tables"][step["table"]]
            assert [told[name] for name in ("in", "kept")] == [step["in"], step["kept"]]


def test_tolls_of_gates_are_those_of_the_ledger(reported: Reported) -> None:
    ledger = Counter({
        row[:3]: row[3]
        for row in reported.rows(
            "SELECT gate, kind, rule, count(*) FROM {ledger} WHERE decisive GROUP BY ALL"
        )
    })  # fmt: skip
    told = {
        toll["rule"]: toll["rows"]
        for funnel in reported.facts["funnels"]
        for step in funnel["steps"]
        for toll in step["tolls"]
        if toll["rule"]
    }
    assert len(told) > 12
    assert told == {path: ledger[place(path)] for path in told}


def test_a_step_says_why_it_begins_with_another_number(reported: Reported) -> None:
    for funnel in reported.facts["funnels"]:
        for before, step in zip(funnel["steps"], funnel["steps"][1:], strict=False):
            same = before["kept"] == step["in"] and before["unit"] == step["unit"]
            assert (step["note"] is None) == same
            if not same:
                # Either from one number to the other, or what is counted here.
                assert f"{step['in']:,}" in step["note"] or ";" in step["note"]


def test_counts_of_rules_are_those_of_the_ledger(reported: Reported) -> None:
    for rule in reported.facts["rules"]:
        if not rule["rows"]:
            continue
        where = "gate = ? AND kind = ? AND rule = ?"
        ((failed, decisive, no_value),) = reported.rows(
            "SELECT count(*), count(*) FILTER (decisive), "
            "count(*) FILTER (value IS NULL AND value_text IS NULL) "
            f"FROM {{ledger}} WHERE {where}",
            *place(rule["path"]),
        )
        assert (rule["failed"], rule["decisive"]) == (failed, decisive), rule["path"]
        if rule["form"] != "built_in":
            assert rule["without_value"] == no_value, rule["path"]
        ((alone,),) = reported.rows(
            "SELECT count(*) FROM (SELECT id, node, min(rule) AS rule FROM {ledger} "
            "WHERE gate = ? AND kind = ? GROUP BY id, node HAVING count(*) = 1) WHERE rule = ?",
            *place(rule["path"]),
        )
        # A page and a page that is the same record of it are two rows of one id.
        if rule["gate"] != "gates.dedup":
            assert rule["alone"] == alone, rule["path"]


@pytest.mark.parametrize("gate", sorted(SEEN_BY))
def test_rules_saw_every_row_of_their_gate(reported: Reported, gate: str) -> None:
    count = len(reported.rows(SEEN_BY[gate]))
    rules = [rule for rule in reported.facts["rules"] if rule["gate"] == gate]
    assert rules
    assert {rule["rows"] for rule in rules} == {count}


def test_histograms_hold_every_value_in_its_bin(reported: Reported) -> None:
    seen = 0
    for rule in reported.facts["rules"]:
        histogram = rule["histogram"]
        if histogram is None or rule["gate"] not in PLAIN or "clip" in (rule["expression"] or ""):
            continue
        table, expression = PLAIN[rule["gate"]], rule["expression"]
        if expression is None or rule["name"] == "repeated_paragraph":
            continue
        found = reported.rows(f"SELECT ({expression})::DOUBLE AS x FROM {table}")
        values = np.array([np.nan if row[0] is None else row[0] for row in found], float)
        values = values[~np.isnan(values)]
        cuts = histogram["cuts"]
        assert len(histogram["rows"]) == len(cuts) + 1
        bins = Counter(
            sum(value >= cut if side == 0 else value > cut for cut, side in cuts)
            for value in values
        )
        assert histogram["rows"] == [bins[at] for at in range(len(cuts) + 1)], rule["path"]
        assert sum(histogram["failed"]) == rule["failed"] - rule["without_value"]
        seen += 1
    assert seen >= 10


def passes(rule: dict[str, Any], at: int) -> bool:
    """The arithmetic that the page does: whether a bin passes a rule at its limits."""
    if at == 0:
        return False
    if rule["form"] == "members":
        known = at <= len(rule["values"])
        return (known and rule["values"][at - 1] in rule["members"]) != rule["exclude"]
    cuts = [tuple(cut) for cut in rule["cuts"]]
    if rule["lower"] is not None and at <= cuts.index((rule["lower"], int(rule["above"]))) + 1:
        return False
    return rule["upper"] is None or at <= cuts.index((rule["upper"], int(not rule["below"]))) + 1


def kept_of(explorer: dict[str, Any], rules: list[dict[str, Any]]) -> int:
    """Rows that the joint table keeps."""
    joint = explorer["joint"]
    order = [rule for rule in rules if rule["is_joint"]]
    assert len(joint["bins"]) == len(order)
    return sum(
        rows
        for *bins, rest, rows in zip(*joint["bins"], joint["rest"], joint["rows"], strict=True)
        if rest and all(passes(rule, at) for rule, at in zip(order, bins, strict=True))
    )


def test_an_explorer_keeps_what_its_gate_keeps(reported: Reported) -> None:
    gates = [explorer["gate"] for explorer in reported.facts["explorers"]]
    assert set(gates) <= set(GATES)
    assert len(gates) >= 6
    for explorer in reported.facts["explorers"]:
        assert kept_of(explorer, explorer["rules"]) == explorer["kept"]
        assert sum(explorer["joint"]["rows"]) == explorer["rows"]
        for counts in explorer["single"].values():
            assert sum(counts["rows"]) == explorer["rows"]
        name = explorer["gate"].removeprefix("gates.")
        name = "shard.interleaved" if name.startswith("shard.interleaved") else name
        ((lost,),) = reported.rows(
            "SELECT count(*) FROM (SELECT DISTINCT id, node FROM {ledger} WHERE decisive AND "
            "gate = ? AND kind = ? AND rule NOT IN ('duplicate', 'duplicate_pair', 'same_record'))",
            name,
            explorer["kind"],
        )
        if explorer["gate"] != "gates.shard.text":
            assert explorer["kept"] == explorer["rows"] - lost, explorer["gate"]


MOVED = {
    "gates.shard.interleaved.image.min_side": ("lower", "least(width, height) >= {}"),
    "gates.shard.interleaved.image.max_side": ("upper", "greatest(width, height) <= {}"),
}


@pytest.mark.parametrize("path", sorted(MOVED))
def test_another_threshold_keeps_what_duckdb_counts(reported: Reported, path: str) -> None:
    explorer = reported.explorer("gates.shard.interleaved.image")
    rule = next(rule for rule in explorer["rules"] if rule["path"] == path)
    assert rule["is_joint"]
    side, condition = MOVED[path]
    values = [value for value, cut_side in rule["cuts"] if cut_side == int(side == "upper")]
    assert len(values) > 5
    kept = set()
    for value in values:
        moved = [{**each, side: value} if each is rule else each for each in explorer["rules"]]
        ((counted,),) = reported.rows(
            "SELECT count(*) FROM {candidates_nodes} WHERE kind = 'image' AND "
            f"{condition.format(value)} AND (id, node) NOT IN (SELECT (id, node) FROM {{ledger}} "
            "WHERE gate = 'shard.interleaved' AND kind = 'image' AND rule <> ?)",
            rule["name"],
        )
        assert kept_of(explorer, moved) == counted, value
        kept.add(counted)
    assert len(kept) > 3


def test_a_rule_of_its_own_moves_beside_the_verdict_of_the_others(reported: Reported) -> None:
    explorer = reported.explorer("gates.shard.captioned")
    rule = next(rule for rule in explorer["rules"] if rule["name"] == "words")
    counts = explorer["single"].get(rule["path"])
    assert counts is not None, "words is told alone in this recipe"
    for value, side in rule["cuts"]:
        if side:
            continue
        moved = {**rule, "lower": value}
        told = sum(
            rows
            for at, rest, rows in zip(counts["bins"], counts["rest"], counts["rows"], strict=True)
            if rest and passes(moved, at)
        )
        ((counted,),) = reported.rows(
            "SELECT count(*) FROM {candidates_captions} WHERE words >= ? "
            "AND words <= coalesce(?, 1e9) AND caption_id NOT IN (SELECT id FROM {ledger} "
            "WHERE gate = 'shard.captioned' AND "
            "kind = 'caption' AND rule NOT IN ('words', 'duplicate_pair'))",
            value,
            rule["upper"],
        )
        assert told == counted, value


def test_slices_are_counted_as_duckdb_does(reported: Reported) -> None:
    slices = next(s for s in reported.facts["slices"] if s["gate"] == "gates.shard.captioned")
    rows = dict(
        reported.rows("SELECT language, count(*) FROM {candidates_captions} GROUP BY language")
    )
    lost = Counter({
        row[:2]: row[2]
        for row in reported.rows(
            "SELECT language, rule, count(*) FROM {ledger} JOIN {candidates_captions} "
            "ON id = caption_id WHERE gate = 'shard.captioned' AND rule <> 'duplicate_pair' "
            "GROUP BY ALL"
        )
    })  # fmt: skip
    (languages,) = (d for d in slices["dimensions"] if d["name"] == "language")
    assert languages["distinct"] == len(rows)
    for value in languages["values"]:
        assert value["rows"] == rows[value["value"]]
        told = dict(zip(slices["rules"], value["failed"], strict=True))
        assert told == {rule: lost[value["value"], rule] for rule in slices["rules"]}
    shapes = dict(
        reported.rows(
            "SELECT CASE WHEN width = height THEN 'square' WHEN width > height THEN 'landscape' "
            "ELSE 'portrait' END, count(*) FROM {candidates_captions} WHERE width IS NOT NULL "
            "GROUP BY ALL"
        )
    )
    (orientation,) = (d for d in slices["dimensions"] if d["name"] == "orientation")
    assert {value["value"]: value["rows"] for value in orientation["values"]} == shapes


def test_numbers_of_streams_are_those_of_inspect(reported: Reported) -> None:
    told = inspect_output(str(reported.output))
    for name in ("streams", "stages", "problems", "recipe", "inputs"):
        assert json.loads(json.dumps(told[name])) == reported.facts[name]
    for row in reported.facts["balance"]:
        facts = told["streams"][row["stream"]]
        assert row["samples"] == facts["samples"]
        assert row["tokens"] == round(facts["characters"] / 4 + 144 * (facts["images"] or 0))
    for name in ("share_of_samples", "share_of_tokens", "wanted"):
        assert sum(row[name] for row in reported.facts["balance"]) == pytest.approx(1)


def test_clusters_and_scores_are_counted(reported: Reported) -> None:
    sizes = reported.facts["duplicates"]["sizes"]
    for kind, table in (("near_text", "{clusters}"), ("image", "{image_clusters}")):
        where = "" if kind == "image" else f"WHERE kind = '{kind}'"
        ((clusters, members),) = reported.rows(
            "SELECT count(*), sum(size) FROM (SELECT count(*) AS size FROM "
            f"{table} {where} GROUP BY cluster_id HAVING size > 1)"
        )
        mine = [row for row in sizes if row["kind"] == kind]
        assert sum(row["clusters"] for row in mine) == clusters > 0
        assert sum(row["members"] for row in mine) == members
    nodes = reported.facts["scores"]["images of documents"]["clip_score"]
    ((count, least),) = reported.rows(
        "SELECT count(clip_score), min(clip_score) FROM {scores_nodes}"
    )
    assert (nodes["count"], nodes["min"]) == (count, pytest.approx(least))
    assert sum(row["count"] for row in nodes["histogram"]) == count


def test_scores_of_captions_are_those_of_captions(reported: Reported) -> None:
    pairs = {
        (id_, key, text): score
        for id_, key, text, score in reported.rows(
            "SELECT id, image_key, text_hash, clip_score FROM {scores_clip}"
        )
    }
    captions = reported.rows("SELECT doc_id, image_key, text FROM {candidates_captions}")
    keys = [(id_, key, text_hash(text)) for id_, key, text in captions]
    scores = sorted(pairs[key] for key in keys if key in pairs)
    # Pairs of images and sentences of documents are no captions.
    assert len(scores) < len(pairs)
    told = reported.facts["scores"]["captions"]["clip_score"]
    assert told["count"] == len(scores) == sum(row["count"] for row in told["histogram"])
    for name, share in (("min", 0.0), ("median", 0.5), ("p95", 0.95), ("max", 1.0)):
        assert told[name] == pytest.approx(np.quantile(scores, share, method="inverted_cdf"))


def test_examples_are_the_nearest_to_the_threshold(reported: Reported) -> None:
    rule = reported.rule("gates.shard.interleaved.image.min_side")
    told = [row["value"] for row in rule["examples"]["dropped"]]
    values = [value for value in told if value is not None]
    # What has no value is farthest from any threshold.
    assert told[: len(values)] == values == sorted(values, reverse=True)
    ((nearest,),) = reported.rows(
        "SELECT max(value) FROM {ledger} WHERE gate = 'shard.interleaved' AND kind = 'image' "
        "AND rule = 'min_side'"
    )
    assert values[0] == nearest
    kept = [row["value"] for row in rule["examples"]["kept"]]
    assert kept == sorted(kept)
    assert min(kept) >= rule["limits"][0]


def test_thumbnails_are_those_of_the_images(reported: Reported) -> None:
    pictures = reported.facts["pictures"]
    assert len(pictures) > 40
    for url in pictures.values():
        head, _, data = url.partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert max(picture.size) <= 160
    sample = reported.facts["galleries"]["captions"][0]
    ((width, height),) = reported.rows(
        "SELECT any_value(width), any_value(height) FROM {image_answers} WHERE image_key = ?",
        sample["picture"],
    )
    with Image.open(io.BytesIO(base64.b64decode(pictures[sample["picture"]].split(",")[1]))) as im:
        assert im.width / im.height == pytest.approx(width / height, rel=0.05)


def test_galleries_tell_what_was_chosen_and_dropped(reported: Reported) -> None:
    galleries = reported.facts["galleries"]
    for sample in galleries["captions"]:
        assert sum(caption["chosen"] for caption in sample["captions"]) == 1
    documents = galleries["documents"]
    assert {document["kept"] for document in documents} == {True, False}
    assert any(not node["kept"] for document in documents for node in document["nodes"])
    for cluster in galleries["clusters"]:
        assert cluster["size"] >= len(cluster["members"]) >= 2
    assert any(member["survives"] for c in galleries["clusters"] for member in c["members"])
