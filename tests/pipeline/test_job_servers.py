"""Job servers: when they start and end, and how their programs are fetched."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import job_servers
from pipeline.job_servers import JobServer, fetch_flink_jar, flink_jar
from schemas.errors import StageError

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0
# Takes connections, and nothing else.
SERVER = """
import signal, socket, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
host, port = sys.argv[1].split(":")
print("listening", flush=True)
server = socket.create_server((host, int(port)))
time.sleep(600)
"""


def free_endpoint() -> str:
    from apache_beam.utils.subprocess_server import pick_port

    return f"localhost:{pick_port(None)[0]}"


def command(endpoint: str, *more: str) -> tuple[list[str], str]:
    return [sys.executable, "-c", SERVER, endpoint, *more], endpoint


def listens(endpoint: str) -> bool:
    host, port = endpoint.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_starts_with_the_first_job_and_ends_with_the_run(tmp_path: Path) -> None:
    folders: list[str] = []

    def start(folder: str) -> tuple[list[str], str]:
        folders.append(folder)
        return command(free_endpoint())

    log = tmp_path / "log"
    with JobServer(start) as server:
        assert folders == []
        endpoint = server.endpoint(str(log))
        assert server.endpoint(str(log)) == endpoint
        assert listens(endpoint)
        assert log.read_text() == "listening\n"
        assert os.path.isdir(folders[0])
    assert not listens(endpoint)
    assert len(folders) == 1
    assert not os.path.exists(folders[0])


def test_a_server_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_servers, "END_SECONDS", 0.5)
    endpoint = free_endpoint()
    with JobServer(lambda folder: command(endpoint, "deaf")) as server:
        server.endpoint(os.devnull)
        assert listens(endpoint)
    assert not listens(endpoint)


def ask_until_it_fails(server: JobServer) -> None:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        server.endpoint(None)
        time.sleep(0.01)


def test_a_server_that_has_died_is_an_error() -> None:
    before = set(psutil.Process().children(recursive=True))
    with JobServer(lambda folder: command(free_endpoint())) as server:
        server.endpoint(None)
        started = set(psutil.Process().children(recursive=True)) - before
        for process in started:
            with suppress(psutil.NoSuchProcess):  # what the shell was for a moment
                if process.name() != "sh":
                    process.kill()
        with pytest.raises(StageError, match=f"has ended with status {128 + signal.SIGKILL}"):
            ask_until_it_fails(server)


def test_a_server_ends_when_its_driver_is_killed(tmp_path: Path) -> None:
    endpoint = free_endpoint()
    driver = (
        "import sys; from pipeline.job_servers import JobServer\n"
        f"server = JobServer(lambda folder: ({command(endpoint)[0]!r}, {endpoint!r}))\n"
        "server.endpoint(None)\nprint('started', flush=True)\nsys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    watched = psutil.Process(process.pid).children(recursive=True)
    assert len(watched) >= 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(watched, timeout=DEADLINE)
    assert alive == []


MAVEN = """#!/bin/sh
for word in "$@"; do
  case "$word" in -DoutputDirectory=*) out="${word#*=}" ;; esac
done
[ -e "$ASKED" ] && echo again && exit 1
while [ "$1" != --file ]; do shift; done
cp "$2" "$ASKED"
for number in 1 2 3 4 5 6 7 8 9; do : > "$out/some-library-with-a-long-name-$number.jar"; done
"""


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven that answers once; gives where it puts what it was asked for."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(MAVEN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.xml"))
    return tmp_path / "asked.xml"


def test_a_job_server_for_flink_is_fetched_once_with_what_it_needs(maven: Path) -> None:
    jar = fetch_flink_jar("1.19", "2.62.0")
    assert jar == flink_jar("1.19", "2.62.0") == fetch_flink_jar("1.19", "2.62.0")
    asked = "".join(maven.read_text().split())
    assert "<groupId>org.apache.beam</groupId><artifactId>beam-runners-flink-1.19<" in asked
    assert "<version>2.62.0</version>" in asked
    libraries = [f"some-library-with-a-long-name-{number}.jar" for number in range(1, 10)]
    assert sorted(path.name for path in jar.parent.iterdir()) == [jar.name, *libraries]
    with zipfile.ZipFile(jar) as file:
        manifest = file.read("META-INF/MANIFEST.MF")
    assert all(len(line) <= 70 + 1 for line in manifest.split(b"\r\n"))
    lines = dict(re.findall(r"(.*?): (.*)\r\n", manifest.replace(b"\r\n ", b"").decode()))
    assert lines["Main-Class"] == "org.apache.beam.runners.flink.FlinkJobServerDriver"
    assert lines["Class-Path"].split(" ") == libraries
    assert "java.base/java.util" in lines["Add-Opens"].split(" ")


def test_what_maven_does_not_find_leaves_nothing(maven: Path) -> None:
    maven.touch()
    with pytest.raises(StageError, match=r"beam-runners-flink-9:.* ended with status 1: again"):
        fetch_flink_jar("9")
    assert list(flink_jar("9").parent.parent.iterdir()) == []
