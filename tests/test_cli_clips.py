"""`vgan clips`: what it prints, writes and answers."""

import json
from pathlib import Path

import pytest

from tests.footage_factory import filmed, scene, shake
from tests.test_cli import edit, project, vgan
from vgan.video import write_video

__all__ = ["project"]


@pytest.mark.parametrize("command", ["stats", "picture", "verify"])
def test_every_command_has_an_example_and_says_what_comes_first(project: Path, command: str) -> None:
    answer = vgan(project, "clips", command, "--help")
    assert answer.returncode == 0 and f"`vgan clips {command}" in answer.stdout
    answer = vgan(project, "clips", command)
    assert answer.returncode == 2 and "run `vgan preprocess`" in answer.stderr and "Traceback" not in answer.stderr


def test_a_folder_is_looked_at_drawn_verified_and_mended(project: Path) -> None:
    (project / "data/raw/pan").mkdir(parents=True)
    write_video(project / "data/raw/pan/one.mp4", filmed(scene(0), shake(60, 0, shift=0.5)), 25)
    edit(project, "stride: 2 ", "stride: 8 ")
    assert vgan(project, "preprocess").returncode == 0
    found = json.loads(vgan(project, "clips", "stats", "--json").stdout)
    assert found["labels"].keys() == {"pan"} and sum(found["clips"].values()) > 0
    text = vgan(project, "clips", "stats").stdout
    assert "pan" in text and "psnr_after" in text
    assert vgan(project, "clips", "picture", "--into", "look.png").stdout.strip() == "look.png"
    assert (project / "look.png").read_bytes() == (project / "data/clips/overview/clips.png").read_bytes()
    assert vgan(project, "clips", "verify").stdout.strip() == "data/clips is whole"
    shard = next((project / "data/clips/shards").iterdir())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"x")
    answer = vgan(project, "clips", "verify")
    assert answer.returncode == 1 and f"{shard.name} is damaged" in answer.stderr and "--repair" in answer.stderr
    answer = vgan(project, "clips", "verify", "--repair")
    assert answer.returncode == 0 and "data/clips is whole" in answer.stdout and shard.read_bytes() == whole
