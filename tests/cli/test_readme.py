"""What the README says about the program is what the program says."""

from __future__ import annotations

import re
from pathlib import Path

from spectui.cli.main import COMMANDS, build_parser
from spectui.sources.vllm.lane_spec import TITLES
from spectui.ui.actions import keys_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TAKE_A_TRACE = ("replay", "shot", "cast", "serve")


def test_the_keys_are_the_registrys() -> None:
    written = re.search(r"<!-- keys.*?-->\n(.*?)\n<!-- /keys -->", README, re.S)
    assert written is not None
    assert written[1].strip() == keys_table().strip()


def test_every_path_that_it_names_exists() -> None:
    named = set(re.findall(r"`((?:spectui|themes|requirements|docs|demos)/[\w/.]*|bootstrap\.py|Makefile)`", README))
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_command_and_method_that_it_names_exists() -> None:
    commands = re.findall(r"^### .*?`spectui (\w+)`", README, re.M)
    assert commands
    for command in commands:
        options = build_parser().parse_args([command, *(["TRACE"] if command in TAKE_A_TRACE else [])])
        assert options.name == command
    named = re.search(r"`ar` is plain .*?`speculative_config`: (.*?)\.\s", README, re.S)
    assert named is not None
    assert ["ar", *re.findall(r"`(\w+)`", named[1])] == list(TITLES)


def test_its_example_lines_parse() -> None:
    lines = re.findall(rf"^spectui( (?:{'|'.join(COMMANDS)}))?((?: [^#<\n]+)?)", README, re.M)
    for command, rest in lines:
        build_parser().parse_args([(command or "run").strip(), *rest.split()])
