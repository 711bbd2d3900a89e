"""Where the program's files lie: for a user with a home, without one, and what a tilde means."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from spectui import places
from spectui.cli import main as cli
from spectui.places import CACHE_VARIABLE, CONFIG_VARIABLE, LOG_VARIABLE, expanded, user_path
from spectui.runtime.logs import log_file
from spectui.runtime.scratch import temporary_folder
from spectui.runtime.threads import engine_environment
from spectui.sources.demo_model import wheel
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.sources.vllm.target import TargetError, find_target
from tests.trace.making import file_of, made_run

ROOT = Path(__file__).parents[2]
FAILSAFE_S = 60
VARIABLES = {
    CONFIG_VARIABLE: places.config_folder,
    CACHE_VARIABLE: places.cache_folder,
    LOG_VARIABLE: places.log_folder,
}
NAMES = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the test, and none of the variables that name a place."""
    for name in (*VARIABLES, *NAMES):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    return folder


@pytest.fixture
def homeless(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose number has no name: the folder that stands in for a home."""
    import pwd

    def unknown(*_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    return temporary / f"spectui-{os.getuid()}"


def test_with_a_home_everything_lies_there(temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.config_folder() == tmp_path / ".config" / "spectui"
    assert places.cache_folder() == tmp_path / ".cache" / "spectui"
    assert places.log_folder() == tmp_path / ".local" / "state" / "spectui" / "log"
    assert "HOME" not in places.substitutes()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_names_a_folder_and_a_tilde_in_it_a_home(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for value, folder in [
        ("~/mine", tmp_path / "mine"),
        ("~", tmp_path),
        ("mine", tmp_path / "mine"),
        ("/x", Path("/x")),
    ]:
        monkeypatch.setenv(variable, value)
        assert VARIABLES[variable]() == folder
    monkeypatch.setenv(variable, "~nobodyhere/mine")
    with pytest.raises(FileNotFoundError) as caught:
        VARIABLES[variable]()
    assert (caught.value.filename, caught.value.strerror) == (
        "~nobodyhere/mine",
        "no home folder for '~nobodyhere'",
    )


def test_without_a_home_everything_lies_in_a_temporary_one(homeless: Path) -> None:
    assert places.config_folder() == homeless / ".config" / "spectui"
    assert places.cache_folder() == homeless / ".cache" / "spectui"
    assert places.log_folder() == homeless / ".local" / "state" / "spectui" / "log"
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    assert log_file().is_relative_to(homeless)
    assert places.substitutes() == {"HOME": str(homeless), "USER": f"user-{os.getuid()}"}
    assert places.expanded("~/x") == Path("~/x")


def test_engines_get_a_home_and_a_name_and_say_why(homeless: Path) -> None:
    environment = engine_environment(2, {}, substitutes=places.substitutes())
    assert {"HOME": str(homeless), "USER": f"user-{os.getuid()}"}.items() <= environment.changes.items()
    assert all(setting.why for setting in environment.settings)
    on_a_gpu = engine_environment(2, {}, gpu=True, substitutes=places.substitutes())
    assert "HOME" in on_a_gpu.changes


def test_a_home_that_cannot_be_written_keeps_settings_and_models_go_elsewhere(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of the user ``nobody``, and of a number without a name in a container, whose home is ``/``."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    home = temporary / f"spectui-{os.getuid()}"
    assert places.config_folder() == tmp_path / "file" / ".config" / "spectui"
    assert places.cache_folder() == home / ".cache" / "spectui"
    assert log_file().parent == home / ".local" / "state" / "spectui" / "log"


def test_the_cache_of_a_user_without_a_home_outlives_the_run(
    homeless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While engines run, the temporary folder is one that goes with them."""
    monkeypatch.undo()
    for name in (*VARIABLES, *NAMES):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(homeless.parent))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = places.cache_folder()
    assert before == homeless / ".cache" / "spectui"
    with temporary_folder() as folder:
        assert folder is not None
        assert Path(tempfile.gettempdir()) == folder
        assert places.cache_folder() == before


def test_what_somebody_else_has_put_there_is_not_taken(homeless: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    homeless.symlink_to(tmp_path / "elsewhere")
    assert places.temporary_home() == homeless.with_name(f"{homeless.name}-2")
    assert places.temporary_home() == homeless.with_name(f"{homeless.name}-2")


def test_a_tilde_in_a_path_of_the_command_line_is_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path / "run.jsonl", made_run(7))
    assert cli.main(["shot", "~/run.jsonl", "-o", "~/new/run.txt"]) == 0
    assert (tmp_path / "new" / "run.txt").is_file()
    assert not (tmp_path / "~").exists()
    parse = cli.build_parser().parse_args
    home = str(tmp_path)
    run = parse(["run", "--record", "~/a", "--prompts", "~/b", "--script", "~/c"])
    assert [run.record, run.prompts, run.script] == [f"{home}/a", f"{home}/b", f"{home}/c"]
    assert parse(["replay", "~/a", "--script", "~/b"]).script == f"{home}/b"
    assert parse(["serve", "~/a"]).trace == parse(["cast", "~/a"]).trace == f"{home}/a"
    assert parse(["tune", "--prompts", "~/a"]).prompts == f"{home}/a"
    assert parse(["run", "--prompts", "-"]).prompts == "-"


@pytest.mark.parametrize(
    "words",
    [
        ["shot", "run.jsonl", "-o", "~nobodyhere/x.svg"],
        ["replay", "~nobodyhere/x"],
        ["run", "--record", "~nobodyhere/x"],
        ["run", "--script=~nobodyhere/x"],
        ["tune", "--prompts", "~nobodyhere/x"],
    ],
    ids=" ".join,
)
def test_a_home_that_is_not_there_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"spectui \w+: argument .*: '~nobodyhere/x.*': no home folder .*", line)


def test_models_and_drafters_may_have_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert find_target("~/model", lambda *_: None) == str(tmp_path / "model")
    assert parse_lane_spec("dflash:model=~/drafter,k=3").options["model"] == str(tmp_path / "drafter")
    monkeypatch.setenv(wheel.WHEEL_VARIABLE, "~/one.whl")
    assert wheel.user_wheel() == tmp_path / "one.whl"
    with pytest.raises(TargetError, match="model '~nobodyhere/x' was not found: no such folder"):
        find_target("~nobodyhere/x", lambda *_: None)
    assert expanded("~nobodyhere/x") == Path("~nobodyhere/x")
    assert user_path("./~/x") == Path("~/x")


UNSHARE = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
CASES = [
    ("shot {trace} -o {out}/run.txt", 0),
    ("cast {trace} -o {out}/run.cast --speed 50", 0),
    ("replay {trace} --headless", 0),
    ("doctor --json", None),
    ("run --model ~nobodyhere/x", 2),
    ("tune --model ~nobodyhere/x", 2),
    ("shot {trace} -o ~/run.svg", 2),
]


@pytest.mark.parametrize(("words", "code"), CASES, ids=[words for words, _ in CASES])
def test_a_user_without_a_name_and_a_home_gets_every_command(tmp_path: Path, words: str, code: int | None) -> None:
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("a user cannot be made up here")
    trace = file_of(tmp_path / "run.jsonl", made_run(7, 10, 1, 1))
    (tmp_path / "temporary").mkdir()
    filled = [word.format(trace=trace, out=tmp_path) for word in words.split()]
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "spectui", *filled],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        timeout=FAILSAFE_S,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in ((0, 1) if code is None else (code,)), done.stderr
    assert code != 2 or len(done.stderr.splitlines()) == 1
    assert "could not be checked" not in done.stdout
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("~")]
