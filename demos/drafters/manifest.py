"""What each stage used, in one JSON file that is committed beside the weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spectui.sources.hardware import cpu_dtype, machine_name, software_versions

FILE = "manifest.json"


def record(root: Path, stage: str, *, seconds: float, **facts: Any) -> None:
    """Put a stage's facts into the manifest; its seconds add up over its runs, its other facts are the newest."""
    path = root / FILE
    content = read(root)
    stages = content.setdefault("stages", {})
    before = stages.get(stage, {}).get("seconds", 0.0)
    stages[stage] = {**facts, "dtype": cpu_dtype(), "machine": machine_name(), "seconds": round(before + seconds, 1)}
    content["software"] = dict(software_versions())
    _write(path, content)


def evaluation(drafter: str, dtype: str | None = None) -> str:
    """The stage in which a drafter's acceptance was measured: in each number format the target says other things."""
    return f"evaluate {drafter} in {dtype or cpu_dtype()}"


def begin_with(root: Path, drafters: Path) -> None:
    """Keep the manifest of the trained drafters that this training goes on from."""
    content = read(root)
    content["earlier"] = read(drafters)
    _write(root / FILE, content)


def total(content: dict[str, Any], stage: str, fact: str, drafter: str) -> int:
    """The sum of a stage's fact over the trainings that a drafter has gone through."""
    stages = content.get("stages", {})
    here = int(stages.get(stage, {}).get(fact, 0)) if f"train {drafter}" in stages else 0
    return here + (total(content["earlier"], stage, fact, drafter) if "earlier" in content else 0)


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(root: Path) -> dict[str, Any]:
    """The manifest so far."""
    path = root / FILE
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
