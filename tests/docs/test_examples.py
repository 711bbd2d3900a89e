"""Every command line that the pages print is understood, and those that need neither a GPU nor a screen run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spectui.cli.main import COMMANDS, main
from spectui.cli.raster import png
from tests.docs.pages import PAGES, ROOT, blocks

TRACES = ROOT / "demos" / "traces"


def _words(line: str) -> list[str]:
    """A line as a shell hands it to the program, without its name."""
    words = shlex.split(line.partition(" < ")[0], comments=True)[1:]
    return words if words and words[0] in COMMANDS else ["run", *words]


LINES = {
    page: list(
        dict.fromkeys(
            line
            for text in [*blocks(page), *re.findall(r"\| `(spectui [^`]+)` \|$", PAGES[page], re.M)]
            for line in text.splitlines()
            if re.match(r"spectui\b", line)
        )
    )
    for page in PAGES
}
EVERY = list(dict.fromkeys(line for lines in LINES.values() for line in lines))


def test_the_pages_print_examples_of_every_command() -> None:
    assert {_words(line)[0] for line in LINES["docs/commands.md"]} == set(COMMANDS)
    assert len(LINES["README.md"]) > 8


@pytest.mark.parametrize("line", EVERY)
def test_an_example_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options are read up to ``--help``, and each value is checked as it is read."""
    with pytest.raises(SystemExit) as ended:
        main([*_words(line), "--help"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert capsys.readouterr().out.startswith(f"usage: spectui {_words(line)[0]} ")


def _runs_on_a_trace(line: str) -> bool:
    return _words(line)[0] in ("replay", "shot", "cast", "analyze") and "--script" not in line and "*" not in line


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in EVERY if _runs_on_a_trace(line)])
def test_an_example_on_a_trace_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ".png" in line and not _can_draw_png():
        pytest.skip("needs rsvg-convert or Chromium")
    # Exporting needs the ids of prompts, which the older of the two does not have.
    trace = "h100-synthetic" if "--export" in line else "coding"
    shutil.copy(TRACES / f"{trace}.jsonl", tmp_path / "run.jsonl")
    (tmp_path / "demos").symlink_to(ROOT / "demos")
    monkeypatch.chdir(tmp_path)
    assert main(_words(line)) == 0
    if (command := _words(line)[0]) not in ("replay", "analyze"):
        named = re.search(r"-o (\S+)", line)
        made = tmp_path / (named[1] if named else {"shot": "run.svg", "cast": "run.cast"}[command])
        assert made.stat().st_size > 1000


def _can_draw_png() -> bool:
    try:
        return bool(png('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'))
    except Exception:
        return False


def _races_the_demo(line: str) -> bool:
    """Those that say more than `spectui` and `spectui run < /dev/null`, which run in tests/session."""
    return _words(line)[0] == "run" and len(_words(line)) > 1 and not re.search(r"--model|--preset|FILE", line)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize("line", [line for line in LINES["README.md"] if _races_the_demo(line)])
def test_an_example_on_the_demo_model_runs(line: str, demo_model: Path, tmp_path: Path) -> None:
    """Without a terminal, and with short answers."""
    command = [sys.executable, "-m", "spectui", *_words(line), "--max-tokens", "8"]
    ran = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^ar +— +8 ", ran.stdout, re.M), ran.stdout
    if "--record" in line:
        assert (tmp_path / "run.jsonl").stat().st_size > 1000


def test_what_make_is_asked_for_it_can_do() -> None:
    named = {target for page in PAGES.values() for target in re.findall(r"(?:^|`)make ([a-z]+)", page, re.M)}
    assert {"demo", "test"} <= named
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert named <= targets


def test_the_lines_for_an_environment_of_ones_own_are_what_setup_does() -> None:
    import bootstrap

    text = "\n".join(blocks("docs/commands.md"))
    for route in ("cpu", "gpu"):
        arguments = bootstrap.install_arguments(route, None)
        line = next(line for line in text.splitlines() if f"'.[{route},test]'" in line)
        said = shlex.split(line)
        assert said[5:] == [word for word in arguments if word != "--compile-bytecode"], line
