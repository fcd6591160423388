"""One recipe, the same bytes: in this process, on Prism, on Flink, and where there is no torch.

`test_resume.py` compares one process with several.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from beam_runner import main
from pipeline.demo import generate_demo_crawl
from pipeline.job_servers import flink_jar, prism_program
from tests.run_processes import DEADLINE, published, records, run_command, start, wait_for

# What `make flink` fetches.
FLINK, JOB_SERVER = "1.19", "2.62.0"
ROOT = Path(__file__).resolve().parents[1]
STREAMS = ("captioned", "interleaved", "text")
# Workers of stages without a model must import none of these, not even to unpickle a graph.
WITHOUT_MODELS = """
import sys
HEAVY = {"torch", "torchvision", "open_clip", "transformers", "tokenizers", "safetensors", "vllm"}

def refuse(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] in HEAVY:
        raise ImportError(f"{arguments[0]} is imported by a stage without a model")

sys.addaudithook(refuse)
from beam_runner import main
status = main(sys.argv[1:])
assert HEAVY.isdisjoint(sys.modules), sorted(HEAVY & set(sys.modules))
try:
    import torch
except ImportError:
    sys.exit(status)
sys.exit("torch could be imported: nothing was tested")
"""


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    generate_demo_crawl(folder, pages=210)
    return folder


def run(crawl: Path, output: Path, *how: str) -> dict[str, bytes]:
    """What a run of recipe `demo` publishes."""
    arguments = ["run", "demo", "-i", str(crawl), "-o", str(output), "-q", "--no-report", *how]
    assert main(arguments) == 0
    return published(output)


@pytest.fixture(scope="module")
def here(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run inside this process."""
    output = tmp_path_factory.mktemp("here") / "out"
    found = run(crawl, output, "--workers", "1")
    for stream in STREAMS:
        assert json.loads(found[f"{stream}/manifest.json"])["totals"]["samples"] > 10
    return output


def no_children() -> None:
    """Nothing that a run has started is left."""
    left = [child.name() for child in psutil.Process().children(recursive=True)
            if child.name() in ("java", "prism", "sh")]  # fmt: skip
    assert left == []


@pytest.mark.prism
def test_prism_publishes_the_same(crawl: Path, here: Path, tmp_path: Path) -> None:
    if not prism_program().is_file():
        pytest.skip(f"`make prism` has not built {prism_program()}")
    assert run(crawl, tmp_path / "out", "--runner", "prism") == published(here)
    no_children()


@pytest.mark.prism
def test_what_a_part_refuses_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not prism_program().is_file():
        pytest.skip(f"`make prism` has not built {prism_program()}")
    (tmp_path / "old.warc").write_bytes(b"filedesc://old.arc 0.0.0.0 20080430204825 text/plain 9\n")
    told = []
    for name, how in (("here", ("-w", "1")), ("prism", ("--runner", "prism"))):
        output = tmp_path / name
        status = main(["run", "demo", "-i", str(tmp_path / "old.warc"), "-o", str(output), *how])
        assert status == 2
        told.append(capfd.readouterr().err.replace(f"{output}", "OUT").splitlines()[-1])
    assert told[0] == told[1]
    assert "ARC files are not read" in told[0]


@pytest.mark.prism
def test_a_job_server_that_dies_is_told_in_one_line(crawl: Path, tmp_path: Path) -> None:
    if not prism_program().is_file():
        pytest.skip(f"`make prism` has not built {prism_program()}")
    log, output = tmp_path / "log", tmp_path / "out"
    driver = start(run_command(crawl, output, "--runner", "prism", "-q", "--no-report"), log)
    wait_for(lambda: records(output, "extract"), driver, "the first part")
    for child in driver.children(recursive=True):
        if child.name() == "prism":
            child.kill()
    assert driver.wait(DEADLINE) == 1
    told = log.read_text()
    assert told.count("\n") == 1, told
    assert "the job server has ended with status" in told


@pytest.mark.flink
def test_flink_publishes_the_same(crawl: Path, here: Path, tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no java on the path")
    jar = flink_jar(FLINK, JOB_SERVER)
    if not jar.is_file():
        pytest.skip(f"`make flink` has not fetched {jar}")
    how = [
        "--runner", "flink", f"--flink_version={FLINK}", f"--flink_job_server_jar={jar}",
        "--flink_master=[local]", "--parallelism=2",
        # Forty short jobs: it is not worth compiling well what runs for seconds.
        "--job_server_jvm_properties=-XX:TieredStopAtLevel=1",
        "--job_server_jvm_properties=-XX:+UseSerialGC",
    ]  # fmt: skip
    assert run(crawl, tmp_path / "out", *how) == published(here)
    no_children()
    log = (tmp_path / "out" / "logs" / "workers.log").read_text()
    assert "org.apache.flink" in log


def test_only_asking_a_model_needs_its_library(crawl: Path, here: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    output = tmp_path / "out"
    # Answers of models count whichever run has made them.
    for name in ("commits/score", "tables/image_scores", "tables/text_embeddings"):
        (output / name).mkdir(parents=True)
        for path in sorted((here / name).glob("answers-*")):
            shutil.copy(path, output / name)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MODELS, "run", "demo", "-i", str(crawl), "-o", str(output),
         "-q", "--no-report", "-w", "1"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert published(output) == published(here)
