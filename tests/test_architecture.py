"""The house as design says: who may import whom, which tool is named where, what a stage depends on."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from tests.conftest import ROOT
from vgan import config

MODULES = sorted([*(ROOT / "vgan").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
ENTRIES = {name: ROOT / "vgan" / name / "stage.py" for name in ("preprocess", "train", "evaluate")}
ENTRIES["sample"] = ROOT / "vgan" / "sample.py"

# Values come from params.yaml, which DVC tracks; these hold types, checks, sentences and bars, which no output shows.
PLUMBING = {"vgan/__init__.py", "vgan/config.py", "vgan/errors.py", "vgan/progress.py"}

# Each tool's one place (design: "each tool is named in one place").
PLACES = {
    "dask": {"vgan/preprocess/cluster.py"},
    "distributed": {"vgan/preprocess/cluster.py"},
    "ffmpeg": {"vgan/video/"},
    "imageio_ffmpeg": {"vgan/video/"},
    "mlflow": {"vgan/tracking.py", "vgan/registry.py", "vgan/registered_model.py"},
    "prefect": {"flows/"},
    "optuna": {"flows/"},
    "dvc": {"flows/"},
    "typer": {"vgan/cli.py", "vgan/cli_clips.py", "flows/"},
    "skvideo": set(),
}

# A room may import those to its left, and itself.
ORDER = [
    "video",
    "clips",
    "preprocess",
    "importers",
    "models",
    "train",
    "evaluate",
    "given",
    "sample",
    "tracking",
    "registry",
    "cli",
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Dotted names of everything that `path` imports, inside functions too."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(dotted: str) -> set[Path]:
    """The project's files that importing `dotted` (a module, or a name in one) loads directly."""
    found = set()
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:length])
        found |= {path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()}
    return found


def closure(path: Path) -> set[Path]:
    """`path` and every file of the project that it imports, directly or not."""
    seen: set[Path] = set()
    waiting = {path}
    while waiting:
        one = waiting.pop()
        seen.add(one)
        waiting |= {file for dotted in imported(one) for file in files_of(dotted)} - seen
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_code_dependencies_are_what_it_imports(stage: str) -> None:
    needed = {name_of(path) for path in closure(ENTRIES[stage])} - PLUMBING
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith("vgan/")}
    uncovered = {file for file in needed if not any(file == dep or file.startswith(f"{dep}/") for dep in named)}
    assert uncovered == set(), f"dvc.yaml: stage {stage} also runs these"
    idle = {dep for dep in named if not any(file == dep or file.startswith(f"{dep}/") for file in needed)}
    assert idle == set(), f"dvc.yaml: stage {stage} names what it does not import"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_name_is_its_command_and_its_section(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"vgan {stage}"
    assert STAGES[stage]["params"] == [stage]
    assert stage in config.Params.model_fields


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_tool_is_named_in_its_place_only(path: Path) -> None:
    for dotted in imported(path):
        tool = dotted.split(".")[0]
        if tool in PLACES:
            allowed = any(name_of(path) == place or name_of(path).startswith(place) for place in PLACES[tool])
            assert allowed, f"{name_of(path)} imports {dotted}; {tool} belongs in {sorted(PLACES[tool])}"


@pytest.mark.parametrize("path", sorted((ROOT / "vgan").rglob("*.py")), ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT / "vgan").parts[0].removesuffix(".py")
    for dotted in imported(path):
        parts = dotted.split(".")
        assert parts[0] not in ("flows", "tests", "benchmarks"), f"{name_of(path)} imports {dotted}"
        if parts[0] == "vgan" and len(parts) > 1 and parts[1] in ORDER and room in ORDER:
            assert ORDER.index(parts[1]) <= ORDER.index(room), f"{name_of(path)} imports {dotted}"


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after running `code` in a fresh interpreter."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_the_training_core_loads_no_orchestration() -> None:
    loaded = loaded_by("import vgan.train.stage, vgan.train.loop")
    assert "torch" in loaded
    assert loaded & {"prefect", "optuna", "mlflow", "dvc", "typer", "ffmpeg", "pandas"} == set()


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("import vgan.cli")
    assert loaded & {"torch", "numpy", "cv2", "scipy", "pyarrow", "mlflow", "prefect", "dvc", "ffmpeg"} == set()


def attributes_read() -> set[str]:
    places = [path for path in MODULES if name_of(path) != "vgan/config.py"]
    return {node.attr for path in places for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}


def test_every_params_key_is_read_by_code() -> None:
    sections = [field.annotation for field in config.Params.model_fields.values()]
    read = attributes_read()
    for section in sections:
        assert isinstance(section, type) and issubclass(section, BaseModel)
        for key in section.model_fields:
            assert key in read, f"{section.__name__}.{key} is set in params.yaml and read nowhere"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_stay_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
            # A command's options are given by name, one by one; a function's arguments have to be known together.
            command = any(ast.unparse(decorator).startswith("app.command") for decorator in node.decorator_list)
            assert len(names) <= (8 if command else 6), f"{node.name} takes {names}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_something(path: Path) -> None:
    assert path.stem not in ("utils", "util", "common", "helpers", "helper", "base", "misc")
    if path.name not in ("__init__.py", "__main__.py", "registered_model.py"):
        names = [
            ast.literal_eval(node.value)
            for node in tree(path).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert len(names) == 1, f"{name_of(path)} has no __all__"
        defined = {getattr(node, "name", "") for node in tree(path).body}
        assigned = [target for node in tree(path).body if isinstance(node, ast.Assign) for target in node.targets]
        defined |= {name.id for target in assigned for name in ast.walk(target) if isinstance(name, ast.Name)}
        defined |= {ast.unparse(node.target) for node in tree(path).body if isinstance(node, ast.AnnAssign)}
        assert set(names[0]) <= defined, f"{name_of(path)} offers what it does not define"


def functions_offered() -> list[tuple[str, ast.AST]]:
    return [
        (f"{name_of(path)}:{node.name}", node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def test_what_is_public_has_a_docstring() -> None:
    inner = {
        id(inside)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
        for inside in ast.walk(node)
        if inside is not node
    }
    bare = [
        name
        for name, node in functions_offered()
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and id(node) not in inner
        and ast.get_docstring(node) is None
        and not any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)
    ]
    assert bare == []
