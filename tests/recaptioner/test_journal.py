"""The journal: what is finished outlives whoever wrote it."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from recaptioner import journal
from recaptioner.journal import Journal
from schemas.recaption_rows import RecaptionAnswer
from transforms import storage


def answer(image: str, text: str = "a cat") -> RecaptionAnswer:
    return RecaptionAnswer("me", image, "t", text, "describe", "p@1", "m", "ok", ["loop"], 3, 4)


@pytest.fixture(params=["local", "store"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_what_was_added_is_read_by_the_next_attempt(output: str) -> None:
    first = Journal(output, "recaption", "part-1")
    for image in ("b", "a"):
        first.add(image, [answer(image), answer(image, "\u2028 two\nlines 🚗")])
    first.flush()
    found = Journal(output, "recaption", "part-1").read()
    assert set(found) == {"a", "b"}
    assert found["a"] == [answer("a"), answer("a", "\u2028 two\nlines 🚗")]
    assert Journal(output, "recaption", "part-2").read() == {}


def test_attempts_add_up_and_are_removed_together(output: str) -> None:
    for image in ("a", "b"):
        attempt = Journal(output, "recaption", "part-1")
        attempt.add(image, [answer(image)])
        attempt.flush()
    last = Journal(output, "recaption", "part-1")
    assert set(last.read()) == {"a", "b"}
    last.remove()
    assert last.read() == {}
    last.remove()


def test_a_line_that_was_cut_off_is_asked_again(tmp_path: Path) -> None:
    first = Journal(str(tmp_path), "recaption", "part-1")
    for image in ("a", "b"):
        first.add(image, [answer(image)])
    (file,) = (tmp_path / journal.FOLDER / "recaption" / "part-1").iterdir()
    data = file.read_bytes()
    for end in range(len(data)):
        file.write_bytes(data[:end])
        assert set(Journal(str(tmp_path), "recaption", "part-1").read()) <= {"a", "b"}
    file.write_bytes(data[: data.index(b"\n") + 20])
    assert set(Journal(str(tmp_path), "recaption", "part-1").read()) == {"a"}


def test_a_store_gets_whole_objects_of_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    output = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setattr(journal, "FLUSH_LINES", 4)
    book = Journal(output, "recaption", "part-1")
    for number in range(10):
        book.add(f"{number}", [answer(f"{number}")])
    folder = storage.join(output, journal.FOLDER, "recaption", "part-1")
    assert len(storage.list_names(folder)) == 2
    book.flush()
    book.flush()
    assert len(storage.list_names(folder)) == 3
    assert len(Journal(output, "recaption", "part-1").read()) == 10


def test_a_killed_process_loses_nothing_that_it_added(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from recaptioner.journal import Journal\n"
        "from tests.recaptioner.test_journal import answer\n"
        "book = Journal(sys.argv[1], 'recaption', 'part-1')\n"
        "for number in range(100):\n"
        "    book.add(f'{number}', [answer(f'{number}')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert len(Journal(str(tmp_path), "recaption", "part-1").read()) == 100
