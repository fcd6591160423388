"""How a Beam graph is run: in this process, in worker processes of this machine, or elsewhere.

Where is decided in `runners.py`.

Locally it is Beam's in-process `FnApiRunner`, never the bare `DirectRunner`, which looks for a Go
binary on the network and silently falls back. With several workers the runner and its workers live
in a *stage process* of their own, forked from a server that has Beam imported: a worker that is
killed makes `FnApiRunner` wait for ever, so the stage process notices, ends itself and all workers,
and the stage is started again. Committed parts are not done twice.
"""

import contextlib
import io
import logging
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any

from pipeline.logs import beam_logs_to
from pipeline.runners import Build, RunnerConfig
from pipeline.stage_start import MAX_SOCKET_FOLDER, PRELOAD
from pipeline.worker_server import start_worker_server
from schemas import errors
from schemas.errors import StageError, StoreError, UserError, WeftError
from transforms.parts import WATCH_VARIABLE
from transforms.shipped import ship_to
from transforms.sink import HEARTBEAT_VARIABLE

MAX_STARTS = 3
"""A stage whose workers die is started this often before the run gives up."""
WORKER_DIED = 75
"""Exit status of a stage process that lost a worker."""
HARNESS_THREADS = ("read_grpc_client_inputs", "run_worker_", "wait_until_finish_read")
"""How the names begin of Beam's threads that end with the connection to a job server."""

_OWN_ERROR = re.compile(r"^schemas\.errors\.(\w+): (.*)$", re.MULTILINE)
_WHILE_RUNNING = re.compile(r" \[while running .*?\]")


def run_graph(
    stage: str, build: Build, config: RunnerConfig, say: Callable[[str], None] = lambda line: None
) -> None:
    """Run a graph to its end. Raises `StageError`, or what a part raised on purpose.

    Args:
        stage: What errors name.
        build: Adds the graph.
        config: Where it runs.
        say: Is told where a job that runs elsewhere can be watched.
    """
    if config.in_process:
        _set_heartbeats(config)
        if not config.is_local:
            _log_ends_of_harnesses()
        with beam_logs_to(config.log):
            _run_here(stage, build, config, say=say)
        return
    for start in range(1, MAX_STARTS + 1):
        outcome = _run_in_stage_process(stage, build, config)
        if outcome is None:
            return
        if start < MAX_STARTS:
            logging.getLogger(__name__).warning(
                "stage %s: %s; starting it again (%d of %d)", stage, outcome, start + 1, MAX_STARTS
            )
    raise StageError(
        f"stage {stage}: {outcome}, {MAX_STARTS} times; most often that is a machine out of "
        "memory: try fewer --workers, or a smaller input.part_bytes"
    )


def start_stage_server() -> None:
    """Start importing Beam in the server that stage processes are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    if len(tempfile.gettempdir()) > MAX_SOCKET_FOLDER:
        # multiprocessing keeps its socket there, and a socket's name has at most 107 bytes.
        config = multiprocessing.process.current_process().__dict__["_config"]
        config.setdefault("tempdir", _short_folder())
    from multiprocessing import forkserver

    forkserver.ensure_running()


def _short_folder() -> str:
    """A temporary folder whose path leaves room for the name of a socket."""
    parent = tempfile.gettempdir()
    short = parent if len(parent) <= MAX_SOCKET_FOLDER else "/tmp"
    return tempfile.mkdtemp(prefix="weft-", dir=short)


def job_link(result: Any) -> str | None:
    """Where the job of a pipeline that was started can be watched; None for other runners.

    Args:
        result: What Beam's `Pipeline.run` gives; Dataflow's has the job's message.
    """
    job = getattr(result, "_job", None)
    names = [getattr(job, name, None) for name in ("location", "id", "project_id")]
    if not all(isinstance(name, str) and name for name in names):
        return None
    location, job_id, project = names
    return f"https://console.cloud.google.com/dataflow/jobs/{location}/{job_id}?project={project}"


def _run_here(
    stage: str,
    build: Build,
    config: RunnerConfig,
    worker_command: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    class Told(beam.Pipeline):
        """Says where its job can be watched as soon as it is started."""

        def run(self, *args: Any, **kwargs: Any) -> Any:
            """Start it."""
            result = super().run(*args, **kwargs)
            if (link := job_link(result)) is not None:
                say(f"{stage}: {link}")
            return result

    arguments = [*config.beam_options]
    runner: Any = config.runner
    if config.is_local:
        environment = None
        if worker_command is not None:
            environment = SubprocessSDKEnvironment.from_command_string(worker_command)
            arguments.append(f"--direct_num_workers={config.workers}")
        runner = FnApiRunner(default_environment=environment)
    if config.server is not None:
        arguments.append(f"--job_endpoint={config.server.endpoint(config.log)}")
    try:
        with Told(runner=runner, options=PipelineOptions(arguments)) as pipeline:
            build(pipeline)
    except Exception as e:
        if str(e).startswith("KeyboardInterrupt"):  # as Beam gives it back from this process
            raise KeyboardInterrupt from e
        if config.server is not None and (ended := config.server.ended()) is not None:
            raise StageError(f"stage {stage}: {ended}") from e
        raise own_error(e) or StageError(_report(stage, e, config)) from e


@cache
def _log_ends_of_harnesses() -> None:
    """Log, and print no traceback, when a job server ends the connection of a worker in a thread.

    For good, because it happens after the job that it belonged to has ended; what Beam logs of it
    by then has no place to go.
    """
    logger = logging.getLogger("apache_beam")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    otherwise = threading.excepthook

    def log(args: threading.ExceptHookArgs) -> None:
        if args.thread is None or not args.thread.name.startswith(HARNESS_THREADS):
            otherwise(args)
            return
        logging.getLogger("apache_beam").info("%s: %s", args.thread.name, args.exc_value)

    threading.excepthook = log


def _report(stage: str, error: Exception, config: RunnerConfig) -> str:
    where = f"; the whole story is in {config.log}" if config.log not in (None, os.devnull) else ""
    return f"stage {stage}: {summarize(error)}{where}"


def own_error(error: BaseException) -> WeftError | None:
    """The error of ours that a part raised on purpose for the user, however Beam wrapped it.

    In process Beam adds the step's label to the message; a worker process sends text only.
    """
    text = str(error)
    if isinstance(error, UserError | StageError | StoreError):
        return type(error)(_WHILE_RUNNING.sub("", text))
    for match in _OWN_ERROR.finditer(text):
        kind = getattr(errors, match[1], None)
        if isinstance(kind, type) and issubclass(kind, UserError | StageError | StoreError):
            return kind(_WHILE_RUNNING.sub("", match[2]))
    return None


def summarize(error: BaseException) -> str:
    """The error a part raised, without Beam's two hundred lines around it.

    A worker process reports an exception as text; its last line names the error, and the last
    frame of ours names the place.
    """
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith((" ", "\t"))), "")
    frames = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    trace = [
        f'File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    ours = [
        frame
        for frame in [*trace, *frames]
        if any(f"{os.sep}{name}{os.sep}" in frame for name in ("transforms", "pipeline"))
        and "site-packages" not in frame
        and "graphs.py" not in frame
    ]
    name = type(error).__name__
    text = last if ": " in last else f"{name}: {lines[0]}" if lines else name
    return f"{text} ({ours[-1]})" if ours else text


def _set_heartbeats(config: RunnerConfig) -> None:
    if config.heartbeats is not None:
        os.environ[HEARTBEAT_VARIABLE] = config.heartbeats


def _run_in_stage_process(stage: str, build: Build, config: RunnerConfig) -> str | None:
    """Run the graph in a stage process; None when it ended well, else how its workers died."""
    start_stage_server()
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    folder = _short_folder()
    try:
        process = context.Process(
            target=_stage_main, args=(stage, build, config, folder, sender), name=f"weft-{stage}"
        )
        try:
            process.start()
        except (EOFError, ConnectionError):
            return "the server of its processes died"
        finally:
            sender.close()
        try:
            process.join()
            message = receiver.recv() if receiver.poll() else None
        except EOFError:
            message = None
        finally:
            _end_group(process)
    finally:
        receiver.close()
        shutil.rmtree(folder, ignore_errors=True)
    if process.exitcode == 0:
        return None
    if isinstance(message, WeftError):
        raise message
    if process.exitcode == WORKER_DIED:
        return "a worker process died"
    return f"its process ended with status {process.exitcode}"


def _end_group(process: Any) -> None:
    """End what is left of a stage process and its workers."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # it may not have come to be the head of a group yet
    process.join()


def _stage_main(stage: str, build: Build, config: RunnerConfig, folder: str, sender: Any) -> None:
    """Body of a stage process. Forks its worker server first, before any thread exists."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if config.log is not None:
        _send_output_to(config.log)
    worker_command = start_worker_server(folder)
    os.environ[WATCH_VARIABLE] = str(os.getpid())
    _set_heartbeats(config)
    _end_with_driver()
    threading.excepthook = _on_thread_error
    try:
        # Beam copies the graph for each of its stages, in this process and in every worker.
        with ship_to(os.path.join(folder, "graphs")):
            _run_here(stage, build, config, worker_command)
    except WeftError as e:
        sender.send(e)
        sender.close()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


class _LossyStream(io.TextIOWrapper):
    """A stream that drops what cannot be written.

    Beam prints the traceback of a failed bundle before it reports it; on a full disk that print
    would raise, the report would never be sent, and the runner would wait for it for ever.
    """

    def __init__(self, number: int) -> None:
        super().__init__(io.FileIO(number, "wb", closefd=False), write_through=True)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def _send_output_to(path: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = sys.stderr = _LossyStream(2)


def _end_with_driver() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watch-driver", daemon=True).start()


def _on_thread_error(args: threading.ExceptHookArgs) -> None:
    """Beam waits for a worker in a thread, which raises when the worker ends badly."""
    if args.thread is not None and args.thread.name == "run_worker":
        os._exit(WORKER_DIED)
    _default_excepthook(args.exc_type, args.exc_value, args.exc_traceback)


def _default_excepthook(
    kind: type[BaseException], value: BaseException | None, trace: TracebackType | None
) -> None:
    traceback.print_exception(kind, value, trace)
