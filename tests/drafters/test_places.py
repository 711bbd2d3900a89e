"""Where the drafters' recipe keeps what it makes."""

from pathlib import Path

import pytest

from demos.drafters.recipe import default_root


def test_it_is_the_folder_that_the_user_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path))
    assert default_root() == tmp_path / "drafters"
