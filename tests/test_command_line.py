"""The command line: what is wrong is one line and nothing is written; `plan`; what runs again."""

import gzip
import io
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from beam_runner import app, main
from pipeline.run import locked

STREAMS = ("captioned", "interleaved", "text")
STEPS = (
    "extract", "models", "evaluation", "signatures", "contamination", "earlier", "edges", "labels",
    "clusters", "paragraphs", "select", "images", "wanted", "robots", "fetch", "answers",
    "distinct_images", "image_ranks", "image_uses", "candidates", "wanted_scores",
    "answers_of_scorers", "score_negatives", "scores", "paragraph_scores",
    "wanted_recaptions", "recaption_answers", "recaptions", "samples", "sampling", "write",
)  # fmt: skip
ASKING = (
    "evaluation", "contamination", "earlier", "wanted", "robots", "fetch", "models",
    "paragraph_scores", "wanted_scores", "answers_of_scorers", "score_negatives", "scores",
    "wanted_recaptions", "recaption_answers", "recaptions", "sampling",
)  # fmt: skip
"""Steps without a part where no tables, outputs, contact, scorers or captions are wanted."""
FILES = 3
PAGES = 12

RECIPE = """
description = "Small and permissive"

[dedup]
buckets = 1

[refs]
buckets = 1

[shards]
target_samples = 4

[gates.dedup]
words = { value = "words", min = 20 }

[gates.shard.captioned]
min_side = { value = "least(width, height)", min = 50 }

[gates.shard.interleaved.image]
min_side = { value = "least(width, height)", min = 50 }

[gates.shard.text]
words = { value = "words", min = 30 }
"""

WORDS = (  # noqa: SIM905
    "river stone window garden paper silver morning winter bridge village letter market tower "
    "harbour lantern orchard meadow candle basket copper thunder valley feather mirror pepper "
    "saddle timber velvet wagon yellow anchor barrel cotton dragon engine forest hammer island "
    "jacket kettle ladder marble needle oyster pillow rabbit shadow ticket violin walnut"
).split()


# --- a small crawl


def response(url: str, date: str, kind: str, body: bytes) -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: {date}\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-000000000000>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + http + b"\r\n\r\n", mtime=0)


def picture(number: int) -> bytes:
    side = 60 + 10 * (number % 10)
    rng = random.Random(number)
    image = Image.new("RGB", (side, side))
    image.putdata([(rng.randrange(256), number % 256, 90) for _ in range(side * side)])
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def warc(file: int, pages: int = PAGES) -> bytes:
    """A crawl file: two thirds of its pages have a picture, whose bytes follow."""
    records = []
    for place in range(pages):
        number = file * 100 + place
        rng = random.Random(number)
        paragraphs = [
            f"The {' of the '.join(rng.choices(WORDS, k=6))} was in a {rng.choice(WORDS)}, and "
            f"it is for the {' and the '.join(rng.choices(WORDS, k=6))}."
            for _ in range(4)
        ]
        host, date = f"site{file}.example", f"2024-05-01T00:00:{place:02d}Z"
        shown = place % 3 > 0
        alt = f"the {rng.choice(WORDS)} of {number}"
        image = f'<figure><img src="/i/{number}.jpg" alt="{alt}"></figure>'
        body = "".join(f"<p>{text}</p>" for text in paragraphs) + (image if shown else "")
        html = f"<html><title>Page {number}</title><body><main>{body}</main></body></html>"
        url = f"https://{host}/{number}.html"
        records.append(response(url, date, "text/html; charset=utf-8", html.encode()))
        if shown:
            url = f"https://{host}/i/{number}.jpg"
            records.append(response(url, date, "image/jpeg", picture(number)))
    return b"".join(records)


def make_crawl(folder: Path) -> Path:
    crawl = folder / "crawl"
    crawl.mkdir()
    for file in range(FILES):
        path = crawl / f"part-{file}.warc.gz"
        path.write_bytes(warc(file))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (folder / "small.toml").write_text(RECIPE)
    return crawl


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the crawl, the recipe and a finished run: copied, never changed."""
    folder = tmp_path_factory.mktemp("command-line")
    make_crawl(folder)
    assert main([*command("run", folder), "-w", "1", "-q"]) == 0
    return folder


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run of this test's own, times and all."""
    for name in ("crawl", "out"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy2(finished / "small.toml", tmp_path / "small.toml")
    return tmp_path


def command(verb: str, folder: Path) -> list[str]:
    return [
        verb, str(folder / "small.toml"), "--input", str(folder / "crawl"), "--output",
        str(folder / "out"),
    ]  # fmt: skip


# --- what is wrong is one line


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """A folder with the crawl and the recipe, without an output."""
    (tmp_path / "crawl").symlink_to(finished / "crawl")
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder: size and time."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def refuse(
    arguments: list[str], named: str, capfd: pytest.CaptureFixture[str], around: Path
) -> str:
    """Run a command that must be refused: one line that names the thing, and nothing written."""
    before = tree(around)
    code = main(arguments)
    told = capfd.readouterr()
    assert (code, told.out) == (2, ""), told.err
    assert len(told.err.splitlines()) == 1, told.err
    assert told.err.startswith("weft: ")
    assert "Traceback" not in told.err
    assert named in told.err
    assert tree(around) == before, "something was written"
    return told.err


def _write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return path


def _link(path: Path, target: Path) -> str:
    path.symlink_to(target)
    return str(path)


BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no-such-path": (lambda at: at / "nothing.warc.gz", "nothing.warc.gz"),
    "path-of-two-lines": (lambda at: at / "two\nlines.warc.gz", "lines.warc.gz"),
    "folder-without-warcs": (lambda at: _write(at / "docs" / "a.pdf").parent, "docs"),
    "glob-that-matches-nothing": (lambda at: at / "crawl" / "*.zip", "*.zip"),
    "empty-file": (lambda at: _write(at / "nil.warc.gz"), "nil.warc.gz"),
    "list-of-a-missing-file": (lambda at: _write(at / "l.txt", "gone.warc.gz\n"), "gone.warc.gz"),
    "list-of-nothing": (lambda at: _write(at / "l.txt", "\n# none\n"), "l.txt"),
    "list-that-is-no-text": (
        lambda at: _write(at / "l.txt", "\udcff\udcfe"),
        "l.txt",
    ),
    "list-that-is-no-gzip": (lambda at: _write(at / "l.txt.gz", "a\n"), "l.txt.gz"),
    "unknown-protocol": (lambda at: Path("nosuch://bucket/a.warc.gz"), "nosuch:"),
    "arc-file": (lambda at: _write(at / "a.arc", "filedesc://a.arc 0.0.0.0\n"), "a.arc"),
}


@pytest.mark.parametrize(("make", "named"), BAD_INPUTS.values(), ids=list(BAD_INPUTS))
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_bad_input_is_refused_in_one_line(
    verb: str,
    make: Callable[[Path], Path],
    named: str,
    place: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bad = str(make(place))
    arguments = [verb, str(place / "small.toml"), "-i", bad, "-o", str(place / "out"), "-w", "1"]
    refuse(arguments, named, capfd, place)


def test_an_empty_file_beside_good_ones_is_named(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(place / "nil.warc.gz")
    refuse([*command("run", place), "-i", str(place / "nil.warc.gz"), "-w", "1"], "nil.warc.gz",
           capfd, place)  # fmt: skip


BAD_OUTPUTS: dict[str, tuple[Callable[[Path], str], str]] = {
    "a-file": (lambda at: str(_write(at / "f")), "is a file"),
    "below-a-file": (lambda at: str(_write(at / "f") / "out"), "not a folder"),
    "far-below-a-file": (lambda at: str(_write(at / "f") / "a" / "b" / "out"), "not a folder"),
    "foreign-folder": (lambda at: str(_write(at / "mine" / "thesis.tex").parent), "thesis.tex"),
    "unknown-protocol": (lambda at: "nosuch://bucket/out", "nosuch"),
    "empty": (lambda at: "", "--output"),
    "the-web": (lambda at: "https://example.com/out", "--output https://example.com/out: "),
    "dangling-link": (
        lambda at: _link(at / "l", at / "gone"),
        "l",
    ),
}


@pytest.mark.parametrize(("make", "named"), BAD_OUTPUTS.values(), ids=list(BAD_OUTPUTS))
@pytest.mark.parametrize("verb", ["run", "plan", "demo"])
def test_bad_output_is_refused_in_one_line(
    verb: str,
    make: Callable[[Path], str],
    named: str,
    place: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = make(place)
    arguments = ["-o", output, "-w", "1"]
    if verb != "demo":
        arguments = [verb, str(place / "small.toml"), "-i", str(place / "crawl"), *arguments]
    else:
        arguments = [verb, *arguments]
    refuse(arguments, named, capfd, place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("below", ["", "out"])
def test_output_that_cannot_be_written_is_refused(
    below: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    locked_folder = place / "locked"
    locked_folder.mkdir()
    locked_folder.chmod(0o555)
    arguments = ["run", str(place / "small.toml"), "-i", str(place / "crawl"), "-w", "1"]
    refuse([*arguments, "-o", str(locked_folder / below)], "locked", capfd, place)


BAD_OPTIONS: dict[str, tuple[list[str], str]] = {
    "unknown-flag": (["--frobnicate"], "--frobnicate"),
    "unknown-flag-with-value": (["--frobnicate=3"], "--frobnicate"),
    "misspelt-beam-option": (["--runnr=FlinkRunner"], "--runnr"),
    "shortened-beam-option": (["--temp_loc=x"], "--temp_loc"),
    "surplus-argument": (["surplus"], "surplus"),
    "direct-runner": (["--runner=DirectRunner"], "DirectRunner"),
    "direct-runner-in-two-words": (["--runner", "DirectRunner"], "DirectRunner"),
    "direct-runner-in-small-letters": (["--runner=directrunner"], "directrunner"),
    "direct-runner-in-short": (["--runner=direct"], "--runner=direct"),
    "unknown-runner": (["--runner=NosuchRunner"], "NosuchRunner"),
    "runner-of-an-unknown-module": (["--runner=nosuch.module.Runner"], "nosuch"),
    "no-workers": (["--workers", "0"], "--workers 0"),
    "less-than-no-workers": (["--workers", "-2"], "--workers -2"),
    "too-many-workers": (["--workers", "99999"], "--workers 99999"),
    "workers-that-are-no-number": (["--workers", "many"], "--workers"),
    "unknown-key": (["--set", "nosuch=1"], "nosuch"),
    "unknown-nested-key": (["--set", "dedup.minhash.bnads=3"], "dedup.minhash.bnads"),
    "unknown-gate": (["--set", "gates.nosuch.min_side.min=3"], "gates.nosuch"),
    "unknown-stream": (["--set", "gates.shard.movies.a.min=3"], "gates.shard.movies"),
    "unknown-key-of-a-rule": (
        ["--set", "gates.shard.text.words.minimum=3"], "gates.shard.text.words",
    ),
    "rule-without-value": (["--set", "gates.shard.text.more.min=3"], "gates.shard.text.more"),
    "rule-of-an-unknown-column": (
        ["--set", "gates.shard.text.words.value=wrods"], "gates.shard.text.words",
    ),
    "rule-that-is-no-expression": (
        ["--set", "gates.shard.text.words.value='words +'"], "gates.shard.text.words",
    ),
    "rule-that-reads-a-file": (
        ["--set", "gates.shard.text.words.value=\"read_text('/etc/passwd')\""],
        "gates.shard.text.words",
    ),
    "rule-with-a-subquery": (
        ["--set", "gates.shard.text.words.value='(select 1)'"], "gates.shard.text.words",
    ),
    "rule-with-a-limit-that-is-a-text": (
        ["--set", "gates.shard.text.words.min='ten'"], "gates.shard.text.words",
    ),
    "text-for-a-number": (["--set", "dedup.buckets=many"], "dedup.buckets"),
    "float-for-an-integer": (["--set", "dedup.buckets=1.5"], "dedup.buckets"),
    "number-out-of-range": (["--set", "dedup.buckets=0"], "dedup.buckets"),
    "share-above-one": (["--set", "run.max_failed_fraction=2"], "run.max_failed_fraction"),
    "not-a-number": (["--set", "run.max_failed_fraction=nan"], "run.max_failed_fraction"),
    "no-bands": (["--set", "dedup.minhash.bands=0"], "dedup.minhash"),
    "no-samples-in-a-shard": (["--set", "shards.target_samples=0"], "shards"),
    "unknown-image-format": (["--set", "shards.image_format=bmp"], "shards"),
    "set-without-a-value": (["--set", "dedup.buckets"], "--set dedup.buckets"),
    "set-without-a-key": (["--set", "=3"], "--set =3"),
    "set-with-a-hole": (["--set", "dedup..buckets=3"], "dedup."),
    "section-for-a-value": (["--set", "dedup.buckets.more=3"], "dedup.buckets"),
    "value-for-a-section": (["--set", "dedup=3"], "dedup"),
    "value-for-all-gates": (["--set", "gates=3"], "gates"),
    "value-for-a-gate": (["--set", "gates.shard=3"], "gates.shard"),
    "unknown-stage": (["--stages", "nosuch"], "nosuch"),
    "one-unknown-stage": (["--stages", "extract,nosuch"], "nosuch"),
    "no-stage": (["--stages", ""], "--stages"),
    "stage-without-its-predecessors": (["--stages", "refs"], "extract"),
    "stages-with-a-gap": (["--stages", "extract,refs"], "dedup"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "named"), BAD_OPTIONS.values(), ids=list(BAD_OPTIONS))
def test_bad_option_is_refused_in_one_line(
    more: list[str], named: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    workers = [] if "--workers" in more else ["--workers", "1"]
    refuse([*command("run", place), *workers, *more], named, capfd, place)


BAD_RECIPES = {
    "bad-toml": ("[dedup\nbuckets = 1\n", "TOML"),
    "not-utf-8": ("\udcff", "mine.toml"),
    "unknown-section": ("[dedupp]\nbuckets = 1\n", "dedupp"),
    "unknown-nested-key": ("[dedup.minhash]\nbnads = 3\n", "dedup.minhash.bnads"),
    "unknown-gate-key": ("[gates.shard.caption]\n", "gates.shard.caption"),
    "bad-expression": ('[gates.dedup]\nw = { value = "words >", min = 1 }\n', "gates.dedup.w"),
    "rule-without-limit": ('[gates.dedup]\nw = { value = "words" }\n', "gates.dedup.w"),
    "section-that-is-a-value": ("dedup = 3\n", "dedup"),
    "duplicate-key": ("[dedup]\nbuckets = 1\nbuckets = 2\n", "TOML"),
}


@pytest.mark.parametrize(("text", "named"), BAD_RECIPES.values(), ids=list(BAD_RECIPES))
def test_bad_recipe_file_is_refused_in_one_line(
    text: str, named: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = place / "mine.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    arguments = ["run", str(path), "-i", str(place / "crawl"), "-o", str(place / "out"), "-w", "1"]
    refuse(arguments, named, capfd, place)


@pytest.mark.parametrize("name", ["nosuch", "nosuch.toml", "no/such", ".", "", "../demo"])
def test_unknown_recipe_is_refused_in_one_line(
    name: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", name, "-i", str(place / "crawl"), "-o", str(place / "out"), "-w", "1"]
    refuse(arguments, name, capfd, place)


MISSING = {
    "nothing-but-the-verb": (["run"], "recipe"),
    "no-input": (["run", "demo", "-o", "x"], "--input"),
    "no-output": (["run", "demo", "-i", "x"], "--output"),
    "unknown-command": (["rnu", "demo"], "rnu"),
    "unknown-option-of-inspect": (["inspect", "x", "--frobnicate"], "--frobnicate"),
    "unknown-option-of-demo": (["demo", "--frobnicate"], "--frobnicate"),
    "too-few-pages": (["demo", "-q", "-o", "OUT", "--pages", "3"], "--pages"),
    "no-workers-in-demo": (["demo", "-o", "OUT", "--workers", "0"], "--workers 0"),
    "demo-in-the-memory": (["demo", "-o", "memory://demo", "--workers", "1"], "memory://demo"),
    "inspect-nothing": (["inspect", "OUT"], "OUT"),
}


@pytest.mark.parametrize(("arguments", "named"), MISSING.values(), ids=list(MISSING))
def test_bad_command_is_refused_in_one_line(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse(arguments, named, capfd, tmp_path)


def test_memory_output_needs_one_process(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", str(place / "small.toml"), "-i", str(place / "crawl"), "-o", "memory://out"]
    told = refuse([*arguments, "--workers", "2"], "memory://out", capfd, place)
    assert "--workers 1" in told
    refuse([*arguments, "--workers", "1", "--processes"], "memory://out", capfd, place)


def test_memory_output_works_in_one_process(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import fsspec

    arguments = ["run", str(place / "small.toml"), "-i", str(place / "crawl" / "part-0.warc.gz")]
    assert main([*arguments, "-o", "memory://corpus", "-w", "1", "-q"]) == 0
    fs = fsspec.filesystem("memory")
    manifest = json.loads(fs.cat_file("/corpus/shards/text/manifest.json"))
    assert manifest["totals"]["samples"] == PAGES // 3
    fs.rm("/corpus", recursive=True)
    assert not (place / "memory:").exists()


def test_a_second_run_says_that_another_is_using_the_output(
    work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(str(work / "out")):
        told = refuse([*command("run", work), "-w", "1"], str(work / "out"), capfd, work)
    assert "another run is using it" in told
    assert main([*command("run", work), "-w", "1", "-q"]) == 0


# --- help


def options_of(verb: str) -> list[str]:
    from typer.main import get_command

    group = get_command(app)
    parameters = group.commands[verb].params  # type: ignore[attr-defined]
    return [name for p in parameters if p.param_type_name == "option" for name in p.opts]


@pytest.mark.parametrize("verb", ["run", "demo", "plan", "inspect", "recipes"])
def test_help_mentions_every_option(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    for name in options_of(verb):
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told.out), name
    assert "Usage:" in told.out


def test_help_of_explain_names_every_kind_of_key(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--help"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    for key in ("page or image", "doc_id", "text_id", "image_key", "which copies an image has"):
        assert key in told


def test_help_of_all_lists_the_commands(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capfd.readouterr().out
    for verb in ("run", "demo", "plan", "inspect", "recipes"):
        assert verb in told


def test_every_shipped_recipe_is_listed_and_plans(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes"]) == 0
    names = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert {"demo", "mm1"} <= set(names)
    for name in names:
        arguments = ["plan", name, "-i", str(place / "crawl"), "-o", str(place / "out"), "--json"]
        assert main([*arguments, "-w", "1"]) == 0
        assert json.loads(capfd.readouterr().out)["recipe"]["name"] == name
    assert not (place / "out").exists()


# --- plan, and what a second run does again


Plan = dict[str, tuple[int, int] | None]


def plan(folder: Path, capfd: pytest.CaptureFixture[str], *more: str) -> Plan:
    """Step -> parts that are up to date and parts to run; None where it only follows."""
    capfd.readouterr()
    assert main([*command("plan", folder), "-w", "1", "--json", *more]) == 0
    made = json.loads(capfd.readouterr().out)
    return {
        step["step"]: (step["up_to_date"], step["to_run"]) if "parts" in step else None
        for step in made["steps"]
    }


def run_again(folder: Path, *more: str) -> None:
    assert main([*command("run", folder), "-w", "1", "-q", *more]) == 0


def stamps(output: Path, *below: str) -> dict[str, tuple[int, int]]:
    """Files below a folder of the output: inode and time."""
    return {
        path.relative_to(output).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(output.joinpath(*below).rglob("*"))
        if path.is_file()
    }


def contents(output: Path) -> dict[str, bytes]:
    shards = output / "shards"
    return {
        path.relative_to(shards).as_posix(): path.read_bytes()
        for path in sorted(shards.rglob("*"))
        if path.is_file()
    }


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    return {name for name, stamp in after.items() if before.get(name) != stamp}


def test_plan_before_a_run_says_what_is_to_do(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = plan(place, capfd)
    assert list(made) == list(STEPS)
    assert made["extract"] == (0, FILES)
    assert all(made[step] is None for step in STEPS[1:])
    assert not (place / "out").exists()
    assert main([*command("plan", place), "-w", "1"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert "follows" in told.out
    assert f"{FILES} files" in told.out


def test_plan_after_a_run_says_that_all_is_up_to_date(
    work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tree(work)
    made = plan(work, capfd)
    for step, counts in made.items():
        assert counts is not None
        assert (counts[0] == 0) == (step in ASKING), step
        assert counts[1] == 0, step
    assert tree(work) == before, "plan writes nothing"


def test_a_second_run_does_nothing(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = stamps(work / "out")
    assert main([*command("run", work), "-w", "1"]) == 0
    told = capfd.readouterr().err
    for stage in (
        "extract",
        "dedup",
        "refs",
        "fetch",
        "dedup_images",
        "score",
        "recaption",
        "shard",
    ):
        assert f"{stage}: up to date" in told
    assert changed(before, stamps(work / "out")) == {"run.json"}


def test_streams_are_cut_into_several_shards(finished: Path) -> None:
    for stream in STREAMS:
        assert len(list((finished / "out" / "shards" / stream).glob("*.tar"))) >= 2


def test_a_changed_threshold_of_gate_shard_redoes_only_samples_and_changed_shards(
    work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = work / "out"
    change = ("--set", "gates.shard.captioned.min_side.min=65")
    made = plan(work, capfd, *change)
    for step in STEPS[:6]:
        counts = made[step]
        assert counts is not None, step
        assert counts[1] == 0, step
    assert made["samples"] == (0, FILES)
    assert made["write"] is None
    tables, shards, old = stamps(output, "tables"), stamps(output, "shards"), contents(output)
    packs = stamps(output, "packs")
    run_again(work, *change)
    capfd.readouterr()
    fresh = {name.split("/")[1] for name in changed(tables, stamps(output, "tables"))}
    assert fresh <= {"samples", "ledger", "index"}
    assert changed(packs, stamps(output, "packs")) == set()
    rewritten = {name for name in changed(shards, stamps(output, "shards")) if name.endswith("tar")}
    new = contents(output)
    assert rewritten, "the threshold changes something"
    assert {name for name in new if name.endswith(".tar") and new[name] != old.get(name)} == {
        name.removeprefix("shards/") for name in rewritten
    }
    assert {name.split("/")[1] for name in rewritten} == {"captioned"}
    samples = {
        stream: json.loads(new[f"{stream}/manifest.json"])["totals"]["samples"]
        for stream in STREAMS
    }
    assert samples["captioned"] < samples["interleaved"]
    # And back again: the first result to the byte.
    run_again(work)
    assert contents(output) == old


def test_a_threshold_that_changes_no_row_rewrites_no_shard(work: Path) -> None:
    output = work / "out"
    shards = stamps(output, "shards")
    run_again(work, "--set", "gates.shard.captioned.min_side.min=51")
    rewritten = {name for name in changed(shards, stamps(output, "shards")) if name.endswith("tar")}
    assert rewritten == set()


def test_a_touched_file_is_read_again_and_no_other(
    work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output, old = work / "out", contents(work / "out")
    os.utime(work / "crawl" / "part-1.warc.gz", (1_700_000_999, 1_700_000_999))
    assert plan(work, capfd)["extract"] == (FILES - 1, 1)
    before, shards = stamps(output, "commits"), stamps(output, "shards")
    run_again(work)
    fresh = changed(before, stamps(output, "commits"))
    assert [name for name in fresh if name.startswith("commits/extract/")] == [
        name for name in fresh if name.startswith("commits/extract/part-1-")
    ]
    assert len([name for name in fresh if name.startswith("commits/dedup/signatures-")]) == 1
    assert contents(output) == old
    rewritten = {name for name in changed(shards, stamps(output, "shards")) if name.endswith("tar")}
    assert rewritten == set(), "the same rows give the same shards"
    assert all(counts is not None and counts[1] == 0 for counts in plan(work, capfd).values())


def test_one_more_file_costs_its_own_extraction(
    work: Path, capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = work / "out"
    (work / "crawl" / "part-9.warc.gz").write_bytes(warc(9, pages=3))
    assert plan(work, capfd)["extract"] == (FILES, 1)
    before = stamps(output, "commits")
    run_again(work)
    fresh = changed(before, stamps(output, "commits"))
    assert len([name for name in fresh if name.startswith("commits/extract/")]) == 1
    assert len([name for name in fresh if name.startswith("commits/dedup/signatures-")]) == 1
    alone = tmp_path_factory.mktemp("straight") / "out"
    straight = [*command("run", work), "-w", "1", "-q"]
    straight[straight.index("--output") + 1] = str(alone)
    assert main(straight) == 0
    assert contents(alone) == contents(output), "grown and straight runs give the same shards"


def test_a_file_less_is_forgotten(work: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    output = work / "out"
    (work / "crawl" / "part-2.warc.gz").unlink()
    before = stamps(output, "commits")
    run_again(work)
    fresh = changed(before, stamps(output, "commits"))
    assert not [name for name in fresh if name.startswith("commits/extract/")]
    alone = tmp_path_factory.mktemp("straight") / "out"
    straight = [*command("run", work), "-w", "1", "-q"]
    straight[straight.index("--output") + 1] = str(alone)
    assert main(straight) == 0
    # The number of shards may stay what it was; the samples are those of a straight run.
    for stream in STREAMS:
        manifests = [
            json.loads((at / "shards" / stream / "manifest.json").read_text())
            for at in (output, alone)
        ]
        assert manifests[0]["totals"]["samples"] == manifests[1]["totals"]["samples"]


@pytest.mark.parametrize(
    "victim",
    ["captioned/*.tar", "text/manifest.json", "interleaved/index.parquet", "README.md"],
    ids=["tar", "manifest", "index", "card"],
)
def test_what_was_deleted_by_hand_is_restored(
    victim: str, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output, old = work / "out", contents(work / "out")
    path = sorted((output / "shards").glob(victim))[0]
    before = stamps(output, "shards")
    path.unlink()
    made = plan(work, capfd)
    assert made["write"] is not None
    assert made["write"][1] > 0, "the plan says so"
    run_again(work)
    assert contents(output) == old
    tars = {name for name in changed(before, stamps(output, "shards")) if name.endswith(".tar")}
    assert tars <= {path.relative_to(output).as_posix()}


def test_a_deleted_commit_is_made_again_and_changes_nothing(work: Path) -> None:
    output, old = work / "out", contents(work / "out")
    sorted((output / "commits" / "extract").glob("part-0-*"))[0].unlink()
    run_again(work)
    assert contents(output) == old


def test_stages_stop_where_they_are_told_and_go_on_later(place: Path) -> None:
    run_again(place, "--stages", "extract")
    stages = json.loads((place / "out" / "run.json").read_text())["stages"]
    assert list(stages) == ["extract"]
    run_again(place, "--stages", "dedup,refs")
    stages = json.loads((place / "out" / "run.json").read_text())["stages"]
    assert list(stages) == ["extract", "dedup", "refs"]
    assert not (place / "out" / "shards").exists()
    run_again(place, "--stages", "fetch,dedup_images,score,shard")
    assert (place / "out" / "shards" / "text" / "manifest.json").exists()


def test_a_file_in_the_way_inside_the_output_is_one_line(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_again(place, "--stages", "extract")
    (place / "out" / "commits" / "dedup").write_text("in the way")
    capfd.readouterr()
    assert main([*command("run", place), "-w", "1", "-q"]) == 1
    told = capfd.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert "commits/dedup" in told


BROKEN_RECORDS = (
    "{",
    '{"stages": []}',
    '{"stages": {"extract": 3}}',
    '{"stages": {"extract": {"status": "done", "snapshot": 3}}}',
    '{"stages": {"extract": {"status": "done", "snapshot": [3]}}}',
    '{"stages": {"extract": {"status": "done", "tables": []}}}',
    '{"stages": {"extract": {"status": "done", "facts": []}}}',
    '{"inputs": 3}',
    '{"inputs": [3]}',
    '{"recipe": []}',
    '{"recipe": {"values": 3}}',
)


@pytest.mark.parametrize("text", BROKEN_RECORDS)
def test_a_broken_run_record_is_named(
    text: str, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (work / "out" / "run.json").write_text(text)
    out = str(work / "out")
    against = [*command("plan", work)[:-1], str(work / "new"), "--against", out]
    for arguments in (
        [*command("run", work), "-w", "1", "-q"],
        [*command("plan", work), "--scale"],
        ["clean", out],
        against,
    ):
        capfd.readouterr()
        assert main(arguments) == 2
        told = capfd.readouterr().err
        assert len(told.splitlines()) == 1
        assert "run.json" in told


@pytest.mark.parametrize("text", ["{}", '{"run_version": 1}'])
def test_a_record_that_lacks_all_is_of_a_run_that_did_nothing(
    text: str, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (work / "out" / "run.json").write_text(text)
    assert main([*command("plan", work), "--scale", "--json"]) == 0
    assert main(["clean", str(work / "out")]) in (0, 2)
    assert main([*command("run", work), "-w", "1", "-q"]) == 0


def test_quiet_is_quiet_and_loud_says_each_stage(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command("run", place), "-w", "1", "-q"]) == 0
    assert capfd.readouterr().err == ""


@pytest.fixture(autouse=True)
def no_stray_output(tmp_path: Path) -> Iterator[None]:
    """No test may leave a file in the working folder of the process."""
    before = set(os.listdir())
    yield
    assert set(os.listdir()) - before == set()
