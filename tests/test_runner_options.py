"""Where to run: what each preset adds, and what is refused before anything is read or written."""

from pathlib import Path

import pytest

from beam_runner import main
from pipeline.job_servers import flink_jar, prism_program
from pipeline.runners import FLINK_VERSION, RunnerConfig, runner_config
from schemas.errors import UserError


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has Prism, Flink's job server and Java: files nothing here starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    java = tmp_path / "bin" / "java"
    for path in (prism_program(), flink_jar(FLINK_VERSION), java):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"#!/bin/sh\nexit 3\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent))
    return tmp_path


def test_prism_is_the_program_that_was_built(tools: Path) -> None:
    config = runner_config("prism", default_workers=4)
    assert config.beam_options == (
        "--runner=PrismRunner",
        f"--prism_location={tools}/cache/weft/prism/2.77.0/prism",
        "--environment_type=LOOPBACK",
    )
    assert (config.workers, config.in_process, config.sees_files) == (4, True, True)
    assert config.server is not None


def test_flink_is_embedded_where_no_cluster_is_named(tools: Path) -> None:
    config = runner_config("flink", ["--parallelism=3"], default_workers=4)
    jar = f"{tools}/cache/weft/flink/{FLINK_VERSION}-beam-2.77.0/job-server.jar"
    assert config.beam_options == (
        "--runner=FlinkRunner",
        "--flink_master=[local]",
        f"--flink_version={FLINK_VERSION}",
        f"--flink_job_server_jar={jar}",
        "--environment_type=LOOPBACK",
        "--parallelism=3",
    )
    assert config.workers == 3
    assert config.server is not None


def test_what_the_user_says_comes_last(tools: Path) -> None:
    own = tools / "own.jar"
    own.touch()
    words = [
        "--flink_master=cluster:8081", f"--flink_job_server_jar={own}",
        "--environment_type=EXTERNAL", "--environment_config=localhost:50000",
    ]  # fmt: skip
    config = runner_config("flink", words)
    assert config.beam_options[-4:] == tuple(words)
    assert "--environment_type=LOOPBACK" not in config.beam_options
    # The pool is beside the workers of the cluster, wherever they are.
    assert not config.sees_files
    assert runner_config("flink", words[1:]).sees_files


@pytest.mark.parametrize("name", ["FlinkRunner", "flinkrunner", "a.module.FlinkRunner", "FLINK"])
def test_names_of_beam_mean_the_same(name: str, tools: Path) -> None:
    assert runner_config(name).beam_options == runner_config("flink").beam_options


def test_a_server_of_the_users_own_is_used(tools: Path) -> None:
    (tools / "cache" / "weft" / "flink").rename(tools / "gone")
    config = runner_config("flink", ["--job_endpoint=localhost:8099"])
    assert config.server is None
    words = ["--job_endpoint=127.0.0.1:8099"]
    assert runner_config("portable", words) == RunnerConfig(
        1,
        ("--runner=PortableRunner", "--environment_type=LOOPBACK", *words),
        services=(("job_endpoint", "127.0.0.1:8099"),),
    )


def test_local_takes_options_of_beam() -> None:
    config = runner_config("local", ["--job_name=x"], 2)
    assert config == RunnerConfig(2, ("--job_name=x",))
    assert runner_config("FnApiRunner", (), 1, processes=True) == RunnerConfig(1, processes=True)


FAR = ["--flink_master=far:8081"]
REFUSED: dict[str, tuple[str, list[str], str]] = {
    "two runners": ("local", ["--", "--runner=FlinkRunner"], "--runner: is given twice"),
    "no environment": (
        "flink", ["--environment_type=NONSENSE"], "is none of LOOPBACK, EXTERNAL, DOCKER, PROCESS"
    ),
    "no host": ("flink", ["--flink_master=[::1"], "is no host, HOST:PORT or URL"),
    "workers-of-flink": ("flink", ["--workers", "2"], "use --parallelism=N"),
    "workers-of-prism": ("prism", ["--workers", "2"], "the machine decides"),
    "processes-of-flink": ("FlinkRunner", ["--processes"], "--processes: is for --runner local"),
    "flink's option locally": ("local", FAR, "--flink_master: is an option of --runner flink"),
    "flink's option on Prism": ("prism", ["--parallelism=2"], "--parallelism: is an option of"),
    "an option of workers that run elsewhere": (
        "local", ["--worker_machine_type=n2-standard-4"], "is an option of --runner dataflow",
    ),
    "no program": ("prism", ["--prism_location=/no/prism"], "--prism_location=/no/prism: is no"),
    "a program on the network": (
        "prism", ["--prism_location=https://example.com/prism.zip"], "Weft fetches none",
    ),
    "no jar": ("flink", ["--flink_job_server_jar=/no.jar"], "/no.jar: is no file of this"),
    "a version of Flink that nobody fetched": (
        "flink", ["--flink_version=2.0"], "`weft get-runner flink --flink_version=2.0`",
    ),
    "a version that Beam does not know": ("flink", ["--flink_version=9"], "--flink_version"),
    "no Java": ("flink", ["--job_server_java_launcher=/no/java"], "there is no /no/java"),
    "no workers": ("flink", FAR, "say what the workers of far:8081 are"),
    "loopback from afar": (
        "flink", [*FAR, "--environment_type=LOOPBACK"], "which far:8081 cannot reach",
    ),
    "a pool without an address": (
        "flink", [*FAR, "--environment_type=EXTERNAL"], "needs --environment_config=HOST:PORT",
    ),
    "an uber jar for nobody": ("flink", ["--flink_submit_uber_jar"], "--flink_master=HOST:PORT"),
    "an uber jar of a launcher": (
        "flink", [*FAR, "--flink_submit_uber_jar"], "needs --flink_job_server_jar=PATH",
    ),
    "no job service": ("portable", [], "--job_endpoint=HOST:PORT"),
    "an input that workers cannot see": (
        "flink", [*FAR, "--environment_type=DOCKER", "--environment_config=weft"],
        "is a path of this machine",
    ),
    "a class that is no runner": ("collections.OrderedDict", [], "is no runner of Beam"),
    "a function": ("os.getcwd", [], "os.getcwd: is no runner of Beam"),
    "a runner in name": ("apache_beam.runners.runner.PipelineRunner", [], "is no runner of Beam"),
    "a runner of tests": ("TestDirectRunner", [], "the direct runner looks"),
    "a module that cannot be imported": (
        "lib2to3.tests.data.py2_test_grammar.X", [], "py2_test_grammar.X: ",
    ),
    "a module that is not there": ("no.such.Runner", [], "--runner=no.such.Runner: "),
    "Beam's own number of workers": ("local", ["--direct_num_workers=4"], "say --workers N"),
    "Beam's own mode": ("local", ["--direct_running_mode=multi_processing"], "say --workers N"),
    "a stream": ("local", ["--streaming"], "--streaming: a crawl has an end"),
    "no project": ("dataflow", ["--region=r"], "needs --project=... and --temp_location=..."),
    "a local folder for what is staged": (
        "dataflow", ["--project=p", "--region=r", "--temp_location=/tmp/x"],
        "--temp_location=/tmp/x: must be a folder in a bucket",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("runner", "words", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused_before_anything_starts(
    runner: str, words: list[str], message: str, tools: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    crawl, output = tools / "crawl.warc", tools / "out"
    crawl.touch()
    arguments = ["run", "demo", "-i", str(crawl), "-o", str(output), "--runner", runner, *words]
    assert main(arguments) == 2
    told = capfd.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize("runner", ["prism", "flink"])
def test_what_is_missing_is_named_with_how_to_get_it(
    runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"`weft get-runner {runner}"):
        runner_config(runner)


def test_a_folder_that_all_workers_mount_is_taken_at_the_users_word(tools: Path) -> None:
    words = [*FAR, "--environment_type=EXTERNAL", "--environment_config=pool:50000"]
    common = ["plan", "demo", "--runner", "flink", *words, "--json"]
    crawl = tools / "crawl"
    crawl.mkdir()
    (crawl / "a.warc").write_bytes(b"WARC/1.0\r\n")
    assert main([*common, "-i", f"file://{crawl}", "-o", f"file://{tools}/out"]) == 0
    assert main([*common, "-i", str(crawl), "-o", f"file://{tools}/out"]) == 2


def test_a_job_server_that_does_not_start_is_an_error_with_what_it_said(
    tools: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tools / "program"
    program.write_text("#!/bin/sh\necho no such port >&2\nexit 3\n")
    program.chmod(0o755)
    crawl = tools / "crawl.warc"
    crawl.write_bytes(b"WARC/1.0\r\n")
    arguments = ["run", "demo", "-i", str(crawl), "-o", str(tools / "out"), "--runner", "prism"]
    assert main([*arguments, f"--prism_location={program}"]) == 1
    told = capfd.readouterr().err
    assert "the job server did not start: status 3: no such port" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["portable", "--job_endpoint=localhost:1"], "--job_endpoint=localhost:1: nobody listens"),
        (["portable", "--job_endpoint=localhost"], "--job_endpoint=localhost: must be HOST:PORT"),
        (["portable", "--job_endpoint=localhost:x"], "--job_endpoint=localhost:x: is no HOST:PORT"),
        (["SparkRunner", "--job_endpoint=a..b:1"], "--job_endpoint=a..b:1: nobody listens there"),
        (
            ["flink", "--flink_master=127.0.0.1:1", "--environment_type=LOOPBACK"],
            "--flink_master=127.0.0.1:1: nobody listens",
        ),
    ],
)
def test_a_service_that_does_not_listen_is_told_before_anything_is_written(
    words: list[str], message: str, tools: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    crawl, output = tools / "crawl.warc", tools / "out"
    crawl.write_bytes(b"WARC/1.0\r\n")
    arguments = ["demo", "-i", str(crawl), "-o", str(output), "--runner", *words]
    assert main(["run", *arguments]) == 2
    told = capfd.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not output.exists()
    # A plan asks nobody.
    assert main(["plan", *arguments]) == 0


def test_what_go_says_is_told(tools: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prism_program().unlink()
    go = tools / "bin" / "go"
    go.write_text("#!/bin/sh\necho module lookup disabled\nexit 1\n")
    go.chmod(0o755)
    assert main(["get-runner", "prism"]) == 1
    assert "building Prism" in (told := capfd.readouterr().err)
    assert "module lookup disabled" in told
    go.unlink()
    assert main(["get-runner", "prism"]) == 2
    assert "go: is not on the path" in capfd.readouterr().err
    assert not prism_program().exists()
    assert main(["get-runner", "spark"]) == 2
