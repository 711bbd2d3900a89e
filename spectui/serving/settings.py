"""What the operator of a server has set in its environment."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from spectui.errors import RunError, did_you_mean
from spectui.places import user_path
from spectui.wire.endpoints import Endpoint, EndpointError, own, parse
from spectui.wire.keys import KeysError, check_server
from spectui.wire.messages import Redaction

VARIABLES = ("ENDPOINT", "SHARE", "REDACTION", "CONTROL", "KEYS", "INSECURE")
"""What is set, each after ``SPECTUI_``."""


class SettingsError(RunError):
    """The server must not start like this; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How a server may be watched.

    Attributes:
        endpoint: ``SPECTUI_ENDPOINT``: where viewers attach, before the data-parallel rank is added; None for a socket
            in the user's own folder.
        share: ``SPECTUI_SHARE``: share of the requests whose ids and names are sent, 0 to 1.
        redaction: ``SPECTUI_REDACTION``: what leaves the server.
        control: ``SPECTUI_CONTROL=1``: whether viewers may change K.
        keys: ``SPECTUI_KEYS``: folder with the server's CURVE keys and those of its viewers; None for plain TCP.
        insecure: ``SPECTUI_INSECURE=1``: whether plain TCP beyond loopback is allowed.
    """

    endpoint: str | None = None
    share: float = 1.0
    redaction: Redaction = "ids"
    control: bool = False
    keys: Path | None = None
    insecure: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ServingSettings:
        """Read the variables; what is unset or empty has its default.

        Raises:
            SettingsError: A value is wrong, or the server would be open to everybody.
        """
        _check_names(environ)
        given = {name: environ.get(f"SPECTUI_{name}", "").strip() for name in VARIABLES}
        settings = cls(
            endpoint=given["ENDPOINT"] or None,
            share=_share(given["SHARE"]),
            redaction=_redaction(given["REDACTION"]),
            control=_switch("CONTROL", given["CONTROL"]),
            keys=_folder(given["KEYS"]),
            insecure=_switch("INSECURE", given["INSECURE"]),
        )
        settings.place(0)
        return settings

    def place(self, rank: int) -> Endpoint:
        """Where the engine of this data-parallel rank is to be reached.

        Raises:
            SettingsError: The endpoint is wrong, or would be open to everybody.
        """
        try:
            if self.keys is not None:
                check_server(self.keys)
            if self.endpoint is None:
                return own(rank)
            place = _resolved(parse(self.endpoint, bind=True).of_rank(rank))
        except EndpointError as error:
            # It may be unset: then the folder is named.
            raise SettingsError(f"SPECTUI_ENDPOINT: {error}" if self.endpoint else str(error)) from None
        except KeysError as error:
            raise SettingsError(f"SPECTUI_KEYS: {error}") from None
        if not (place.loopback or self.keys is not None or self.insecure):
            raise SettingsError(
                f"SPECTUI_ENDPOINT={self.endpoint} would show prompts and answers to whoever can reach this machine: "
                "set SPECTUI_KEYS to a folder made by spectui keys, use 127.0.0.1, or set SPECTUI_INSECURE=1"
            )
        return place


def _check_names(environ: Mapping[str, str]) -> None:
    """A name that is nearly right was meant: a mistyped SPECTUI_REDACTION must not send what it should hold back."""
    for name in environ:
        prefix, separator, rest = name.partition("_")
        if prefix == "SPECTUI" and separator and rest not in VARIABLES and did_you_mean(rest, VARIABLES):
            guess = did_you_mean(rest, VARIABLES).replace("'", "'SPECTUI_", 1)
            raise SettingsError(f"SPECTUI has no setting {name}{guess}")


def _share(value: str) -> float:
    try:
        share = float(value or "1")
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"SPECTUI_SHARE={value}: use a number from 0 (no request) to 1 (every request)")
    return share


def _redaction(value: str) -> Redaction:
    if not value:
        return "ids"
    if value not in get_args(Redaction):
        raise SettingsError(f"SPECTUI_REDACTION={value}: use counts, ids or text")
    return cast(Redaction, value)


def _switch(name: str, value: str) -> bool:
    if value not in ("", "0", "1"):
        raise SettingsError(f"SPECTUI_{name}={value}: use 1 or 0")
    return value == "1"


def _folder(value: str) -> Path | None:
    try:
        return user_path(value).absolute() if value else None
    except FileNotFoundError as error:
        raise SettingsError(f"SPECTUI_KEYS={value}: {error.strerror}") from None


def _resolved(endpoint: Endpoint) -> Endpoint:
    """With the address instead of a name: ZeroMQ binds to addresses and network interfaces."""
    if endpoint.kind != "tcp" or endpoint.everywhere or endpoint.host in {name for _, name in socket.if_nameindex()}:
        return endpoint
    if endpoint.loopback and endpoint.host.lower().startswith("localhost"):
        return replace(endpoint, host="127.0.0.1")
    try:
        known = socket.getaddrinfo(endpoint.host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise EndpointError(f"{endpoint.host} is no name or address of this machine: try 127.0.0.1") from None
    # The older kind of address first, as viewers do.
    known.sort(key=lambda one: one[0] != socket.AF_INET)
    return replace(endpoint, host=str(known[0][4][0]))
