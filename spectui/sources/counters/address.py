"""Where a server's HTTP interface is: from what the user typed to addresses of its pages."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from spectui.errors import UsageError

_PAGES = ("/metrics", "/v1")
"""Ends that users copy along; what is before them is meant."""


class Address(NamedTuple):
    """``root`` is what all pages begin with, ``shown`` is for the screen: it holds no password."""

    root: str
    shown: str
    login: tuple[str, str] | None = None

    def page(self, path: str) -> str:
        """The address of a page, such as ``/metrics``."""
        return self.root + path


def address_of(typed: str) -> Address:
    """Read an address.

    Raises:
        UsageError: It is none of a server.
    """
    try:
        parts = urlsplit(typed.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{typed!r} is not an address: {error}; it looks like http://HOST:8000") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{typed!r} is not the address of a server; it looks like http://HOST:8000")
    path = parts.path.rstrip("/")
    for end in _PAGES:
        path = path.removesuffix(end).rstrip("/")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    root = f"{parts.scheme}://{place}{path}"
    return Address(root, root, _login(parts))


def _login(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
