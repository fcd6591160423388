"""`weft serve` as a command: where it listens, how it ends; the processes behind its queries."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import pytest

from beam_runner import main
from pipeline.serve import query_pool
from pipeline.serve.guard import Hosts
from pipeline.serve.query_pool import BusyError, QueryPool
from pipeline.serve.query_worker import QueryConfig
from tests.served import build_with_packs, query_processes

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT count(*) FROM a"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_with_packs(str(tmp_path_factory.mktemp("served") / "out")).url


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the URL that it tells."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "beam_runner.py"), "serve", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r" at (http://\S+/) \(Ctrl-C ends it\)$", line)
        assert found, line
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_command_serves_until_it_is_told_to_end(output: str, number: signal.Signals) -> None:
    with running(output, "--port", "0") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        with urlopen(f"{url}api/sql?q=SELECT+1") as answer:
            assert b'"rows":[[1]]' in answer.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("is_warm", [False, True], ids=["its process starts", "it runs"])
def test_command_ends_at_once_in_the_middle_of_a_query(output: str, is_warm: bool) -> None:
    told: list[str] = []

    def ask(url: str) -> None:
        try:
            with urlopen(f"{url}api/sql?q={quote(ENDLESS)}") as answer:
                told.append(answer.read().decode())
        except HTTPError as error:
            told.append(error.read().decode())
        except OSError as error:
            told.append(str(error))

    with running(output, "--port", "0") as (process, url):
        if is_warm:
            urlopen(f"{url}api/sql?q=SELECT+1").close()
        client = threading.Thread(target=ask, args=(url,))
        client.start()
        behind = psutil.Process(process.pid)
        while not any(worker.cpu_percent(0.1) > 10 for worker in behind.children()):
            assert client.is_alive(), told
        workers = behind.children()
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        # The query had 30 seconds; a loaded machine takes some for anything.
        assert time.monotonic() - begin < 15
        assert (process.returncode, err) == (0, "")
        assert not any(worker.is_running() for worker in workers)
        client.join(30)
        assert len(told) == 1
        assert "the query was stopped: the server ends" in told[0]


def test_output_in_memory_of_this_process_only_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "memory://nothing/there", "--port", "0"]) == 2
    assert "memory://nothing/there: there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["{folder}/none"], "there is no such folder"), (["{folder}"], "is empty"),
     (["{output}", "--host", "no.such.host.invalid"], "--host no.such.host.invalid: no address"),
     (["{output}", "--host", "192.0.2.1"], "--host 192.0.2.1: cannot be listened on"),
     (["{output}", "--host", ""], "--host : give a name or an address"),
     (["{output}", "--port", "65536"], "Invalid value for '--port'"),
     (["{output}", "--port", "{used}"], "--port {used}: is in use; name another one, or 0")],
    ids=["no output", "nothing", "no such host", "not here", "no host", "no port", "port in use"],
)  # fmt: skip
def test_mistake_is_one_line_and_exit_code_2(
    output: str, tmp_path: Path, arguments: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as used:
        names = {"folder": tmp_path, "output": output, "used": used.getsockname()[1]}
        told = [argument.format(**names) for argument in arguments]
        if "--port" not in told:
            told += ["--port", "0"]
        assert main(["serve", *told]) == 2
    out, err = capsys.readouterr()
    assert message.format(**names) in err
    assert (out, err.count("\n")) == ("", 1)


def test_address_beyond_this_machine_is_warned_of(output: str) -> None:
    with running(output, "--port", "0", "--host", "0.0.0.0") as (process, url):
        port = url.rsplit(":", 1)[1]
        assert url == f"http://localhost:{port}"
        with urlopen(f"http://127.0.0.1:{port}query") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert err == "warning: everyone who reaches 0.0.0.0 can read this corpus\n"


def test_names_of_a_server_for_others() -> None:
    hosts = Hosts("corpus.example", "0.0.0.0")
    for host in ("corpus.example:80", "192.0.2.7", "[2001:db8::1]:1", socket.gethostname()):
        assert host in hosts
    for host in ("evil.example", "192.0.2.7.evil.example", "1", "", "a b", "[x]", "localhost:x"):
        assert host not in hosts


# --- processes of queries


def pool(output: str, seconds: float, processes: int = 1) -> QueryPool:
    return QueryPool(QueryConfig(output, 0, seconds), processes)


def test_query_that_cannot_be_interrupted_is_ended(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process is ended before it interrupts the query.
    monkeypatch.setattr(query_pool, "GRACE_SECONDS", -29.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    others = query_processes()

    async def ask() -> None:
        async with pool(output, 30.0) as queries:
            status, text = await queries.ask(ENDLESS, "a")
            assert (status, b"the query was stopped: it took longer than 30 s" in text) == (
                400,
                True,
            )
            assert query_processes() == others
            assert list(tmp_path.iterdir()) == []
            assert (await queries.ask("SELECT 1", "a"))[0] == 200
            assert len(list(tmp_path.iterdir())) == 1

    asyncio.run(ask())
    assert list(tmp_path.iterdir()) == []


def test_queries_of_a_client_run_one_after_the_other(output: str) -> None:
    async def ask() -> list[str]:
        ended: list[str] = []

        async def one(query: str, client: str, name: str) -> None:
            await queries.ask(query, client)
            ended.append(name)

        async with pool(output, 3.0, processes=2) as queries:
            await asyncio.gather(*(queries.ask("SELECT 1", client) for client in "ab"))
            await asyncio.gather(
                one(ENDLESS, "a", "long"), one("SELECT 1", "a", "same"), one("SELECT 1", "b", "b")
            )
        return ended

    assert asyncio.run(ask()) == ["b", "long", "same"]


def test_more_queries_than_may_wait_are_refused(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_pool, "MAX_WAITING", 1)

    async def ask() -> None:
        async with pool(output, 2.0) as queries:
            long = asyncio.create_task(queries.ask(ENDLESS, "a"))
            waits = asyncio.create_task(queries.ask("SELECT 1", "b"))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await queries.ask("SELECT 1", "c")
            assert (await long)[0] == 400
            assert (await waits)[0] == 200
            assert (await queries.ask("SELECT 1", "c"))[0] == 200

    asyncio.run(ask())


def test_cancelled_query_ends_its_process_only(output: str) -> None:
    others = query_processes()

    async def ask() -> None:
        async with pool(output, 30.0, processes=2) as queries:
            await asyncio.gather(*(queries.ask("SELECT 1", client) for client in "ab"))
            assert len(query_processes() - others) == 2
            long = asyncio.create_task(queries.ask(ENDLESS, "a"))
            await asyncio.sleep(0.2)
            long.cancel()
            with pytest.raises(asyncio.CancelledError):
                await long
            assert len(query_processes() - others) == 1
            assert (await queries.ask("SELECT 1", "a"))[0] == 200

    asyncio.run(ask())
    assert query_processes() == others


def test_process_that_cannot_start_is_told(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_pool, "_PROGRAM", "raise SystemExit(7)")

    async def ask() -> None:
        async with pool(output, 2.0) as queries:
            for _ in range(2):
                with pytest.raises(RuntimeError, match=r"no process .* \(exit status 7\)"):
                    await queries.ask("SELECT 1", "a")

    asyncio.run(ask())
