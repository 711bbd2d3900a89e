"""Makes `.venv` ready to run and test SpecTUI, with nothing installed before but Python and its venv module.

Four steps: check the machine, create `.venv`, install uv into it, install SpecTUI with uv. It may be interrupted and
repeated at any point, and does nothing when everything is in place. A failure ends in one sentence and exit code 1.
"""

import argparse
import ast
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

SUPPORTED = ((3, 11), (3, 12), (3, 13))
TORCH_CPU_VERSION = "2.13.0+cpu"
UV_REQUIREMENT = "uv>=0.8,<1"
STAMP_NAME = "spectui-bootstrap.json"
LOG_NAME = "spectui-bootstrap.log"
STEPS = 4
INSTALL_BYTES = {"cpu": 6_000_000_000, "gpu": 16_000_000_000}
UPDATE_BYTES = 1_000_000_000
INTERRUPTED_EXIT = 130


def find_supported_python() -> "str | None":
    """The path of a supported Python on the PATH that really starts, or None; any Python 3 can run this."""
    for major, minor in reversed(SUPPORTED):
        path = shutil.which(f"python{major}.{minor}")
        if path:
            probe = subprocess.Popen([path, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL)
            if probe.wait() == 0:
                return path
    return None


if __name__ == "__main__" and sys.version_info[:2] not in SUPPORTED:
    # Here and not in main(), because the annotations below mean nothing to an older Python.
    other = find_supported_python()
    if other:
        os.execv(other, [other, *sys.argv])
    sys.exit(
        f"bootstrap: SpecTUI needs Python 3.11, 3.12 or 3.13, but {sys.executable} is {platform.python_version()} and "
        "no other is on the PATH: install one and repeat the command, or name it with `make PYTHON=/path/to/python`."
    )


class BootstrapError(Exception):
    """A step cannot be done; the message is one sentence with what to do next."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived."""


# What this machine and this checkout are.


def nvidia_devices() -> int:
    """How many GPUs the NVIDIA driver counts; 0 when its library is missing or does not answer."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2() != 0:
            return 0
        count = ctypes.c_uint(0)
        status = library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return 0
    return count.value if status == 0 else 0


def environment_key(root: Path, route: str, python: str) -> str:
    """Changes whenever the installed environment would: place, route, Python, declared requirements."""
    digest = hashlib.sha256(f"{root}\n{route}\n{python}\n".encode())
    for path in [root / "pyproject.toml", *sorted((root / "requirements").glob("*.txt"))]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def read_stamp(venv: Path) -> dict[str, str]:
    """What an earlier run wrote into `.venv`; empty when there was none or it cannot be read."""
    try:
        content = json.loads((venv / STAMP_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
    """Replace the stamp in one rename."""
    temporary = venv / f"{STAMP_NAME}.new"
    temporary.write_text(json.dumps(stamp))
    temporary.replace(venv / STAMP_NAME)


# What pip knows and uv has to be told.


def parse_pip_config(output: str) -> dict[str, str]:
    """`pip config list` as option -> value, without sections; the environment, listed first, wins."""
    options: dict[str, str] = {}
    for line in output.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            with contextlib.suppress(ValueError, SyntaxError):
                options.setdefault(key.rpartition(".")[2], str(ast.literal_eval(value)))
    return options


def torch_wheel_directory(find_links: str, python: str, machine: str) -> Path | None:
    """The first local directory among `find_links` that holds the CPU wheel of torch for this Python and machine."""
    tag = "cp" + python.replace(".", "")
    for place in find_links.split():
        directory = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place).expanduser()
        with contextlib.suppress(OSError):
            for wheel in directory.iterdir():
                name = unquote(wheel.name)
                if name.startswith(f"torch-{TORCH_CPU_VERSION}-{tag}-") and name.endswith(f"{machine}.whl"):
                    return directory
    return None


def install_arguments(route: str, torch_directory: Path | None) -> list[str]:
    """The arguments of `uv pip install` for a route."""
    arguments = ["--compile-bytecode"]
    if route == "cpu":
        arguments += ["--override", "requirements/cpu-overrides.txt"]
        if torch_directory is None:
            arguments += ["--torch-backend", "cpu"]
        else:
            arguments += ["--find-links", str(torch_directory)]
    return [*arguments, "--editable", f".[{route},test]"]


def uv_environment(pip: dict[str, str]) -> dict[str, str]:
    """The environment for uv, which reads no pip configuration: pip's own index and certificate count for it too."""
    environment = {**os.environ}
    if "index-url" in pip and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & environment.keys():
        environment["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "cert" in pip:
        environment.setdefault("SSL_CERT_FILE", pip["cert"])
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    return environment


# Running a step and saying why it failed.

REASONS = (
    (
        r"No space left on device|os error 28\b|Errno 28\b|[Qq]uota exceeded",
        "the disk is full: free some space and repeat the command",
    ),
    (
        r"dns error|name resolution|error sending request|Failed to fetch|NewConnectionError|[Cc]onnection refused"
        r"|[Nn]etwork is unreachable|timed out|SSLError|ProxyError|Could not connect|tunnel error",
        "the package index cannot be reached: check the network (or the proxy) and repeat the command, what was "
        "downloaded is kept",
    ),
    (
        r"(?s)No solution found.*torch==",
        f"the CPU wheel of torch {TORCH_CPU_VERSION} was not found: put it into a directory, name that directory in "
        "PIP_FIND_LINKS and repeat the command",
    ),
    (r"Permission denied|os error 13\b", "permission was denied: check who owns .venv and uv's cache"),
)


def failure_reason(output: str) -> str:
    """What a step's output says about its failure, as the second half of a sentence."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    for pattern, reason in REASONS:
        if re.search(pattern, text):
            return reason
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its last words were {lines[-1][:200]!r}" if lines else "it said nothing"


def plain_lines(text: str) -> str:
    """The lines of uv's or pip's output that tell a reader of a log something."""
    lines = (line.rstrip() for line in text.splitlines())
    return "".join(f"      {line}\n" for line in lines if line and not re.match(r"\s*[+~-] ", line))


class Runner:
    """Runs the commands of the steps, shows their progress, keeps everything they print in the log."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self.log = log
        self.live = sys.stderr.isatty()

    def step(self, number: int, text: str) -> None:
        """Announce a step."""
        print(f"[{number}/{STEPS}] {text}", file=sys.stderr, flush=True)

    def run(self, command: list[str], purpose: str, environment: dict[str, str] | None = None) -> None:
        """Run a command to its end; raises BootstrapError when it fails."""
        started = time.monotonic()
        with self.log.open("ab", buffering=0) as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            status, output = self._run(command, log.fileno(), environment)
        if status != 0:
            raise BootstrapError(f"{purpose} failed, {failure_reason(output)}; details in {self.log}.")
        print(f"      {purpose}: done in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)

    def _run(self, command: list[str], log: int, environment: dict[str, str] | None) -> tuple[int, str]:
        # uv draws its progress only on a terminal, and the log needs the same bytes.
        reader, writer = pty.openpty() if self.live else os.pipe()
        if self.live:
            with contextlib.suppress(OSError):
                termios.tcsetwinsize(writer, termios.tcgetwinsize(2))
        try:
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
            )
        except OSError as error:
            message = f"{command[0]}: {error.strerror}\n"
            os.write(log, message.encode())
            return 127, message
        finally:
            os.close(writer)
        try:
            output = self._relay(reader, log)
            return process.wait(), output
        except BaseException:
            end(process)
            raise
        finally:
            os.close(reader)
            if self.live:
                os.write(2, b"\x1b[?25h")

    def _relay(self, reader: int, log: int) -> str:
        output = pending = b""
        while True:
            try:
                data = os.read(reader, 1 << 16)
            except OSError:
                # How a pseudo-terminal ends when its last writer is gone.
                data = b""
            if not data:
                return output.decode(errors="replace")
            output += data
            # A full disk may refuse the log, and its error has to reach the reader all the same.
            with contextlib.suppress(OSError):
                os.write(log, data)
            if self.live:
                os.write(2, data)
            else:
                complete, newline, pending = (pending + data).rpartition(b"\n")
                print(plain_lines((complete + newline).decode(errors="replace")), end="", file=sys.stderr, flush=True)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a child to end, then make it."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The steps.


class Bootstrap:
    """One run of the four steps in one checkout."""

    def __init__(self, root: Path, requested_route: str | None) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = "{}.{}".format(*sys.version_info[:2])
        self.requested_route = requested_route
        self.interpreter = str(self.venv / "bin" / "python")
        self.runner = Runner(root, self.venv / LOG_NAME)

    def route(self, stamp: dict[str, str]) -> str:
        """The route to install: as forced, else GPU when it is installed already or the driver counts a device."""
        forced = self.forced(stamp)
        if forced:
            return forced
        return "gpu" if stamp.get("route") == "gpu" or nvidia_devices() else "cpu"

    def forced(self, stamp: dict[str, str]) -> str:
        """The route that the user asked for and that later runs keep; empty when the machine decides."""
        asked = self.requested_route or stamp.get("forced", "")
        return "" if asked == "auto" else asked

    def ready(self) -> bool:
        """Whether an earlier run finished and nothing it depends on has changed."""
        stamp = read_stamp(self.venv)
        if not stamp.get("key") or not all((self.venv / "bin" / name).exists() for name in ("python", "spectui")):
            return False
        return stamp["key"] == environment_key(self.root, self.route(stamp), self.python)

    def run(self) -> None:
        """Do what is missing; raises BootstrapError."""
        if self.ready():
            return
        with self.only_one():
            if not self.ready():
                self.install()

    @contextlib.contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold the checkout's lock, which the kernel frees when this process ends."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Waiting for another bootstrap in {self.root}", file=sys.stderr, flush=True)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def install(self) -> None:
        """All four steps."""
        started = time.monotonic()
        stamp = read_stamp(self.venv)
        route = self.route(stamp)
        identity = {"root": str(self.root), "route": route, "python": self.python}
        usable = self.keep_environment(stamp, identity)
        self.check_machine(route, complete=usable and bool(stamp.get("key")))
        self.create_environment(usable)
        stamp = {**identity, "forced": self.forced(stamp)}
        write_stamp(self.venv, stamp)
        self.install_uv()
        pip = self.pip_config()
        torch = torch_wheel_directory(pip.get("find-links", ""), self.python, platform.machine())
        self.runner.step(
            4, f"Installing SpecTUI, its {route.upper()} engine and the test tools; compiling them ends it"
        )
        command = [str(self.venv / "bin" / "uv"), "pip", "install", "--python", self.interpreter]
        self.runner.run([*command, *install_arguments(route, torch)], "installation", uv_environment(pip))
        write_stamp(self.venv, {**stamp, "key": environment_key(self.root, route, self.python)})
        print(f"Ready after {time.monotonic() - started:.0f} s.", file=sys.stderr, flush=True)

    def check_machine(self, route: str, complete: bool) -> None:
        """Step 1: a system, a Python and a disk that can hold the environment."""
        self.runner.step(1, f"Python {platform.python_version()}, {route.upper()} route")
        if sys.platform != "linux":
            raise BootstrapError(f"SpecTUI runs on Linux, and this is {platform.system()}: use a Linux machine.")
        if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
            raise BootstrapError(
                f"{sys.executable} comes without venv and ensurepip: install the package that adds them (on Debian and "
                f"Ubuntu: apt install python{self.python}-venv) and repeat the command."
            )
        needed = UPDATE_BYTES if complete else INSTALL_BYTES[route]
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise BootstrapError(
                f"installing into {self.venv} needs {needed / 1e9:.0f} GB, but only {free / 1e9:.1f} GB are free: free "
                "some space and repeat the command."
            )

    def keep_environment(self, stamp: dict[str, str], identity: dict[str, str]) -> bool:
        """Whether the `.venv` that is here starts, has this Python, and was not made for another place or route."""
        if any(stamp.get(name, value) != value for name, value in identity.items()):
            return False
        probe = [self.interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(probe, capture_output=True, text=True, check=False)
        except OSError:
            return False
        return answer.returncode == 0 and answer.stdout.strip() == self.python

    def create_environment(self, usable: bool) -> None:
        """Step 2: `.venv` with pip, kept when it is usable."""
        self.runner.step(2, f"{'Keeping' if usable else 'Creating'} {self.venv}")
        if not usable and self.venv.exists():
            shutil.rmtree(self.venv)
        self.venv.mkdir(exist_ok=True)
        self.runner.log.write_bytes(b"")
        if not usable:
            # The interpreter behind a virtual environment, so that an active .venv can replace itself.
            base = getattr(sys, "_base_executable", sys.executable)
            self.runner.run([base, "-m", "venv", str(self.venv)], "creating .venv")
        elif subprocess.run([self.interpreter, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            self.runner.run([self.interpreter, "-m", "ensurepip", "--default-pip"], "adding pip to .venv")

    def install_uv(self) -> None:
        """Step 3: uv in `.venv`, the installer for everything else."""
        self.runner.step(3, "Installing uv")
        options = ["--disable-pip-version-check", "--no-input", "--quiet"]
        self.runner.run([self.interpreter, "-m", "pip", "install", *options, UV_REQUIREMENT], "installing uv")

    def pip_config(self) -> dict[str, str]:
        """What pip is configured to do here."""
        command = [self.interpreter, "-m", "pip", "config", "list"]
        return parse_pip_config(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def interrupt(signal_number: int, _frame: object) -> None:
    """Turn a signal into an exception, so that the running child is ended first."""
    raise Interrupted(signal_number)


def main() -> int:
    """Run the bootstrap of the checkout that holds this file; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make .venv ready to run and test SpecTUI.")
    parser.add_argument("--route", choices=["cpu", "gpu", "auto"], help="which engine to install, from now on")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        Bootstrap(Path(__file__).resolve().parent, arguments.route).run()
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"bootstrap: {error.filename or 'a file'} cannot be used ({error.strerror}): check its owner and the free "
            "space, and repeat the command.",
            file=sys.stderr,
        )
        return 1
    except Interrupted:
        print("\nbootstrap: interrupted; repeat the command to go on from here.", file=sys.stderr)
        return INTERRUPTED_EXIT
    return 0


if __name__ == "__main__":
    sys.exit(main())
