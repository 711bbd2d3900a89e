"""What an operator sets: each wrong value is refused in a sentence, and so is a server that would be open to all."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from spectui.serving.settings import ServingSettings, SettingsError
from spectui.wire.keys import make

read = ServingSettings.from_environment


def test_without_variables_there_is_a_socket_for_the_user_alone() -> None:
    settings = read({"HOME": "/root", "SPECTUI_ENDPOINT": "", "SPECTUI_LOG_DIR": "/x", "SPECTUI_CACHE_DIR": "/x"})
    assert settings == ServingSettings(None, 1.0, "ids", False, None, False)
    assert settings.place(3).path.endswith("-3.sock")


def test_every_variable_is_read(tmp_path: Path) -> None:
    make(tmp_path / "keys", "viewer")
    settings = read(
        {
            "SPECTUI_ENDPOINT": "tcp://0.0.0.0:5557",
            "SPECTUI_SHARE": "0.25",
            "SPECTUI_REDACTION": "text",
            "SPECTUI_CONTROL": "1",
            "SPECTUI_KEYS": str(tmp_path / "keys"),
            "SPECTUI_INSECURE": "0",
        }
    )
    assert settings == ServingSettings("tcp://0.0.0.0:5557", 0.25, "text", True, tmp_path / "keys", False)
    assert settings.place(2).address == "tcp://0.0.0.0:5559"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ENDPOINT", "http://localhost:5557", "use tcp://HOST:PORT or ipc:///PATH"),
        ("ENDPOINT", "localhost", "needs a host and a port, such as 127.0.0.1:5557"),
        ("ENDPOINT", "no-such-host.invalid:5557", "no-such-host.invalid is no name or address of this machine"),
        ("SHARE", "25%", "use a number from 0 (no request) to 1 (every request)"),
        ("SHARE", "nan", "use a number from 0"),
        ("SHARE", "1.01", "use a number from 0"),
        ("REDACTION", "id", "use counts, ids or text"),
        ("CONTROL", "yes", "use 1 or 0"),
        ("INSECURE", "2", "use 1 or 0"),
        ("KEYS", "/nonexistent", "/nonexistent cannot be read (No such file or directory)"),
        ("KEYS", "~nobody-of-that-name/keys", "no home folder"),
    ],
)
def test_a_wrong_value_is_refused_with_the_choices(name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError) as failed:
        read({f"SPECTUI_{name}": value})
    assert str(failed.value).startswith(f"SPECTUI_{name}")
    assert why in str(failed.value)
    assert "\n" not in str(failed.value)


def test_what_is_wrong_with_the_users_own_folder_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_SOCKET_DIR", "~nobody-of-that-name")
    with pytest.raises(SettingsError, match=r"^SPECTUI_SOCKET_DIR=~nobody-of-that-name: no home folder for"):
        read({})


@pytest.mark.parametrize("endpoint", ["0.0.0.0:1", "[::]:1", "*:1", "192.0.2.7:1", "[2001:db8::1]:1", "127.1:0", "0:1"])
def test_plain_tcp_beyond_loopback_is_refused_unless_forced(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"would show prompts and answers .*spectui keys.*SPECTUI_INSECURE=1"):
        read({"SPECTUI_ENDPOINT": endpoint.replace("127.1", "198.51.100.1")})
    assert read({"SPECTUI_ENDPOINT": endpoint, "SPECTUI_INSECURE": "1"}).insecure
    make(tmp_path / "keys", "viewer")
    assert read({"SPECTUI_ENDPOINT": endpoint, "SPECTUI_KEYS": str(tmp_path / "keys")}).keys


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "ipc:///tmp/s"])
def test_loopback_needs_no_keys(endpoint: str) -> None:
    assert read({"SPECTUI_ENDPOINT": endpoint}).place(0).loopback


def test_a_name_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the address that is bound."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])
    with pytest.raises(SettingsError, match="SPECTUI_ENDPOINT=node:5557 would show"):
        read({"SPECTUI_ENDPOINT": "node:5557"})
    assert ServingSettings("node:5557", insecure=True).place(1).address == "tcp://192.0.2.7:5558"


@pytest.mark.parametrize(
    ("name", "guess"), [("REDACTON", "REDACTION"), ("REDACT", "REDACTION"), ("KEY", "KEYS"), ("ENDPOINTS", "ENDPOINT")]
)
def test_a_mistyped_name_is_not_passed_over(name: str, guess: str) -> None:
    with pytest.raises(SettingsError, match=f"no setting SPECTUI_{name}: did you mean 'SPECTUI_{guess}'"):
        read({f"SPECTUI_{name}": "counts"})


def test_names_of_the_rest_of_the_program_are_no_mistakes() -> None:
    root = Path(__file__).parents[2]
    words = {word for path in (root / "spectui").rglob("*.py") for word in path.read_text().split('"')}
    names = {word for word in words if re.fullmatch(r"SPECTUI_[A-Z_]+", word)}
    known = {f"SPECTUI_{name}" for name in ("ENDPOINT", "SHARE", "REDACTION", "CONTROL", "KEYS", "INSECURE")}
    assert len(names - known) >= 5
    assert read(dict.fromkeys(names - known, "x")) == ServingSettings()
