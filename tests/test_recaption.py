"""Stage `recaption`, run after run: what is asked, what is kept, what a crash costs."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.plan import make_plan
from pipeline.recaption_cost import write_sample
from pipeline.run import RunOptions, execute
from pipeline.run_record import STAGES
from recaptioner import recaption
from recaptioner.journal import FOLDER
from recaptioner.recaption import close_engines
from schemas.errors import RecipeError, StageError, UserError
from tests.chat_server import Asked, ChatServer
from tests.small_crawl import commits, picture_crawl, rows, shards, write_recipe
from transforms.shards import iter_shard

ROOT = Path(__file__).parents[1]
PAGES = 6
PICTURES, CAPTIONS = PAGES + 1, 2 * PAGES
"""Every picture but the first and the last is on two pages, with one alt text."""
_QUOTED = re.compile(r'web page: "(.*)"')


def say(asked: Asked) -> str:
    """What a good model says: it sees colours, and keeps what the alt text knows."""
    if asked.image is not None:
        red, green, blue = asked.image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        return f"A blurred picture of {red} red, {green} green and {blue} blue."
    found = _QUOTED.search(asked.user)
    assert found is not None
    return f"A blurred picture of a {found[1]}."


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(say) as chat:
        yield chat


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_crawl(tmp_path_factory.mktemp("crawl") / "crawl.warc", PAGES)


@pytest.fixture(autouse=True)
def engines() -> Iterator[None]:
    """Engines are kept a process long; each test has its own."""
    yield
    close_engines()


def run(crawl: Path, output: Path, url: str, *sets: str, stages: Sequence[str] = STAGES) -> Any:
    return execute(options(crawl, output, url, *sets, stages=stages))


def options(
    crawl: Path, output: Path, url: str, *sets: str, stages: Sequence[str] = STAGES
) -> RunOptions:
    recipe = write_recipe(output.parent / f"{output.name}.toml", {})
    given = (
        "recaption.mode=vecap", "recaption.engine=server", "recaption.buckets=2",
        f"recaption.server.url={url}", "recaption.server.model=tiny",
        "recaption.server.retries=1", "recaption.server.backoff_seconds=0.01", *sets,
    )  # fmt: skip
    return RunOptions(
        str(recipe), [str(crawl)], str(output), stages, overrides=given, workers=1, quiet=True
    )


def journaled(output: Path) -> list[bytes]:
    """The lines of all journals: the images that are finished of parts that are not."""
    files = (output / FOLDER).rglob("*.jsonl")
    return [line for each in files for line in each.read_bytes().splitlines()]


def captioned(output: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Key -> text and JSON of each captioned sample."""
    found = {}
    for shard in sorted((output / "shards" / "captioned").glob("*.tar")):
        with shard.open("rb") as file:
            for key, members in iter_shard(file):
                found[key] = members["txt"].decode(), json.loads(members["json"])
    return found


def test_each_image_is_described_once_and_each_caption_gets_its_fusion(
    crawl: Path, tmp_path: Path, server: ChatServer
) -> None:
    run(crawl, tmp_path / "out", server.url)
    assert sum(asked.image is not None for asked in server.asked) == PICTURES
    assert sum(asked.image is None for asked in server.asked) == PICTURES
    written = {row["caption_id"]: row for row in rows(tmp_path / "out", "recaptions")}
    captions = rows(tmp_path / "out", "candidates_captions")
    assert len(written) == len(captions) == CAPTIONS
    for caption in captions:
        row = written[caption["caption_id"]]
        assert row["text"] == f"A blurred picture of a {caption['text']}."
        assert (row["origin"], row["outcome"], row["model"]) == ("fuse", "ok", "tiny")
        assert row["prompt"].startswith("fuse_short@1#")
    assert not list((tmp_path / "out" / FOLDER).rglob("*.jsonl"))


def test_samples_keep_all_captions_and_are_trained_on_the_mix(
    crawl: Path, tmp_path: Path, server: ChatServer
) -> None:
    run(crawl, tmp_path / "out", server.url, "captions.mix.fuse=1.0")
    for text, facts in captioned(tmp_path / "out").values():
        alt, fused = facts["captions"]
        assert (alt["origin"], fused["origin"]) == ("alt", "fuse")
        assert fused["caption_id"] == alt["caption_id"]
        assert set(fused) == {
            "caption_id", "origin", "text", "prompt", "model", "outcome", "problems"
        }  # fmt: skip
        assert text == fused["text"] != alt["text"]
    asked = len(server.asked)
    run(crawl, tmp_path / "out", server.url, "captions.mix.original=1.0")
    assert len(server.asked) == asked
    assert {t == f["captions"][0]["text"] for t, f in captioned(tmp_path / "out").values()} == {
        True
    }
    run(crawl, tmp_path / "out", server.url)
    half = captioned(tmp_path / "out")
    assert len(server.asked) == asked
    kinds = [text == facts["captions"][1]["text"] for text, facts in half.values()]
    assert {True, False} == set(kinds)


def test_another_run_asks_nothing_and_gives_the_same_shards(
    crawl: Path, tmp_path: Path, server: ChatServer
) -> None:
    run(crawl, tmp_path / "out", server.url)
    asked, first, done = len(server.asked), shards(tmp_path / "out"), commits(tmp_path / "out")
    run(crawl, tmp_path / "out", server.url)
    assert (len(server.asked), commits(tmp_path / "out")) == (asked, done)
    run(crawl, tmp_path / "other", server.url, "recaption.server.concurrency=1")
    assert shards(tmp_path / "other") == first


def test_more_pages_cost_only_what_is_new(tmp_path: Path, server: ChatServer) -> None:
    folder = tmp_path / "crawls"
    folder.mkdir()
    picture_crawl(folder / "a.warc", PAGES)
    run(folder, tmp_path / "out", server.url)
    asked = len(server.asked)
    picture_crawl(folder / "b.warc", 2, PAGES)
    run(folder, tmp_path / "out", server.url)
    # Two new pages have one new picture more than they share with the last of the old ones.
    assert len(server.asked) - asked == 2 * 2


def test_what_an_ill_server_did_not_answer_is_asked_again(crawl: Path, tmp_path: Path) -> None:
    with ChatServer(say) as chat:
        run(crawl, tmp_path / "straight", chat.url)
    out = tmp_path / "out"
    with ChatServer(lambda asked: None) as chat, pytest.raises(StageError, match="EngineFault"):
        run(crawl, out, chat.url)
    # Half of what is asked next is answered; the budget lets the rest pass this once.
    turns = iter(range(10_000))
    with ChatServer(lambda asked: say(asked) if next(turns) % 2 else None) as chat:
        run(crawl, out, chat.url, "run.max_failed_fraction=1.0")
    outcomes = {row["outcome"] for row in rows(out, "recaptions")}
    assert outcomes == {"EngineFaultError", "ok"}
    with ChatServer(say) as chat:
        run(crawl, out, chat.url)
        assert 0 < len(chat.asked) < 2 * PICTURES
    assert {row["outcome"] for row in rows(out, "recaptions")} == {"ok"}
    assert shards(out) == shards(tmp_path / "straight")


def test_a_model_that_refuses_everything_is_given_up_at_once(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recaption, "FIRST_TEXTS", 3)
    refusal = "I'm sorry, but I cannot see the image."
    with ChatServer(lambda asked: refusal) as chat:
        one = "recaption.server.concurrency=1"
        with pytest.raises(StageError, match="none is what the model was asked for"):
            run(crawl, tmp_path / "out", chat.url, one, "recaption.buckets=1")
        # A description is asked three times before its caption falls back.
        assert len(chat.asked) < 3 * PICTURES
        run(crawl, tmp_path / "all", chat.url, "recaption.max_fallback_fraction=1.0")
    assert {row["outcome"] for row in rows(tmp_path / "all", "recaptions")} == {"fallback_alt"}


def test_a_lost_engine_costs_what_was_in_flight_and_no_more(crawl: Path, tmp_path: Path) -> None:
    with ChatServer(say, dies_after=8) as chat:
        with pytest.raises(StageError):
            run(crawl, tmp_path / "out", chat.url, "recaption.server.concurrency=1")
        first = [(asked.user, asked.image is None) for asked in chat.asked]
    assert list((tmp_path / "out" / FOLDER).rglob("*.jsonl"))
    with ChatServer(say) as chat:
        run(crawl, tmp_path / "out", chat.url, "recaption.server.concurrency=1")
        again = len(chat.asked)
    run_whole = tmp_path / "whole"
    with ChatServer(say) as chat:
        run(crawl, run_whole, chat.url)
    assert len(first) == 8
    assert again < 2 * PICTURES
    assert shards(tmp_path / "out") == shards(run_whole)
    assert not list((tmp_path / "out" / FOLDER).rglob("*.jsonl"))


def test_a_killed_run_goes_on_where_it_was(crawl: Path, tmp_path: Path) -> None:
    with ChatServer(say, dies_after=None) as chat:
        slow = threading.Event()

        def dawdle(asked: Asked) -> str:
            if len(chat.asked) > 7:
                slow.set()
                time.sleep(60)
            return say(asked)

        chat.say = dawdle
        made = options(crawl, tmp_path / "out", chat.url, "recaption.server.concurrency=1")
        sets = [word for each in made.overrides for word in ("--set", each)]
        running = subprocess.Popen(
            [sys.executable, "beam_runner.py", "run", made.recipe, "-i", str(crawl), "-o",
             made.output, "-w", "1", "-q", *sets],
            cwd=ROOT,
        )  # fmt: skip
        assert slow.wait(120), running.poll()
        # Seven are answered and two asked at once: three images are finished, once it is noticed.
        end = time.monotonic() + 60
        while len(journaled(tmp_path / "out")) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        running.kill()
        running.wait()
    with ChatServer(say) as chat:
        # Another server of the same model: nothing that was answered is asked again.
        run(crawl, tmp_path / "out", chat.url, "recaption.server.concurrency=1")
        assert len(chat.asked) <= 2 * PICTURES - 6
        run(crawl, tmp_path / "whole", chat.url)
    assert shards(tmp_path / "out") == shards(tmp_path / "whole")


def test_too_many_fallbacks_fail_the_run(crawl: Path, tmp_path: Path) -> None:
    def sulk(asked: Asked) -> str:
        return say(asked) if asked.image is not None else "I'm sorry, but I can't help with that."

    with ChatServer(sulk) as chat:
        with pytest.raises(StageError, match=r"12 captions 12 fell back.*for refusal"):
            run(crawl, tmp_path / "out", chat.url)
        run(crawl, tmp_path / "out", chat.url, "recaption.max_fallback_fraction=1.0")
    outcomes = {row["outcome"] for row in rows(tmp_path / "out", "recaptions")}
    assert outcomes == {"fallback_description"}


def test_a_gate_chooses_what_is_asked(crawl: Path, tmp_path: Path, server: ChatServer) -> None:
    rule = "gates.recaption.few={ sql = \"text LIKE 'boat 3 %'\" }"
    run(crawl, tmp_path / "out", server.url, rule)
    assert len(server.asked) == 2
    assert len(rows(tmp_path / "out", "recaptions")) == 2
    text = {len(facts["captions"]) for _, facts in captioned(tmp_path / "out").values()}
    assert text == {1, 2}


def test_a_sample_predicts_the_cost_and_is_kept(
    crawl: Path, tmp_path: Path, server: ChatServer
) -> None:
    made = options(crawl, tmp_path / "out", server.url)
    with pytest.raises(UserError, match="not up to date"):
        write_sample(made, 3)
    execute(
        options(crawl, tmp_path / "out", server.url, stages=STAGES[: STAGES.index("score") + 1])
    )
    write_sample(made, 3)
    assert sum(asked.image is not None for asked in server.asked) == 3
    cost = make_plan(made)["captions"]
    assert (cost["wanted"], cost["written"]) == (CAPTIONS, 3)
    # Each is described and fused: 11 tokens asked and 7 written, twice.
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (22, 14)
    assert cost["tokens_left"] == (CAPTIONS - 3) * 36
    execute(made)
    assert len(server.asked) == 2 * PICTURES


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (["recaption.mode=sing"], "recaption.mode must be one of"),
        (["recaption.describe=nothing"], "recaption.describe: no template 'nothing'"),
        (["recaption.fuse=describe_long"], "template describe_long is of mode describe"),
        (["recaption.server.url=ftp://x"], "recaption.server.url"),
        (["recaption.server.model="], "recaption.server.model: name the model"),
        (["recaption.max_fallback_fraction=2"], "recaption.max_fallback_fraction must be 0 to 1"),
        (["captions.mix.blip=1.0"], "captions.mix.blip: no such origin"),
        (["recaption.templates.mine.mode=fuse"], "recaption.templates.mine"),
        (["recaption.checks.nonsense=1"], "recaption.checks.nonsense: unknown key"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(
    crawl: Path, tmp_path: Path, sets: list[str], told: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(told)):
        run(crawl, tmp_path / "out", "http://127.0.0.1:9/v1", *sets)
    assert not (tmp_path / "out").exists()
