"""bootstrap.py: its decisions, and whole runs in a small project where uv is a recorded stand-in. No network."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60
"""More than a busy machine needs for any of it."""
# Whole runs must not depend on how much space the test machine has.
RUN = "import sys, bootstrap; bootstrap.INSTALL_BYTES = {'cpu': 0, 'gpu': 0}; sys.exit(bootstrap.main())"
SLOW = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "socket.connect")
"""What takes longer than a glance: Python announces each before it happens."""
WATCHED = f"""
import sys
def watch(event, _):
    if event in {SLOW}:
        print("did", event, flush=True)
sys.addaudithook(watch)
{RUN}
"""
FAKE_UV = """#!python
import json, os, pathlib, sys, time
with open(os.environ["FAKE_UV_CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
print("Resolved 1 package in 1ms\\n + spectui==0.1.0", flush=True)
behaviour = os.environ.get("FAKE_UV", "")
if behaviour == "hang":
    time.sleep(600)
if behaviour:
    sys.exit(behaviour)
pathlib.Path(sys.executable).with_name("spectui").touch()
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap: Any = load()


def write_fake_uv(directory: Path) -> None:
    """A wheel named uv whose program writes its arguments down and does what FAKE_UV says."""
    files = {
        "uv-0.99.0.data/scripts/uv": FAKE_UV,
        "uv-0.99.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: uv\nVersion: 0.99.0\n",
        "uv-0.99.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "uv-0.99.0.dist-info/RECORD"])
    directory.mkdir()
    with zipfile.ZipFile(directory / "uv-0.99.0-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, "uv-0.99.0.dist-info/RECORD": record}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            wheel.writestr(entry, text)


class Project:
    """A checkout with bootstrap.py, and its surroundings."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.wheels = folder / "wheels"
        self.calls_file = folder / "calls"
        (self.root / "requirements").mkdir(parents=True)
        shutil.copy(ROOT / "bootstrap.py", self.root)
        (self.root / "pyproject.toml").write_text("[project]\n")
        write_fake_uv(self.wheels)

    def command(self, *arguments: str, code: str = RUN) -> list[str]:
        return [sys.executable, "-c", code, *(arguments or ("--route", "cpu"))]

    def environment(self, behaviour: str = "") -> dict[str, str]:
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**os.environ, **pip, "FAKE_UV": behaviour, "FAKE_UV_CALLS": str(self.calls_file)}

    def run(self, behaviour: str = "", *arguments: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(*arguments, code=code), self.environment(behaviour)
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def hanging(self) -> subprocess.Popen[str]:
        """A run whose uv has begun and will not end."""
        command, environment = self.command(), self.environment("hang")
        process = subprocess.Popen(command, cwd=self.root, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if "Resolved 1 package" in line:
                return process
        raise AssertionError("it ended before uv began")

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def change_requirements(self) -> None:
        with (self.root / "pyproject.toml").open("a") as file:
            file.write("# changed\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    finished = made.run()
    assert finished.returncode == 0, finished.stderr
    assert [line for line in finished.stderr.splitlines() if line.startswith("[")] == [
        f"[1/4] Python {sys.version.split()[0]}, CPU route",
        f"[2/4] Creating {made.root}/.venv",
        "[3/4] Installing uv",
        "[4/4] Installing SpecTUI, its CPU engine and the test tools (compiling them comes last)",
    ]
    assert "Resolved 1 package" in finished.stderr
    assert "+ spectui" not in finished.stderr
    assert "+ spectui" in (made.root / ".venv" / bootstrap.LOG_NAME).read_text()
    return made


@pytest.mark.slow
def test_uv_installs_into_the_new_environment(project: Project) -> None:
    arguments = project.calls()[0]
    python = str(project.root / ".venv" / "bin" / "python")
    assert arguments[:5] == ["pip", "install", "--python", python, "--compile-bytecode"]
    assert arguments[-2:] == ["--editable", ".[cpu,test]"]
    assert "requirements/cpu-overrides.txt" in arguments
    assert arguments[arguments.index("--torch-backend") + 1] == "cpu"


@pytest.mark.slow
def test_a_ready_environment_is_left_alone_at_once(project: Project) -> None:
    """No process is started, no server asked: there is nothing to wait for."""
    project.change_requirements()
    assert "did subprocess.Popen" in project.run(code=WATCHED).stdout
    before = len(project.calls())
    finished = project.run(code=WATCHED)
    assert (finished.returncode, finished.stderr, finished.stdout) == (0, "", "")
    assert len(project.calls()) == before


@pytest.mark.slow
def test_changed_requirements_are_installed_into_the_same_environment(project: Project) -> None:
    before = len(project.calls())
    project.change_requirements()
    finished = project.run()
    assert finished.returncode == 0
    assert f"[2/4] Keeping {project.root}/.venv" in finished.stderr
    assert len(project.calls()) == before + 1


@pytest.mark.slow
def test_a_failed_step_is_one_sentence_and_can_be_repeated(project: Project) -> None:
    project.change_requirements()
    finished = project.run("error: Failed to fetch: `somewhere`")
    log = project.root / ".venv" / bootstrap.LOG_NAME
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1] == (
        "bootstrap: installation failed, the package index cannot be reached: check the network (or the proxy) and "
        f"repeat the command, what was downloaded is kept; details in {log}."
    )
    assert "Failed to fetch" in log.read_text()
    assert project.run().returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_child_and_can_be_repeated(project: Project, number: signal.Signals) -> None:
    project.change_requirements()
    process = project.hanging()
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == bootstrap.INTERRUPTED_EXIT
    assert errors.splitlines()[-1] == "bootstrap: interrupted; repeat the command to go on from here."
    assert project.run().returncode == 0


@pytest.mark.slow
def test_a_second_run_waits_for_the_first(project: Project) -> None:
    project.change_requirements()
    first = project.hanging()
    command, environment = project.command(), project.environment()
    second = subprocess.Popen(command, cwd=project.root, env=environment, stderr=subprocess.PIPE, text=True)
    assert second.stderr is not None
    assert second.stderr.readline() == f"Waiting for another bootstrap in {project.root}\n"
    first.terminate()
    first.communicate(timeout=PATIENCE_S)
    second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0


@pytest.mark.slow
def test_an_environment_without_pip_is_kept_and_gets_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.run("").returncode == 0
    marker = project.root / ".venv" / "marker"
    marker.touch()
    (project.root / ".venv" / bootstrap.STAMP_NAME).unlink()
    for pip in (project.root / ".venv" / "lib").glob("python*/site-packages/pip*"):
        shutil.rmtree(pip)
    finished = project.run("")
    assert (finished.returncode, marker.exists()) == (0, True), finished.stderr
    assert f"[2/4] Keeping {project.root}/.venv" in finished.stderr


@pytest.mark.slow
def test_a_forced_route_is_kept_and_makes_a_new_environment(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.run("", "--route", "gpu").returncode == 0
    assert project.calls()[-1][-4:] == [
        str(project.root / ".venv/bin/python"),
        "--compile-bytecode",
        "--editable",
        ".[gpu,test]",
    ]
    marker = project.root / ".venv" / "marker"
    marker.touch()
    finished = project.run("", "--route", "gpu")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"Creating {project.root}/.venv" in project.run("", "--route", "cpu").stderr
    assert not marker.exists()
    assert project.calls()[-1][-1] == ".[cpu,test]"


def test_the_key_follows_everything_that_changes_the_environment(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text("a")
    keys = [
        bootstrap.environment_key(tmp_path, route, python) for route in ("cpu", "gpu") for python in ("3.11", "3.12")
    ]
    (tmp_path / "requirements" / "cpu-overrides.txt").write_text("b")
    keys.append(bootstrap.environment_key(tmp_path, "cpu", "3.11"))
    (tmp_path / "pyproject.toml").write_text("c")
    keys.append(bootstrap.environment_key(tmp_path, "cpu", "3.11"))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_broken_stamp_counts_as_none(tmp_path: Path, content: str) -> None:
    assert bootstrap.read_stamp(tmp_path) == {}
    (tmp_path / bootstrap.STAMP_NAME).write_text(content)
    assert bootstrap.read_stamp(tmp_path) == {}


def test_pip_config_gives_each_option_once() -> None:
    output = ":env:.find-links='/one'\nglobal.find-links='/two'\nglobal.index-url='https://mirror'\nbroken\nx='"
    assert bootstrap.parse_pip_config(output) == {"find-links": "/one", "index-url": "https://mirror"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_a_torch_wheel_on_disk_is_used_when_it_fits(tmp_path: Path, name: str, found: bool) -> None:
    (tmp_path / name).touch()
    expected = tmp_path if found else None
    for places in (f"https://index /missing\n{tmp_path}", f"file://{tmp_path}"):
        assert bootstrap.torch_wheel_directory(places, "3.11", "x86_64") == expected


def test_install_arguments_of_both_routes() -> None:
    assert bootstrap.install_arguments("gpu", Path("/wheels")) == ["--compile-bytecode", "--editable", ".[gpu,test]"]
    with_wheel = bootstrap.install_arguments("cpu", Path("/wheels"))
    assert with_wheel[with_wheel.index("--find-links") + 1] == "/wheels"
    assert "--torch-backend" not in with_wheel


def test_uv_learns_pips_index_and_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    environment = bootstrap.uv_environment({"index-url": "https://mirror", "cert": "/ca.pem"})
    assert (environment["UV_DEFAULT_INDEX"], environment["SSL_CERT_FILE"]) == ("https://mirror", "/ca.pem")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own")
    assert bootstrap.uv_environment({"index-url": "https://mirror"})["UV_DEFAULT_INDEX"] == "https://own"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("error: failed to write: No space left on device (os error 28)", "the disk is full"),
        ("WARNING: Retrying after NewConnectionError(...)\nERROR: No matching distribution", "index cannot be reached"),
        ("  dns error: failed to lookup address information", "index cannot be reached"),
        ("  x No solution found when resolving:\n  there is no version of torch==2.13.0+cpu", "PIP_FIND_LINKS"),
        ("error: Permission denied (os error 13)", "permission was denied"),
        ("one\n\x1b[31mtwo\x1b[0m\n\n", "its last words were 'two'"),
        ("", "it said nothing"),
    ],
)
def test_failures_are_told_apart(output: str, reason: str) -> None:
    assert reason in bootstrap.failure_reason(output)


def checker(root: Path) -> Any:
    return bootstrap.Bootstrap(root, "cpu")


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_500_000_000))
    with pytest.raises(bootstrap.BootstrapError, match=r"needs 6 GB, but only 1\.5 GB are free: free some space"):
        checker(tmp_path).check_machine("cpu", complete=False)
    checker(tmp_path).check_machine("cpu", complete=True)


def test_a_missing_ensurepip_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bootstrap.BootstrapError, match=r"without venv and ensurepip: .*apt install python3\.\d+-venv"):
        checker(tmp_path).check_machine("cpu", complete=False)


def test_an_unwritable_checkout_is_one_sentence(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (project.root / ".venv").write_text("a file where the directory should be")
    finished = project.run()
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith(
        f"bootstrap: {project.root}/.venv cannot be used (Not a directory)"
    )


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("count", [0, 2])
def test_the_nvidia_driver_is_asked_for_its_devices(tmp_path: Path, count: int) -> None:
    source = tmp_path / "nvml.c"
    source.write_text(
        "int nvmlInit_v2(void) { return 0; } int nvmlShutdown(void) { return 0; }\n"
        f"int nvmlDeviceGetCount_v2(unsigned *n) {{ *n = {count}; return 0; }}\n"
    )
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    code = "import bootstrap; print(bootstrap.nvidia_devices())"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == str(count)


def test_an_unsupported_python_says_so(tmp_path: Path) -> None:
    source = (ROOT / "bootstrap.py").read_text().replace("SUPPORTED = (", "SUPPORTED = () and (", 1)
    (tmp_path / "bootstrap.py").write_text(source)
    answer = subprocess.run(
        [sys.executable, str(tmp_path / "bootstrap.py")], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13, but " in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
