"""The import directions of ARCHITECTURE.md, file sizes and packaging, read from the sources."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400

# What of ours each package may import: a name allows itself and everything below it.
ALLOWED = {
    "schemas": ["schemas"],
    "transforms": ["transforms", "schemas"],
    "recaptioner": [
        "recaptioner",
        "schemas",
        "transforms.parts",
        "transforms.packs",
        "transforms.picture_feed",
        "transforms.score_plan",
        "transforms.scorers.files",
        "transforms.sink",
        "transforms.storage",
    ],
    "pipeline": ["pipeline", "recaptioner", "transforms", "schemas"],
    "trainer": ["trainer", "schemas", "transforms.resize"],
    "beam_runner": ["pipeline", "schemas.command_line", "schemas.errors"],
}
OURS = {*ALLOWED, "tests", "benchmarks"}
# Heavy libraries: named here once more where a package must not know them even inside a function.
MODELS = {"torch", "torchvision", "open_clip", "vllm", "transformers"}
NEVER = {"schemas": {"apache_beam", *MODELS}, "trainer": {"apache_beam"}}


def imported(nodes: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """Dotted names of the imports among the nodes themselves, not below them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node, f"{origin}.{alias.name}") for alias in node.names)


def run_at_import(node: ast.AST) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: no function, no `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from run_at_import(child)


def violations_of_file(path: Path, package: str, name: str) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    if (lines := len(source.splitlines())) > MAX_LINES:
        yield f"{name}: {lines} lines, more than {MAX_LINES}"
    tree = ast.parse(source)
    for node, target in imported([n for n in ast.walk(tree) if isinstance(n, ast.stmt)]):
        top = target.split(".")[0]
        if target.startswith("."):
            yield f"{name}:{node.lineno}: relative import"
        elif top in OURS:
            if not any(f"{target}.".startswith(f"{allowed}.") for allowed in ALLOWED[package]):
                yield f"{name}:{node.lineno}: {package} must not import {target}"
        elif top in NEVER.get(package, set()):
            yield f"{name}:{node.lineno}: {package} must not know {top}"
    if package != "trainer":
        for node, target in imported(list(run_at_import(tree))):
            if (top := target.split(".")[0]) in MODELS:
                yield f"{name}:{node.lineno}: {top} is imported at module level"


def violations(root: Path) -> list[str]:
    """Everything in a source tree that breaks the architecture, a line each."""
    found = []
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(config["tool"]["setuptools"]["packages"])
    for stray in sorted(listed & {"tests", "benchmarks"}):
        found.append(f"pyproject.toml: {stray} is listed as a package")
    for package in ALLOWED:
        files = sorted((root / package).rglob("*.py"))
        for folder in sorted({path.parent for path in files}):
            dotted = ".".join(folder.relative_to(root).parts)
            if dotted not in listed:
                found.append(f"pyproject.toml: the package {dotted} is not listed")
            if not (folder / "__init__.py").is_file():
                found.append(f"{dotted}: no __init__.py")
        for path in [*files, root / f"{package}.py"]:
            if path.is_file():
                found += violations_of_file(path, package, str(path.relative_to(root)))
    return found


def test_architecture_of_the_project_holds() -> None:
    assert violations(ROOT) == []


def test_every_listed_package_is_there() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in config["tool"]["setuptools"]["packages"]:
        assert (ROOT / Path(*package.split(".")) / "__init__.py").is_file(), package


def make_tree(root: Path, path: str, source: str) -> None:
    """A tree that obeys every rule, then one file more."""
    packages = [package for package in ALLOWED if package != "beam_runner"]
    (root / "pyproject.toml").write_text(f"[tool.setuptools]\npackages = {packages}\n")
    files = dict.fromkeys((f"{package}/__init__.py" for package in packages), "")
    for name, text in {**files, path: source}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


BROKEN = {
    "schemas import transforms": ("schemas/a.py", "import transforms.warc", "must not import"),
    "schemas know Beam": ("schemas/a.py", "def f():\n    import apache_beam", "must not know"),
    "schemas know torch": ("schemas/a.py", "def f():\n    from torch import nn", "must not know"),
    "transforms import pipeline": ("transforms/a.py", "import pipeline", "must not import"),
    "transforms import a test": ("transforms/a.py", "from tests import b", "must not import"),
    "recaptioner imports a step": (
        "recaptioner/a.py",
        "from transforms import warc",
        "recaptioner must not import transforms.warc",
    ),
    "recaptioner imports all transforms": (
        "recaptioner/a.py",
        "import transforms",
        "must not import transforms",
    ),
    "a longer name is another module": (
        "recaptioner/a.py",
        "import transforms.packs_of_wolves",
        "must not import",
    ),
    "pipeline imports trainer": (
        "pipeline/a.py",
        "def f():\n    from trainer import loop",
        "pipeline must not import trainer.loop",
    ),
    "trainer imports transforms": (
        "trainer/a.py",
        "from transforms.packs import read_image",
        "must not import",
    ),
    "trainer knows Beam": ("trainer/a.py", "import apache_beam as beam", "must not know"),
    "the command line skips pipeline": (
        "beam_runner.py",
        "from schemas import rows",
        "beam_runner must not import schemas.rows",
    ),
    "a model library at module level": ("transforms/a.py", "import torch", "at module level"),
    "a model library in a try": (
        "pipeline/a.py",
        "try:\n    from open_clip import tokenizer\nexcept ImportError:\n    pass",
        "open_clip is imported at module level",
    ),
    "a relative import": ("transforms/a.py", "from . import parts", "relative import"),
    "a long file": ("trainer/a.py", "x = 1\n" * (MAX_LINES + 1), "401 lines"),
    "a package nobody lists": ("trainer/data/__init__.py", "", "trainer.data is not listed"),
    "a folder that is no package": ("trainer/data/a.py", "", "no __init__.py"),
}
SOUND = {
    "pipeline imports its steps": ("pipeline/a.py", "from transforms import warc\nimport schemas"),
    "recaptioner imports the plumbing": ("recaptioner/a.py", "from transforms.parts import Part"),
    "a model library where it is used": ("transforms/a.py", "def f():\n    import torch"),
    "a model library for types only": (
        "transforms/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
    ),
    "trainer knows torch": ("trainer/a.py", "import torch"),
    "the command line catches errors": (
        "beam_runner.py",
        "from pipeline import run\nfrom schemas.errors import UserError",
    ),
    "a file of the full length": ("trainer/a.py", "x = 1\n" * MAX_LINES),
}


@pytest.mark.parametrize(("path", "source", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_violation_is_found(tmp_path: Path, path: str, source: str, message: str) -> None:
    make_tree(tmp_path, path, source)
    assert any(message in line for line in violations(tmp_path))


@pytest.mark.parametrize(("path", "source"), SOUND.values(), ids=SOUND.keys())
def test_sound_tree_has_no_violation(tmp_path: Path, path: str, source: str) -> None:
    make_tree(tmp_path, path, source)
    assert violations(tmp_path) == []


def test_tests_in_the_wheel_are_found(tmp_path: Path) -> None:
    make_tree(tmp_path, "tests/test_a.py", "")
    (tmp_path / "pyproject.toml").write_text("[tool.setuptools]\npackages = ['tests']\n")
    assert "pyproject.toml: tests is listed as a package" in violations(tmp_path)
