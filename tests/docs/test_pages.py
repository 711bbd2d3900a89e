"""What the pages name is there: paths, links, keys, commands with their options, lane methods, theme keys."""

from __future__ import annotations

import argparse
import importlib.util
import re

import pytest

from spectui.cli.main import COMMANDS, build_parser
from spectui.setup.options import add_engine_options
from spectui.sources.vllm.lane_spec import TITLES
from spectui.ui.actions import keys_table
from spectui.ui.talk.script import parse_script
from spectui.ui.theme.files import shipped_themes
from tests.docs.pages import PAGES, ROOT, anchors, blocks, section

COMMANDS_PAGE = "docs/commands.md"
ROOTS = "spectui|tests|themes|requirements|docs|demos"


def test_the_keys_are_the_registrys() -> None:
    written = re.search(r"<!-- keys.*?-->\n(.*?)\n<!-- /keys -->", PAGES["docs/keys.md"], re.S)
    assert written is not None
    assert written[1].strip() == keys_table().strip()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_it_names_exists(page: str) -> None:
    """A name alone, as in "`spectui/core/cost.py`, `paired.py`", is a file beside the one before it."""
    missing, folder = [], ROOT
    for line in PAGES[page].splitlines():
        for code in re.findall(r"`([^`]+)`", line):
            if re.fullmatch(rf"(?:{ROOTS})/[\w/.-]*|bootstrap\.py|Makefile", code):
                path = ROOT / code
                folder = path if code.endswith("/") else path.parent
            elif page == "docs/architecture.md" and re.fullmatch(r"\w+\.py", code):
                path = folder / code
            else:
                continue
            if not path.exists():
                missing.append(code)
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        known = str(target.resolve().relative_to(ROOT))
        if not target.exists() or (anchor and anchor not in anchors(known)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_it_runs_exists(page: str) -> None:
    for module in re.findall(r"python -m ([\w.]+)", PAGES[page]):
        assert importlib.util.find_spec(module), module


def test_the_readme_lists_every_command_and_says_what_the_program_says() -> None:
    listed = re.findall(r"^\| \[`spectui (\w+)`\]\(docs/commands\.md#spectui-\w+\) \|", PAGES["README.md"], re.M)
    assert listed == list(COMMANDS)


def _flags(parser: argparse.ArgumentParser) -> set[str]:
    hidden = argparse.SUPPRESS
    actions = (action for action in parser._actions if action.help is not hidden and action.dest != "help")
    return {flag for action in actions for flag in action.option_strings if flag.startswith("--")}


def _flags_of(command: str) -> set[str]:
    root = build_parser()
    commands = next(action.choices for action in root._actions if isinstance(action, argparse._SubParsersAction))
    return _flags(commands[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_a_command_are_all_explained_and_no_others(command: str) -> None:
    shared = argparse.ArgumentParser()
    add_engine_options(shared)
    starts_engines = command in ("run", "plan", "bench", "tune", "calibrate", "doctor")
    own = _flags_of(command) - (_flags(shared) if starts_engines else set())
    text = section(COMMANDS_PAGE, f"`spectui {command}`")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    assert own <= set(re.findall(r"--[a-z][a-z-]*", prose))
    assert set(re.findall(r"--[a-z][a-z-]*", text)) <= own | _flags_of("run") | _flags_of(command)


def test_the_shared_options_are_all_explained() -> None:
    shared = argparse.ArgumentParser()
    add_engine_options(shared)
    rows = "\n".join(re.findall(r"^\| (`--.*?) \|", section(COMMANDS_PAGE, "Engine options"), re.M))
    assert set(re.findall(r"--[a-z][a-z-]*", rows)) == _flags(shared)


def test_the_methods_of_a_lane_are_all_named() -> None:
    named = re.search(r"`ar` is plain .*?`speculative_config`: (.*?)\.\s", section(COMMANDS_PAGE, "Lanes"), re.S)
    assert named is not None
    assert ["ar", *re.findall(r"`(\w+)`", named[1])] == list(TITLES)


def test_the_themes_that_ship_are_all_named() -> None:
    named = re.findall(r"^\| `([\w-]+)` \|", section("docs/themes.md", "Themes that ship"), re.M)
    assert sorted(named) == sorted(shipped_themes())


def test_the_talk_that_it_shows_can_be_given() -> None:
    shown = blocks("docs/presenting.md", "toml")
    assert shown
    for text in shown:
        assert parse_script(text, "the page's").scenes


def test_the_keys_of_a_scene_are_all_named() -> None:
    from spectui.ui.talk.script import _readers

    rows = re.findall(r"^\| (`.*?) \|", section("docs/presenting.md", "Talks"), re.M)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(_readers((), ()))


def test_the_presets_that_it_shows_can_be_used() -> None:
    from spectui.setup.presets.known import shipped_presets
    from spectui.setup.presets.reading import made, read_tables

    [shown] = blocks(COMMANDS_PAGE, "toml")
    tables = read_tables(shown, "the page's")
    assert [made(table, shipped_presets(), "the page's", yours=True).name for table in tables] == ["ours", "small"]


def test_the_keys_of_a_preset_are_all_named() -> None:
    from spectui.setup.presets.reading import _KINDS, _LANE_KEYS

    rows = re.findall(r"^\| .*$", section(COMMANDS_PAGE, "`spectui presets`"), re.M)
    named = set(re.findall(r"`([\w.\[\]]+)`", " ".join(rows))) - {"max_model_len"}
    assert named == {*_KINDS, *_LANE_KEYS, "[[preset.lane]]"} - {"lane"}
