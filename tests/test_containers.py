"""The container files, read as Docker reads them: no image is built here."""

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FILES = sorted((ROOT / "containers").glob("*.Dockerfile"))
INSTRUCTIONS = {"ARG", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "WORKDIR"}
BOOT = ["/opt/apache/beam/boot"]
Instruction = tuple[str, str]


def instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile: name and the rest, lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            assert name in INSTRUCTIONS, line
            found.append((name, rest.strip()))
    return found


def of(file: str) -> list[Instruction]:
    return instructions((ROOT / "containers" / f"{file}.Dockerfile").read_text("utf-8"))


def arguments(found: list[Instruction]) -> dict[str, str]:
    return dict(rest.split("=", 1) for name, rest in found if name == "ARG" and "=" in rest)


def sources(found: list[Instruction]) -> list[str]:
    """What is copied from this repository."""
    copies = [rest.split() for name, rest in found if name == "COPY" and "--from=" not in rest]
    return [source for copy in copies for source in copy[:-1]]


def is_sent(path: Path) -> bool:
    """Whether a file is in what `docker build` sends, by `.dockerignore`."""
    sent = True
    name = path.relative_to(ROOT).as_posix()
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if not pattern or line.startswith("#"):
            continue
        tails = [name, *(name[at + 1 :] for at, each in enumerate(name) if each == "/")]
        whole = tails if line.removeprefix("!").startswith("**/") else [name]
        if any(fnmatch(each, pattern) or each.startswith(f"{pattern}/") for each in whole):
            sent = line.startswith("!")
    return sent


def test_every_file_is_looked_at() -> None:
    assert [file.name.partition(".")[0] for file in FILES] == ["cpu", "gpu", "launcher"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_copied_is_there_and_is_sent(file: Path) -> None:
    found = sources(of(file.name.removesuffix(".Dockerfile")))
    assert found
    for source in found:
        path = ROOT / source
        assert path.exists(), source
        inside = [path] if path.is_file() else list(path.rglob("*.py"))
        assert [str(each) for each in inside if not is_sent(each)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_stages_are_named_before_they_are_copied_from(file: Path) -> None:
    named: set[str] = set()
    for name, rest in of(file.name.removesuffix(".Dockerfile")):
        if name == "FROM" and " AS " in rest:
            named.add(rest.split(" AS ")[1])
        if name == "COPY" and rest.startswith("--from="):
            assert rest.split()[0].removeprefix("--from=") in named


@pytest.mark.parametrize("file", ["cpu", "gpu"])
def test_workers_have_all_packages_of_the_project(file: str) -> None:
    copied = set(sources(of(file)))
    tools = PROJECT["tool"]["setuptools"]
    assert copied >= {name.split(".")[0] for name in tools["packages"]}
    assert copied >= {f"{name}.py" for name in tools["py-modules"]}
    assert copied >= {"setup.py", "pyproject.toml", PROJECT["project"]["readme"], "LICENSE"}


@pytest.mark.parametrize("file", ["cpu", "gpu"])
def test_beam_and_python_are_those_of_the_project(file: str) -> None:
    found = arguments(of(file))
    pins = {r.name: r for r in map(Requirement, PROJECT["project"]["dependencies"])}
    assert f"=={found['BEAM']}" == str(pins["apache-beam"].specifier)
    assert (
        f"Programming Language :: Python :: {found['PYTHON']}" in PROJECT["project"]["classifiers"]
    )
    images = [rest.split()[0] for name, rest in of(file) if name == "FROM"]
    assert images[0] == "apache/beam_python${PYTHON}_sdk:${BEAM}"
    assert all(image.startswith("python:${PYTHON}-") for image in images[1:])
    # One Debian: what is compiled in one stage runs in the next.
    assert len({image.rpartition("-")[2] for image in images[1:]}) == 1


@pytest.mark.parametrize("file", ["cpu", "gpu"])
def test_only_what_the_lock_names_is_installed(file: str) -> None:
    lock = {"cpu": "requirements/worker.txt", "gpu": "requirements/worker-gpu.txt"}[file]
    installs = [
        part
        for name, rest in of(file) if name == "RUN"
        for part in rest.split("&&") if "pip install" in part
    ]  # fmt: skip
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert f"--requirement {lock}" in installs[0]
    for install in installs:
        # A build in isolation would download what no lock names.
        assert {"--no-deps", "--no-build-isolation"} <= set(install.split())
    assert installs[1].split()[-1] == "."


def test_workers_are_started_by_beam_and_the_template_by_its_launcher() -> None:
    last = {file: of(file)[-1] for file in ("cpu", "gpu", "launcher")}
    assert {name for name, _ in last.values()} == {"ENTRYPOINT"}
    assert json.loads(last["cpu"][1]) == json.loads(last["gpu"][1]) == BOOT
    (launcher,) = json.loads(last["launcher"][1])
    assert any(launcher in rest for name, rest in of("launcher") if name == "COPY")
    script = next(rest.split("=")[1] for name, rest in of("launcher") if name == "ENV")
    assert any(rest.endswith(script) for name, rest in of("launcher") if name == "COPY")
    for file in ("cpu", "gpu"):
        assert ("COPY", "--from=beam /opt/apache/beam /opt/apache/beam") in of(file)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,0-9-]+\])?==(\S+)", text, re.MULTILINE))


def test_the_cpu_image_holds_no_model_library() -> None:
    held = set(pins("worker"))
    assert held.isdisjoint({"torch", "torchvision", "transformers", "vllm", "open-clip-torch"})
    assert held >= {"apache-beam", "google-cloud-dataflow-client", "gcsfs", "s3fs", "setuptools"}
    assert not [name for name in held if name.startswith("nvidia")]


def test_the_gpu_image_holds_models_and_cuda_and_all_of_the_cpu_image() -> None:
    cpu, gpu = pins("worker"), pins("worker-gpu")
    assert {"torch", "vllm", "open-clip-torch", "nvidia-cuda-runtime"} <= set(gpu)
    assert {name for name in cpu if gpu.get(name) != cpu[name]} == set()


def test_workers_compute_with_what_a_laptop_computes_with() -> None:
    laptop = pins("dev")
    for lock in ("worker", "worker-gpu"):
        other = {n: v for n, v in pins(lock).items() if n in laptop and laptop[n] != v}
        assert other == {}


def test_make_builds_all_images_of_this_version() -> None:
    result = subprocess.run(
        ["make", "-s", "-n", "images", "REGISTRY=registry.example/weft", "PUSH=1"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    version = PROJECT["project"]["version"]
    for file in FILES:
        name = file.name.partition(".")[0]
        assert f"-f containers/{file.name} -t registry.example/weft/weft-{name}:{version}" in (
            result.stdout
        )
    assert "docker push" in result.stdout
    without = subprocess.run(["make", "-s", "images"], cwd=ROOT, capture_output=True, text=True)
    assert without.returncode == 2
    assert "REGISTRY=" in without.stderr
