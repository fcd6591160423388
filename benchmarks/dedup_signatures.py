"""Part `signatures` of `make bench-dedup`: from texts to MinHash signatures, on one core."""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.dedup_parts import Outcome, Scale
from benchmarks.dedup_sides import SIDES
from benchmarks.dedup_texts import WORDS, generate_documents, real_documents
from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import Row, middle

PEER = ROOT / ".venv-dedup" / "bin" / "python"
OURS = "ours"
IN_PEER = ("datatrove", "rensa")
"""Sides whose library is in the environment of the peers; the others are in ours."""
TARGETS = {"datatrove": 20.0, "datasketch": 3.0, "rensa": 0.8}
"""At least as many times faster than the library is."""
DOCUMENTS = 2000


def measure_signatures(scale: Scale, folder: Path) -> Outcome:
    """Signatures that everybody makes in a second of CPU time, on generated and on real text.

    Raises:
        SystemExit: The environment of the peers is not there, or a side gave two different answers.
    """
    if scale.peers and not PEER.exists():
        raise SystemExit(f"{PEER.parents[1]} is not there: `make bench-dedup` makes it")
    inputs = {"generated text": generate_documents(DOCUMENTS)}
    if real := real_documents(DOCUMENTS):
        inputs["text of real pages"] = real
    outcome = Outcome()
    for label, documents in inputs.items():
        path = folder / "texts.json"
        path.write_text(json.dumps(documents), encoding="utf-8")
        runs = _rounds(label, path, scale)
        for found in runs.values():
            outcome.versions |= found[0]["versions"]
        outcome.rows += make_rows(f"signatures, {label}", runs)
        outcome.details[label] = {
            "documents": len(documents),
            "words": WORDS,
            "characters": sum(map(len, documents)) / len(documents),
            "ascii": sum(text.isascii() for text in documents) / len(documents),
            "runs": runs,
        }
    return outcome


def make_rows(what: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
    """Ours beside each side: documents a CPU second, medians."""
    rates = {
        side: middle([run["documents"] / run["cpu"] for run in found])
        for side, found in runs.items()
    }
    beside = [side for side in rates if not side.startswith(OURS)]
    rows = [Row(what, rates[OURS], "documents/CPU s", side, rates[side]) for side in beside]
    rows += [
        Row(f"{what}: {side}", rates[side], "documents/CPU s")
        for side in rates
        if side.startswith(OURS) and (side != OURS or not beside)
    ]
    return rows


def targets_of(row: Row) -> float | None:
    """How many times faster ours must be in this row."""
    library = (row.peer_name or "").partition(",")[0]
    return TARGETS.get(library) if row.what.startswith("signatures, ") else None


def _rounds(label: str, path: Path, scale: Scale) -> dict[str, list[dict[str, Any]]]:
    runs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    program = Path(__file__).with_name("dedup_sides.py")
    for number in range(scale.rounds):
        for side in SIDES:
            if side.startswith(IN_PEER):
                if not scale.peers:
                    continue
                command = [str(PEER), str(program)]
            else:
                command = [sys.executable, "-m", f"benchmarks.{program.stem}"]
            say(f"signatures, {label}, {side}: round {number + 1} of {scale.rounds}")
            runs[side].append(run_json([*command, side, path, str(scale.seconds)]))
    for side, found in runs.items():
        if len({run["crc32"] for run in found}) != 1:
            raise SystemExit(f"{side}: another answer in another round")
    return dict(runs)
