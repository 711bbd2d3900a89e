"""What the operator of a server has set in its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectui.wire.messages import Redaction


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How a server may be watched.

    Attributes:
        endpoint: ``SPECTUI_ENDPOINT``: where viewers attach, before the data-parallel rank is added; None for a socket
            in the user's own folder.
        share: ``SPECTUI_SHARE``: share of the requests whose ids are sent, 0 to 1.
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
