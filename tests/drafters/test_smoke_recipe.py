"""The whole recipe at its smallest, from prompts to acceptance in vLLM; some three minutes, so only when asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demos.drafters.manifest import evaluation

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not os.environ.get("SPECTUI_SMOKE_RECIPE"), reason="takes minutes: set SPECTUI_SMOKE_RECIPE=1"),
]


def test_the_smoke_recipe_runs_end_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demos.drafters", "smoke", "--work", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=590, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    stages = json.loads((tmp_path / "manifest.json").read_text())["stages"]
    assert stages["answers"]["answer_tokens"] > 1000
    for drafter in ("mtp", "dflash"):
        assert "length" in stages[evaluation(drafter)]["all"]
        assert (tmp_path / "drafters" / drafter / "model.safetensors").stat().st_size < 30_000_000
