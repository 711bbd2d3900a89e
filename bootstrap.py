"""Makes `.venv` ready to run and test SpecTUI, with nothing installed before but Python and its venv module.

Four steps: check the machine, create `.venv`, install uv into it, install SpecTUI with uv. It can be interrupted and
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
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

SUPPORTED = ((3, 11), (3, 12), (3, 13))
TORCH_CPU_VERSION = "2.13.0+cpu"
UV_REQUIREMENT = "uv>=0.8,<1"
STAMP_NAME, LOG_NAME = "spectui-bootstrap.json", "spectui-bootstrap.log"
INSTALL_BYTES, UPDATE_BYTES = {"cpu": 6_000_000_000, "gpu": 16_000_000_000}, 1_000_000_000
INTERRUPTED_EXIT = 130
NETWORK = (
    r"dns error|name resolution|error sending request|Failed to fetch|NewConnectionError|[Cc]onnection refused"
    r"|[Nn]etwork is unreachable|timed out|SSLError|ProxyError|Could not connect|tunnel error"
)
REASONS = {
    r"No space left on device|os error 28\b|Errno 28\b|[Qq]uota exceeded": "the disk is full: free some space and "
    "repeat the command",
    NETWORK: "the package index cannot be reached: check the network (or the proxy) and repeat the command, what was "
    "downloaded is kept",
    r"(?s)No solution found.*torch==": f"the CPU wheel of torch {TORCH_CPU_VERSION} was not found: put it into a "
    "directory, name that directory in PIP_FIND_LINKS and repeat the command",
    r"Permission denied|os error 13\b": "permission was denied: check who owns .venv and uv's cache",
}
"""What a failed command's output tells about the cause, as the second half of a sentence."""

if __name__ == "__main__" and sys.version_info[:2] not in SUPPORTED:
    # Here and not in main(), because the annotations below mean nothing to an older Python.
    for version in reversed(SUPPORTED):
        other = shutil.which("python{}.{}".format(*version))
        if other and subprocess.call([other, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL) == 0:
            os.execv(other, [other, *sys.argv])
    sys.exit(
        f"bootstrap: SpecTUI needs Python 3.11, 3.12 or 3.13, but {sys.executable} is {platform.python_version()} and "
        "no other is on the PATH: install one and repeat the command, or name it with `make PYTHON=/path/to/python`."
    )


class BootstrapError(SystemExit):
    """A step cannot be done: ends the program with exit code 1 and one sentence that says what to do next."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"bootstrap: {sentence}")


def say(text: str) -> None:
    """Tell the user."""
    print(text, file=sys.stderr, flush=True)


def nvidia_devices() -> int:
    """How many GPUs the NVIDIA driver reports; 0 when its library is missing or does not answer."""
    count = ctypes.c_uint(0)
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2() == 0 and library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0:
            return count.value
    return 0


def environment_key(root: Path, route: str, python: str) -> str:
    """Changes whenever the installed environment would: place, route, Python, declared requirements."""
    digest = hashlib.sha256(f"{root}\n{route}\n{python}\n".encode())
    for path in [root / "pyproject.toml", *sorted((root / "requirements").glob("*.txt"))]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def read_stamp(venv: Path) -> dict[str, str]:
    """What an earlier run wrote into `.venv`; empty when there was none or it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads((venv / STAMP_NAME).read_text())
        return content if isinstance(content, dict) else {}
    return {}


def parse_pip_config(output: str) -> dict[str, str]:
    """`pip config list` as option -> value, without sections; the environment, listed first, wins."""
    options: dict[str, str] = {}
    for key, value in re.findall(r"^(.+?)=(.*)$", output, re.M):
        with contextlib.suppress(ValueError, SyntaxError):
            options.setdefault(key.rpartition(".")[2], str(ast.literal_eval(value)))
    return options


def torch_wheel_directory(find_links: str, python: str, machine: str) -> Path | None:
    """The first local directory among `find_links` that holds the CPU wheel of torch for this Python and machine."""
    wheel = re.compile(rf"torch-{re.escape(TORCH_CPU_VERSION)}-cp{python.replace('.', '')}-.*{machine}\.whl")
    for place in find_links.split():
        directory = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place).expanduser()
        with contextlib.suppress(OSError):
            if any(wheel.fullmatch(unquote(path.name)) for path in directory.iterdir()):
                return directory
    return None


def install_arguments(route: str, torch_directory: Path | None) -> list[str]:
    """The arguments of `uv pip install` for a route."""
    torch = ["--find-links", str(torch_directory)] if torch_directory else ["--torch-backend", "cpu"]
    cpu = ["--override", "requirements/cpu-overrides.txt", *torch] if route == "cpu" else []
    return ["--compile-bytecode", *cpu, "--editable", f".[{route},test]"]


def uv_environment(pip: dict[str, str]) -> dict[str, str]:
    """The environment for uv, which reads no pip configuration: pip's own index and certificate count for it too."""
    environment = {"UV_HTTP_TIMEOUT": "120", **os.environ}
    if "index-url" in pip and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & environment.keys():
        environment["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "cert" in pip:
        environment.setdefault("SSL_CERT_FILE", pip["cert"])
    return environment


def failure_reason(output: str) -> str:
    """Why a command failed, from its output, as the second half of a sentence."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).strip()
    found = next((reason for pattern, reason in REASONS.items() if re.search(pattern, text)), "")
    return found or (f"its last words were {text.splitlines()[-1].strip()[:200]!r}" if text else "it said nothing")


class Bootstrap:
    """One run of the four steps in one checkout."""

    def __init__(self, root: Path, requested_route: str | None) -> None:
        self.root, self.venv, self.log = root, root / ".venv", root / ".venv" / LOG_NAME
        self.python, self.requested_route = "{}.{}".format(*sys.version_info[:2]), requested_route
        self.interpreter = str(self.venv / "bin" / "python")

    def wanted(self, stamp: dict[str, str]) -> dict[str, str]:
        """What `.venv` should be. ``forced`` is the route that the user asked for, which later runs keep.

        If nobody asked, it is the GPU's when that is installed already or the driver reports a device.
        """
        forced = (self.requested_route or stamp.get("forced", "")).replace("auto", "")
        route = forced or ("gpu" if stamp.get("route") == "gpu" or nvidia_devices() else "cpu")
        return {"root": str(self.root), "route": route, "python": self.python, "forced": forced}

    def ready(self) -> bool:
        """Whether an earlier run finished and nothing that it depends on has changed."""
        stamp = read_stamp(self.venv)
        complete = "key" in stamp and all((self.venv / "bin" / name).exists() for name in ("python", "spectui"))
        return complete and stamp["key"] == environment_key(self.root, self.wanted(stamp)["route"], self.python)

    def run(self) -> None:
        """Do what is missing, one process at a time."""
        if self.ready():
            return
        # The kernel frees the lock when this process ends.
        lock = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another bootstrap in {self.root}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not self.ready():
            self.install()

    def install(self) -> None:
        """All four steps."""
        stamp = read_stamp(self.venv)
        wanted = self.wanted(stamp)
        route = wanted["route"]
        same = all(stamp.get(name, wanted[name]) == wanted[name] for name in ("root", "route", "python"))
        usable = same and self.starts()
        self.check_machine(route, complete=usable and "key" in stamp)
        say(f"[2/4] {'Keeping' if usable else 'Creating'} {self.venv}")
        if not usable and self.venv.exists():
            shutil.rmtree(self.venv)
        self.venv.mkdir(exist_ok=True)
        self.log.write_bytes(b"")
        if not usable:
            # The interpreter behind a virtual environment, so that an active .venv can replace itself.
            self.do("creating .venv", [getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(self.venv)])
        elif subprocess.run([self.interpreter, "-c", "import pip"], capture_output=True).returncode:
            self.do("adding pip to .venv", [self.interpreter, "-m", "ensurepip", "--default-pip"])
        self.write_stamp(wanted)
        say("[3/4] Installing uv")
        pip = [self.interpreter, "-m", "pip"]
        quietly = ["--disable-pip-version-check", "--no-input", "--quiet"]
        self.do("installing uv", [*pip, "install", *quietly, UV_REQUIREMENT])
        say(f"[4/4] Installing SpecTUI, its {route.upper()} engine and the test tools (compiling them comes last)")
        config = parse_pip_config(subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout)
        torch = torch_wheel_directory(config.get("find-links", ""), self.python, platform.machine())
        uv = [str(self.venv / "bin" / "uv"), "pip", "install", "--python", self.interpreter]
        self.do("installation", [*uv, *install_arguments(route, torch)], uv_environment(config))
        self.write_stamp({**wanted, "key": environment_key(self.root, route, self.python)})
        say("Ready.")

    def starts(self) -> bool:
        """Whether `.venv` has a Python of this version that starts."""
        probe = [self.interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        with contextlib.suppress(OSError):
            return subprocess.run(probe, capture_output=True, text=True).stdout.strip() == self.python
        return False

    def write_stamp(self, stamp: dict[str, str]) -> None:
        """Replace the stamp in one rename."""
        temporary = self.venv / f"{STAMP_NAME}.new"
        temporary.write_text(json.dumps(stamp))
        temporary.replace(self.venv / STAMP_NAME)

    def check_machine(self, route: str, complete: bool) -> None:
        """Step 1: a system, a Python and a disk that can hold the environment."""
        say(f"[1/4] Python {platform.python_version()}, {route.upper()} route")
        if sys.platform != "linux":
            raise BootstrapError(f"SpecTUI runs on Linux, and this is {platform.system()}: use a Linux machine.")
        if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            raise BootstrapError(
                f"{sys.executable} comes without venv and ensurepip: install the package that adds them (on Debian and "
                f"Ubuntu: apt install python{self.python}-venv) and repeat the command."
            )
        needed, free = UPDATE_BYTES if complete else INSTALL_BYTES[route], shutil.disk_usage(self.root).free
        if free < needed:
            raise BootstrapError(
                f"installing into {self.venv} needs {needed / 1e9:.0f} GB, but only {free / 1e9:.1f} GB are free: free "
                "some space and repeat the command."
            )

    def do(self, purpose: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Run a command; its output goes to the log, and what matters of it to the user. It ends with this process."""
        output, pipe, null = b"", subprocess.PIPE, subprocess.DEVNULL
        with self.log.open("ab", buffering=0) as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdin=null, stdout=pipe, stderr=subprocess.STDOUT
            )
            try:
                for line in process.stdout or ():
                    output += line
                    # A full disk may refuse the log, and its error has to reach the reader all the same.
                    with contextlib.suppress(OSError):
                        log.write(line)
                    if re.match(rb"\s*[^\s+~-]", line):
                        say(f"      {line.decode(errors='replace').rstrip()}")
                status = process.wait()
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()
        if status:
            reason = failure_reason(output.decode(errors="replace"))
            raise BootstrapError(f"{purpose} failed, {reason}; details in {self.log}.")


def main() -> int:
    """Run the bootstrap of the checkout that holds this file; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make .venv ready to run and test SpecTUI.")
    parser.add_argument("--route", choices=["cpu", "gpu", "auto"], help="which engine to install, from now on")
    route = parser.parse_args().route
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        Bootstrap(Path(__file__).resolve().parent, route).run()
    except OSError as error:
        what = f"{error.filename or 'a file'} cannot be used ({error.strerror})"
        raise BootstrapError(f"{what}: check its owner and the free space, and repeat the command.") from None
    except KeyboardInterrupt:
        say("\nbootstrap: interrupted; repeat the command to go on from here.")
        return INTERRUPTED_EXIT
    return 0


if __name__ == "__main__":
    sys.exit(main())
