"""``spectui keys``: what it writes, and what it says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.cli import main as cli


def test_it_says_what_to_copy_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my keys"
    assert cli.main(["keys", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"wrote server.secret, server.public, viewer.secret, viewer.public in {folder}",
        f"server: start it with SPECTUI_KEYS='{folder}'; elsewhere that folder needs server.secret and viewer.public",
        f"viewer: spectui attach --keys '{folder}'; elsewhere that folder needs viewer.secret and server.public only",
        "whoever has viewer.secret sees prompts and answers: copy it over a safe channel, and then remove it here",
    ]
    assert cli.main(["keys", str(folder), "--viewer", "anna"]) == 0
    assert "wrote anna.secret, anna.public in" in capsys.readouterr().out
    assert cli.main(["keys", str(folder)]) == 1
    assert "has keys of viewer already" in capsys.readouterr().err


def test_without_a_folder_they_lie_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_CONFIG_DIR", str(tmp_path / "settings"))
    assert cli.main(["keys"]) == 0
    assert (tmp_path / "settings" / "keys" / "server.secret").exists()


@pytest.mark.parametrize("name", ["server", "../x", "a b", "", ".x", "x" * 65])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys", str(tmp_path / "k"), "--viewer", name]) == 2
    assert "cannot be a viewer's name" in capsys.readouterr().err
    assert not (tmp_path / "k").exists()
