"""Made-up reports: one with every section and hostile texts, and one where all is missing."""

from tests.report.made_galleries import (
    GATE,
    IMAGE_GATE,
    TEXT_GATE,
    made_examples,
    made_galleries,
    made_pictures,
)
from tests.report.made_gates import Json, captioned_rules, made_gate, text_rules
from tests.report.made_streams import (
    made_fetch,
    made_funnels,
    made_score,
    made_stages,
    made_streams,
)


def made_report(scale: int = 1000) -> Json:
    """A report in which every section has something to show.

    Args:
        scale: Rows that each made-up row stands for.
    """
    captioned = made_gate(GATE, "captioned", "caption", scale, captioned_rules)
    text = made_gate(TEXT_GATE, "text", "text", scale, text_rules)
    rules = captioned["rules"] + text["rules"]
    for number, rule in enumerate(rules):
        rule["examples"] = made_examples(rule, number)
    rules.append(made_sql_rule())
    return {
        "report_version": 1,
        "output": "out/<b>made</b>",
        "title": "mm1 </title><script>window.attacked = 3</script>",
        "complete": False,
        "problems": ["text: the manifest lists 10 samples, the index <i>9</i>"],
        "recipe": {"name": "mm1", "fingerprint": "0f3c9a7d51e2b846"},
        "inputs": {"files": 64, "bytes": 74_100_000_000},
        "versions": {"apache-beam": "2.77.0", "weft-data": "0.1.0"},
        "judged": {"parts": 16, "of_parts": 64, "rows": 3_000 * scale},
        "stages": made_stages(scale),
        "funnels": made_funnels(rules, scale),
        "rules": rules,
        "explorers": [captioned["explorer"], text["explorer"]],
        "slices": [captioned["slices"], text["slices"]],
        "streams": made_streams(scale),
        "scores": {
            "captions": {"clip_score": made_score(0.27, 0.05), "perplexity": made_score(300, 90)}
        },
        "token_estimate": {"tokens_per_image": 144, "characters_per_token": 4},
        "balance": [
            {
                "stream": "captioned",
                "samples": 620 * scale,
                "tokens": 90_000 * scale,
                "share_of_samples": 0.62,
                "share_of_tokens": 0.225,
                "wanted": 0.45,
            },
            {
                "stream": "interleaved",
                "samples": 250 * scale,
                "tokens": 190_000 * scale,
                "share_of_samples": 0.25,
                "share_of_tokens": 0.475,
                "wanted": 0.45,
            },
            {
                "stream": "text",
                "samples": 130 * scale,
                "tokens": 120_000 * scale,
                "share_of_samples": 0.13,
                "share_of_tokens": 0.3,
                "wanted": 0.1,
            },
        ],
        "fetch": made_fetch(scale),
        "contamination": {
            "removed": 31,
            "benchmarks": 2,
            "rows": [],
            "by_benchmark": [
                {
                    "benchmark": "coco_captions",
                    "items": 12,
                    "documents": 4,
                    "texts": 1,
                    "captions": 15,
                    "images": 6,
                },
                {
                    "benchmark": "<em>gsm8k</em>",
                    "items": 3,
                    "documents": 5,
                    "texts": 0,
                    "captions": 0,
                    "images": 0,
                },
            ],
        },
        "recaption": {
            "wanted": 6_000,
            "outcomes": [
                {
                    "outcome": "fused",
                    "meaning": "a fusion of description and alt text",
                    "rows": 4_800,
                },
                {"outcome": "described", "meaning": "the description alone", "rows": 900},
                {"outcome": "fell_back", "meaning": "no answer passed the checks", "rows": 300},
            ],
            "problems": [{"problem": "lost_name", "rows": 510}, {"problem": "loop", "rows": 42}],
            "trained_on": [{"origin": "fused", "rows": 4_300}, {"origin": "alt", "rows": 1_700}],
            "prompt_tokens": 5_400_000,
            "completion_tokens": 610_000,
        },
        "duplicates": {
            "sizes": [
                {"kind": kind, "from": start, "clusters": n, "members": n * start}
                for kind in ("near_text", "image")
                for start, n in ((2, 5200), (3, 900), (4, 310), (8, 44), (16, 3))
            ]
        },
        "time": [
            {"stage": stage, "seconds": seconds, "parts": parts, "rows": rows * scale}
            for stage, seconds, parts, rows in (
                ("extract", 5210.4, 64, 2_900),
                ("dedup", 830.0, 192, 2_400),
                ("refs", 120.2, 64, 1_900),
                ("fetch", 9_400.0, 410, 900),
                ("score", 7_210.9, 64, 800),
                ("recaption", 15_020.0, 12, 6),
                ("shard", 610.3, 128, 1_000),
            )
        ],
        "galleries": made_galleries(rules),
        "pictures": made_pictures(),
    }


def empty_report() -> Json:
    """What a run that has hardly begun gives: every section null or empty."""
    lists = ("problems", "funnels", "rules", "explorers", "slices", "balance", "time")
    nulls = ("recipe", "inputs", "judged", "fetch", "contamination", "recaption", "duplicates")
    return {
        "report_version": 1,
        "output": "out",
        "title": "",
        "complete": False,
        **{name: [] for name in lists},
        **dict.fromkeys(nulls),
        "versions": {},
        "stages": {},
        "streams": {},
        "scores": {},
        "galleries": {"captions": [], "documents": [], "clusters": []},
        "pictures": {},
    }


def bare_report() -> Json:
    """A report whose sections are there and hardly tell anything."""
    report = made_report()
    for rule in report["rules"]:
        gone = dict.fromkeys(("threshold", "expression", "histogram", "members"))
        rule.update(gone, limits=[], examples={"kept": [], "dropped": []})
    report["streams"] = {"captioned": {"samples": 5, "shards": 1, "bytes": 10, "splits": {}}}
    report["galleries"] = None
    report["judged"] = None
    report["token_estimate"] = None
    return report


def zero_report() -> Json:
    """A report of a run to which nothing came."""
    report = made_report()
    counts = ("rows", "failed", "decisive", "alone", "without_value")
    for rule in report["rules"]:
        rule.update(dict.fromkeys(counts, 0))
        for name, rows in (rule["histogram"] or {}).items():
            if name != "cuts":
                rule["histogram"][name] = [0] * len(rows)
    nothing: Json = {"bins": [], "language": [], "rest": [], "rows": []}
    for explorer in report["explorers"]:
        explorer.update(rows=0, kept=0, languages=[])
        if explorer["joint"]:
            explorer["joint"] = {**nothing, "bins": [[] for _ in explorer["joint"]["bins"]]}
        explorer["single"] = dict.fromkeys(explorer["single"], nothing)
    for funnel in report["funnels"]:
        for step in funnel["steps"]:
            step.update({"in": 0, "kept": 0, "rejected": 0, "failed": 0, "tolls": []})
    for row in report["balance"]:
        row.update(samples=0, tokens=0, share_of_samples=None, share_of_tokens=None, wanted=None)
    for gate in report["slices"]:
        gate.update(rows=0, kept=0, failed=[0] * len(gate["rules"]), dimensions=[], flags=[])
    report["time"] = [{"stage": "extract", "seconds": 0, "parts": None, "rows": None}]
    return report


def made_sql_rule() -> Json:
    path = f"{IMAGE_GATE}.landscape"
    return {
        "path": path,
        "gate": IMAGE_GATE,
        "name": "landscape",
        "kind": "image",
        "stream": "interleaved",
        "form": "sql",
        "expression": "width > height",
        "threshold": "width > height",
        "rows": 0,
        "failed": 0,
        "decisive": 0,
        "alone": 0,
        "without_value": 0,
        "histogram": None,
        "limits": [],
        "members": None,
        "examples": {"kept": [], "dropped": []},
    }
