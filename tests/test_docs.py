"""What the documents say is there, and what is there is in the documents."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.conftest import ROOT
from vgan import config
from vgan.cli import app

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
README = TEXT[ROOT / "README.md"]
MAKE_TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group


def shell_lines(text: str) -> list[str]:
    """The commands of a document's ```sh blocks, comments and continuation cut off."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split("&&")]


def exists(words: list[str]) -> bool:
    """Whether what a document tells to type is there: the target, the command with its options, the module."""
    program = Path(words[0]).name
    if program == "make":
        return {word for word in words[1:] if "=" not in word} <= MAKE_TARGETS
    if program == "vgan":
        command, words = COMMANDS.get(words[1]), words[1:]
        while len(words) > 1 and words[1] in getattr(command, "commands", {}):
            command, words = command.commands[words[1]], words[1:]  # type: ignore[union-attr]
        if hasattr(command, "commands") and not words[-1].startswith("--") and len(words) > 1:
            return False  # a group has no arguments
        options = {option for parameter in command.params for option in parameter.opts} if command else set()
        return command is not None and {word for word in words[1:] if word.startswith("--")} <= options
    if program == "torchrun":
        return exists(words[words.index("-m") + 1 :])
    if program == "python" and words[1] == "-m":
        return (ROOT / (words[2].replace(".", "/") + ".py")).exists()
    if program == "dvc":
        return words[1] in {"add", "repro", "metrics", "plots", "dag", "status", "pull", "push"}
    return program in {"source", "rm", "mkdir", "cp", "cd", "git", "pre-commit"}


@pytest.mark.parametrize(
    ("path", "line"), [(path.name, line) for path in DOCUMENTS for line in shell_lines(TEXT[path])]
)
def test_every_command_in_a_document_exists(path: str, line: str) -> None:
    assert exists(shlex.split(line)), f"{path}: {line}"


@pytest.mark.parametrize(
    "line",
    [
        "make runn",
        "vgan trian",
        "vgan clips verifi",
        "vgan clips verify --repare",
        "vgan preset demo --forse",
        "python -m flows.nothing",
        "dvc reproduce",
        "curl x",
    ],
)
def test_a_dead_command_would_be_noticed(line: str) -> None:
    assert not exists(shlex.split(line))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_of_vgan_is_in_the_readme(command: str) -> None:
    assert re.search(rf"\b{command}\b", README)


def test_every_make_target_is_documented() -> None:
    listed = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert listed == MAKE_TARGETS
    everything = "\n".join(TEXT.values())
    assert {target for target in MAKE_TARGETS if f"make {target}" not in everything} <= {"bench", "clean", "help"}


def test_every_params_key_is_documented_in_its_section_and_none_else() -> None:
    sections = re.split(r"^## ", TEXT[ROOT / "docs" / "parameters.md"], flags=re.M)[1:]
    documented = {
        section.splitlines()[0]: {
            key
            for line in section.splitlines()
            if line.startswith("| `")
            for key in re.findall(r"`(\w+)`", line.split("|")[1])
        }
        for section in sections
    }
    schema = {name: set(field.annotation.model_fields) for name, field in config.Params.model_fields.items()}  # type: ignore[union-attr]
    assert documented == schema


def test_every_preset_is_documented() -> None:
    presets = {path.stem for path in (ROOT / "presets").glob("*.yaml")}
    table = TEXT[ROOT / "docs" / "parameters.md"].split("## preprocess")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == presets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT[path]):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_the_tree_in_the_readme_is_the_tree() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    inside = {path.relative_to(ROOT / "vgan").parts[0] for path in (ROOT / "vgan").glob("*") if path.is_dir()}
    for room in inside - {"__pycache__"}:
        assert f"  {room}/" in tree, f"vgan/{room} is missing"
    for name in re.findall(r"^(?:  )?([\w.]+(?:\.py|\.yaml|/))", tree, re.M):
        assert (ROOT / name).exists() or (ROOT / "vgan" / name).exists(), name


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 120
