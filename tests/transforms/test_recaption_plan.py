"""What is planned, image by image, and how answers come back to captions."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.recaption_rows import RECAPTIONS, PlannedRecaption, RecaptionAnswer, WantedRecaption
from schemas.tables import schema_of
from transforms import recaption_plan
from transforms.recaption_join import CommitRecaptions, EmitAnswers, MeetSource, send_answers
from transforms.recaption_plan import ChooseOpen, CommitPlan, EmitOpen, RecaptionSource
from transforms.score_plan import PlannedSlice, read_slice
from transforms.sink import Part, PartSink

IMAGES = [f"{number:032x}" for number in range(6)]


def wanted(
    caption: str, image: str, text: str, pack: str = "aa", offset: int = 0
) -> dict[str, Any]:
    return {
        "caption_id": caption, "image_key": image, "text_hash": f"h{text}", "pack": pack,
        "offset": offset, "size": 9, "text": text, "language": "en",
    }  # fmt: skip


def answer(image: str, text_hash: str, text: str, who: str = "me", outcome: str = "ok") -> Any:
    return {
        "recaptioner": who, "image_key": image, "text_hash": text_hash, "text": text,
        "origin": "fuse", "prompt": "p@1#0", "model": "m", "outcome": outcome, "problems": ["loop"],
        "prompt_tokens": 1, "completion_tokens": 2,
    }  # fmt: skip


def write(folder: Path, name: str, rows: list[dict[str, Any]], kind: type) -> str:
    pq.write_table(pa.Table.from_pylist(rows, schema_of(kind)), folder / name)
    return name


def shuffle(blocks: list[tuple[str, pa.Table]], reverse: bool = False) -> dict[str, pa.Table]:
    """What a GroupByKey makes of blocks, in the one order or the other."""
    found: dict[str, list[pa.Table]] = {}
    for bucket, rows in reversed(blocks) if reverse else blocks:
        found.setdefault(bucket, []).append(rows)
    return {bucket: pa.concat_tables(tables) for bucket, tables in sorted(found.items())}


def plan(folder: Path, sources: list[RecaptionSource], reverse: bool = False) -> list[Any]:
    emit, choose = EmitOpen(str(folder), "me", 2), ChooseOpen(2)
    blocks = [block for source in [(), *((s,) for s in sources)]
              for block in emit(Part("x", "", source))]  # fmt: skip
    chosen = [
        block for bucket, rows in shuffle(blocks, reverse).items() for block in choose(bucket, rows)
    ]
    found = []
    for bucket, rows in shuffle(chosen, reverse).items():
        part = Part(bucket.replace(" ", "-"), "f")
        with PartSink("recaption", str(folder), part) as sink:
            CommitPlan(2)(part, rows, sink)
            commit = sink.publish()
        path = commit.file(recaption_plan.PLANNED)
        for start, stop, answers in commit.details["slices"]:
            rows_of = read_slice(str(folder), recaption_plan_slice(path, start, stop))
            assert sum(len(row["texts"]) for row in rows_of) == answers
            found += rows_of
    return found


def recaption_plan_slice(path: str | None, start: int, stop: int) -> Any:
    assert path is not None
    return PlannedSlice(path, start, stop)


@pytest.mark.parametrize("reverse", [False, True])
def test_an_image_is_planned_once_with_its_open_texts(tmp_path: Path, reverse: bool) -> None:
    one = write(tmp_path, "one.parquet", [
        wanted("c1", IMAGES[0], "a cat"), wanted("c2", IMAGES[0], "Tom", "bb", 5),
        wanted("c3", IMAGES[1], "a dog"), wanted("c4", IMAGES[2], "done"),
    ], WantedRecaption)  # fmt: skip
    two = write(tmp_path, "two.parquet", [
        wanted("c5", IMAGES[0], "a cat"), wanted("c6", IMAGES[3], "a cow", "cc", 7),
        wanted("c7", IMAGES[2], "new"),
    ], WantedRecaption)  # fmt: skip
    said = write(tmp_path, "said.parquet", [
        answer(IMAGES[2], "", "a red thing"), answer(IMAGES[2], "hdone", "a fused thing"),
        answer(IMAGES[1], "ha dog", "of another model", "other"),
        answer(IMAGES[3], "ha cow", "", outcome="ImageMissingError"),
    ], RecaptionAnswer)  # fmt: skip
    sources = [RecaptionSource(one), RecaptionSource(two), RecaptionSource(said, is_answer=True)]
    rows = {row["image_key"]: row for row in plan(tmp_path, sources, reverse)}
    assert set(rows) == set(IMAGES[:4])
    texts = {key: [text["text"] for text in row["texts"]] for key, row in rows.items()}
    assert texts == {
        IMAGES[0]: ["Tom", "a cat"], IMAGES[1]: ["a dog"], IMAGES[2]: ["new"], IMAGES[3]: ["a cow"]
    }  # fmt: skip
    descriptions = {key: row["description"] for key, row in rows.items()}
    assert descriptions == {**dict.fromkeys(IMAGES[:4]), IMAGES[2]: "a red thing"}
    assert (rows[IMAGES[3]]["pack"], rows[IMAGES[3]]["offset"]) == ("cc", 7)


def test_nothing_open_is_an_empty_plan(tmp_path: Path) -> None:
    one = write(tmp_path, "one.parquet", [wanted("c1", IMAGES[0], "a")], WantedRecaption)
    said = write(tmp_path, "said.parquet", [answer(IMAGES[0], "ha", "b")], RecaptionAnswer)
    assert plan(tmp_path, [RecaptionSource(one), RecaptionSource(said, is_answer=True)]) == []
    assert schema_of(PlannedRecaption).field("description").nullable


@pytest.mark.parametrize("reverse", [False, True])
def test_answers_come_back_to_every_caption_that_wants_them(tmp_path: Path, reverse: bool) -> None:
    wants = {
        "a": [wanted("c1", IMAGES[0], "x"), wanted("c2", IMAGES[1], "y")],
        "b": [wanted("c3", IMAGES[0], "x"), wanted("c4", IMAGES[2], "z")],
        "c": [],
    }
    said = write(tmp_path, "said.parquet", [
        answer(IMAGES[0], "", "description"), answer(IMAGES[0], "hx", "fused"),
        answer(IMAGES[1], "hy", "y", outcome="fallback_alt"),
        answer(IMAGES[2], "hz", "z", outcome="ImageDecodeError"),
        answer(IMAGES[0], "hx", "of another", "other"),
    ], RecaptionAnswer)  # fmt: skip
    files = {
        name: write(tmp_path, f"{name}.parquet", rows, WantedRecaption) if rows else None
        for name, rows in wants.items()
    }
    sources = [MeetSource(name, path) for name, path in files.items()] + [MeetSource(None, said)]
    emit = EmitAnswers(str(tmp_path), "me", 3)
    blocks = [block for source in sources for block in emit(Part("x", "", source))]
    sent = [
        b for bucket, rows in shuffle(blocks, reverse).items() for b in send_answers(bucket, rows)
    ]
    found, counts = {}, {}
    for bucket, rows in shuffle(sent, reverse).items():
        part = Part(bucket.replace(" ", "-"), "f")
        with PartSink("recaption", str(tmp_path), part) as sink:
            CommitRecaptions()(part, rows, sink)
            commit = sink.publish()
        path = commit.file("recaptions")
        table = pq.read_table(tmp_path / path).to_pylist() if path else []
        found[bucket] = [(row["caption_id"], row["text"], row["outcome"]) for row in table]
        counts[bucket] = (commit.counts[RECAPTIONS], commit.facts)
    assert found == {
        "part a": [("c1", "fused", "ok"), ("c2", "y", "fallback_alt")],
        "part b": [("c3", "fused", "ok"), ("c4", "z", "ImageDecodeError")],
        "part c": [],
    }
    counted, facts = counts["part b"]
    assert (counted.seen, counted.kept, counted.failed) == (2, 1, {"ImageDecodeError": 1})
    assert facts["recaption_ok"] == 1
    assert facts["recaption_problem_loop"] == 2


def test_a_caption_without_an_answer_is_a_bug_that_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", [wanted("c1", IMAGES[0], "x")], WantedRecaption)
    emit = EmitAnswers(str(tmp_path), "me", 1)
    blocks = shuffle(list(emit(Part("x", "", MeetSource("a", path)))))
    with pytest.raises(AssertionError, match="caption c1"):
        list(send_answers("key 00000", blocks["key 00000"]))
