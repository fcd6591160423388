"""Job servers of Beam, one for all graphs of a run: Prism, and the one that submits to Flink.

Beam would start a server for each graph, and fetch what it starts from the network. Here the
programs come from the user's own Go and Maven, into a cache outside the project, and nothing is
looked for elsewhere when they are missing.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from schemas.errors import StageError, UserError

PRISM_PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>weft</groupId>
  <artifactId>flink-job-server</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.beam</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-jdk14</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
FLINK_DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
OPENED = tuple(
    f"java.base/java.{name}"
    for name in (
        "io", "lang", "lang.invoke", "lang.reflect", "math", "net", "nio", "text", "time", "util",
        "util.concurrent", "util.concurrent.atomic", "util.concurrent.locks",
    )
)  # fmt: skip
"""Packages that Flink's serialisers look into, which Java 17 must be told to allow."""
STARTS = 3
"""Times that a job server is started whose port another program has taken."""
START_SECONDS = 120.0
"""A server that takes no connection by then has failed."""
POLL_SECONDS = 0.1
END_SECONDS = 10.0
"""A server that has not ended by then is killed."""
TOLD_LINES = 5
"""Last lines of a failed program's output that an error shows."""

# The pipe is closed when the driver ends, however it ends, and the server with it.
_WHILE_PIPE_IS_OPEN = (
    'exec 3<&0; "$@" 3<&- </dev/null & server=$!; '
    '{ read -r _ <&3; kill "$server"; } 2>/dev/null & exec 3<&-; wait "$server"'
)

Command = Callable[[str], tuple[list[str], str]]
"""The command of a server and its `host:port`, given a folder for its temporary files."""


def cache_folder() -> Path:
    """Where fetched programs are kept: `$XDG_CACHE_HOME/weft`, by default `~/.cache/weft`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weft"


def beam_version() -> str:
    """Of the Beam that is installed."""
    from apache_beam.version import __version__

    return str(__version__)


def prism_program() -> Path:
    """Where Prism of Beam's own version is kept."""
    return cache_folder() / "prism" / beam_version() / "prism"


def flink_jar(flink_version: str, version: str | None = None) -> Path:
    """Where the job server for a version of Flink is kept.

    Args:
        flink_version: As `1.19`.
        version: Of Beam's job server; None: that of the Beam that is installed.
    """
    folder = cache_folder() / "flink" / f"{flink_version}-beam-{version or beam_version()}"
    return folder / "job-server.jar"


def build_prism() -> Path:
    """Build Prism with Go, unless it is there. Raises `UserError`, `StageError`."""
    program = prism_program()
    if program.is_file():
        return program
    go = _find("go", "building Prism needs Go 1.26 or newer: install it")
    with _folder_beside(program) as folder:
        _run(
            "building Prism",
            [go, "install", f"{PRISM_PACKAGE}@v{beam_version()}"],
            {**os.environ, "GOBIN": folder},
        )
        os.replace(os.path.join(folder, program.name), program)
    return program


def fetch_flink_jar(flink_version: str, version: str | None = None) -> Path:
    """Fetch Flink's job server with Maven, unless it is there.

    It is Beam's runner for Flink beside all that it depends on, and a jar that starts it.

    Args:
        flink_version: As `1.19`.
        version: Of Beam's job server; None: that of the Beam that is installed.

    Raises:
        UserError: There is no Maven.
        StageError: Maven finds no such version.
    """
    jar = flink_jar(flink_version, version)
    if jar.is_file():
        return jar
    maven = _find("mvn", "fetching Flink's job server needs Maven: install it")
    artifact = f"beam-runners-flink-{flink_version}"
    with _folder_beside(jar.parent) as folder:
        pom, whole = os.path.join(folder, "pom.xml"), os.path.join(folder, "whole")
        os.mkdir(whole)
        Path(pom).write_text(POM.format(artifact=artifact, version=version or beam_version()))
        command = [
            maven, "--batch-mode", "--no-transfer-progress", "--file", pom,
            f"{MAVEN_PLUGIN}:copy-dependencies", f"-DoutputDirectory={whole}",
            "-DincludeScope=runtime",
        ]  # fmt: skip
        what = f"fetching org.apache.beam:{artifact}:{version or beam_version()}"
        _run(what, command, dict(os.environ))
        _write_launcher(os.path.join(whole, jar.name), sorted(os.listdir(whole)))
        os.replace(whole, jar.parent)
    return jar


def _write_launcher(path: str, jars: Sequence[str]) -> None:
    """A jar that starts the job server from the jars beside it."""
    lines = [
        "Manifest-Version: 1.0",
        f"Main-Class: {FLINK_DRIVER}",
        f"Add-Opens: {' '.join(OPENED)}",
        f"Class-Path: {' '.join(jars)}",
    ]
    # A line of a manifest has at most 72 bytes; one that begins with a space goes on.
    folded = ["\r\n ".join(re.findall(".{1,70}", line)) for line in lines]
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "\r\n".join([*folded, "", ""]))


def prism_command(words: Sequence[str], folder: str) -> tuple[list[str], str]:
    """How Prism is started, after Beam's options, which name its program."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    del folder
    command, endpoint = PrismJobServer(PipelineOptions([*words])).subprocess_cmd_and_endpoint()
    return [str(word) for word in command], endpoint


def flink_command(words: Sequence[str], folder: str) -> tuple[list[str], str]:
    """How Flink's job server is started, after Beam's options, which name its jar."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
    from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner

    places = [f"--artifacts_dir={folder}", f"--job_server_jvm_properties=-Djava.io.tmpdir={folder}"]
    # What the user says comes later and wins.
    options = PipelineOptions([*places, *words])
    flink = options.view_as(FlinkRunnerOptions)
    flink.flink_master = FlinkRunner.add_http_scheme(flink.flink_master)
    command, endpoint = FlinkJarJobServer(options).subprocess_cmd_and_endpoint()
    return [str(word) for word in command], endpoint


class JobServer:
    """A job server that the first graph of a run starts, and that ends with the block.

    Args:
        command: What is started.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None
        self._endpoint = ""
        self._log = os.devnull
        self._begin = 0
        """Bytes that the log had before it was started."""

    def __enter__(self) -> "JobServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                left = psutil.Process(self._process.pid).children(recursive=True)
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                psutil.wait_procs(left)
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def endpoint(self, log: str | None) -> str:
        """Its `host:port`; starts it when it is asked for first.

        Args:
            log: Local file that takes what it prints.

        Raises:
            StageError: It cannot be started, or has ended.
        """
        with self._lock:
            if self._process is None:
                self._start(log)
            elif (ended := self.ended()) is not None:
                raise StageError(ended)
        return self._endpoint

    def ended(self) -> str | None:
        """How it has ended, with what it said last; None while it runs.

        Waits for some seconds where it runs but no longer listens: then it is about to end.
        """
        if self._process is None:
            return None
        if self._process.poll() is None and not _listens(self._process.pid, self._port()):
            # Its connections break before its end is known.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        if self._process.returncode is None:
            return None
        status = self._process.returncode
        return f"the job server has ended with status {status}: {self._said()}"

    def _port(self) -> int:
        return int(self._endpoint.rpartition(":")[2])

    def _said(self) -> str:
        with open(self._log, "rb") as said:
            said.seek(self._begin)
            return _last_lines(said.read().decode(errors="replace"))

    def _start(self, log: str | None) -> None:
        self._folder = tempfile.mkdtemp(prefix="weft-job-server-")
        self._log = (
            log if log is not None and log != os.devnull else os.path.join(self._folder, "log")
        )
        for start in range(1, STARTS + 1):
            # The port is chosen by Beam and free when it is chosen; another program may be faster.
            command, self._endpoint = self._command(self._folder)
            with open(self._log, "ab") as output:
                self._begin = output.tell()
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _WHILE_PIPE_IS_OPEN, "sh", *command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is for the driver, which ends it
                )
            if self._comes_up(self._process):
                return
            told = self._said()
            status = self._process.returncode
            if status is None or start == STARTS:
                how = "it does not listen" if status is None else f"status {status}"
                raise StageError(f"{command[0]}: the job server did not start: {how}: {told}")
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _comes_up(self, process: "subprocess.Popen[bytes]") -> bool:
        """Wait until it listens; False where it ends instead, or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not _listens(process.pid, self._port()):
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def _listens(pid: int, port: int) -> bool:
    """Whether a process below this one listens at a port: another program may do so, too."""
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                    return True
    return False


def _find(program: str, need: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise UserError(f"{program}: is not on the path; {need}")
    return found


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        yield folder


def _run(what: str, command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        told = _last_lines(done.stdout.decode(errors="replace"))
        raise StageError(f"{what}: {command[0]} ended with status {done.returncode}: {told}")


def _last_lines(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-TOLD_LINES:]) or "it printed nothing"
