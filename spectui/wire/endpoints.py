"""Where a server can be reached: how users write it, how ZeroMQ and HTTP take it, and which servers run here.

| written | means |
|---|---|
| ``ipc:///run/user/1000/spectui/vllm-123-0.sock``, or the path alone | a server with the tap on this machine |
| ``tcp://host:5557``, or ``host:5557`` | a server with the tap |
| ``http://host:8000`` | a server without it: its counters |
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from spectui.errors import UsageError
from spectui.places import SOCKET_VARIABLE, private, socket_folders, user_path

MOST_PATH_BYTES = 107
"""The longest path of a socket (Linux, ``sockaddr_un``)."""

FORMS = "tcp://HOST:PORT, ipc:///PATH or http://HOST:PORT"
EVERYWHERE = ("*", "0.0.0.0", "::")
"""Hosts that a server may name to be reached through all of its network interfaces."""

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_OWN_NAME = re.compile(r"vllm-(\d+)-(\d+)\.sock")
_PROBE_S = 0.5


class EndpointError(UsageError):
    """An endpoint is wrong; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Attributes:
        kind: ``ipc`` and ``tcp`` for a server with the tap, ``http`` for its counters.
        path: The socket's path for ``ipc``, what follows the port for ``http``.
        host: Without brackets; empty for ``ipc``.
        port: 0 for ``ipc``, and where a server lets the system choose.
        scheme: ``https`` for that; else the kind.
    """

    kind: Literal["ipc", "tcp", "http"]
    path: str = ""
    host: str = ""
    port: int = 0
    scheme: str = ""

    @property
    def address(self) -> str:
        """As ZeroMQ or an HTTP client takes it, and a user may write it."""
        if self.kind == "ipc":
            return f"ipc://{self.path}"
        return f"{self.scheme or self.kind}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or '*'}"

    @property
    def short(self) -> str:
        """A name for titles and rows: the socket's name, or host and port."""
        return Path(self.path).stem if self.kind == "ipc" else self.authority

    @property
    def loopback(self) -> bool:
        """Whether only this machine can be meant."""
        if self.kind == "ipc" or self.host.lower().rstrip(".") == "localhost":
            return True
        try:
            found = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return (mapped or found).is_loopback

    @property
    def everywhere(self) -> bool:
        """Whether a server is reached here through all of its network interfaces."""
        return self.kind == "tcp" and self.host in EVERYWHERE

    def needs_ipv6(self) -> bool:
        """What to set ``socket.ipv6`` to: whether the host has no IPv4 address. Asks the resolver about a name."""
        if self.kind != "tcp" or self.host == "*" or re.fullmatch(r"[\d.]+", self.host):
            return False
        if ":" in self.host:
            return True
        try:
            families = {found[0] for found in socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)}
        except OSError:
            return False
        return socket.AF_INET not in families and socket.AF_INET6 in families

    def of_rank(self, rank: int) -> Endpoint:
        """That of the data-parallel engine of this rank: the port is counted up, a socket's name gets the rank.

        Raises:
            EndpointError: There is no such port, or the path becomes too long.
        """
        if not rank:
            return self
        if self.kind == "ipc":
            path = Path(self.path)
            return replace(self, path=_socket_path(str(path.with_name(f"{path.stem}-{rank}{path.suffix}"))))
        if not self.port:
            return self
        if self.port + rank > 65_535:
            raise EndpointError(f"{self.address}: there is no port {self.port + rank} for data-parallel rank {rank}")
        return replace(self, port=self.port + rank)


def parse(text: str, *, bind: bool = False) -> Endpoint:
    """Read an endpoint as a user writes it; with ``bind`` one at which a server is to be reached.

    A server may name all interfaces (``*``, ``0.0.0.0``, ``[::]``) and leave the port to the system (``*`` or 0).

    Raises:
        EndpointError: It is none.
    """
    written = text.strip()
    scheme, separator, rest = written.partition("://")
    scheme = scheme.lower()
    if not written:
        raise EndpointError(f"an endpoint is missing: use {FORMS}")
    if not separator:
        if "/" in written or written.startswith("~") or written.endswith(".sock"):
            return _ipc(written)
        return _tcp(written, written, bind=bind)
    match scheme:
        case "ipc":
            return _ipc(rest)
        case "tcp":
            return _tcp(rest, written, bind=bind)
        case "http" | "https" if not bind:
            return _http(written, scheme)
    forms = "tcp://HOST:PORT or ipc:///PATH" if bind else FORMS
    raise EndpointError(f"'{written}' is no endpoint: use {forms}")


def own(rank: int, pid: int | None = None) -> Endpoint:
    """The socket at which this process is reached unless the user says otherwise; its folder is created.

    Raises:
        EndpointError: There is no folder that only this user can open, or its name is too long.
    """
    folder = _socket_folders()[0]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EndpointError(
            f"{folder}: no folder for sockets can be made there ({error.strerror}): set SPECTUI_SOCKET_DIR to another"
        ) from None
    if not private(folder):
        raise EndpointError(f"{folder} can be opened by others: make it yours alone with chmod 700")
    return Endpoint("ipc", _socket_path(str(folder / f"vllm-{pid or os.getpid()}-{rank}.sock")))


def found() -> list[Endpoint]:
    """Sockets of this user's living servers, by process and rank. Those that killed servers left are removed.

    Raises:
        EndpointError: ``SPECTUI_SOCKET_DIR`` begins with a home that does not exist.
    """
    living = []
    for folder in _socket_folders():
        # Nobody else's sockets: what they send would be taken for a server's.
        for pid, rank, path in _own_sockets(folder) if private(folder) else ():
            if listening(path):
                living.append((pid, rank, Endpoint("ipc", str(path))))
            elif not Path(f"/proc/{pid}").exists():
                # A server that has just made its socket does not listen yet, so its process counts too.
                with suppress(OSError):
                    path.unlink()
    return [endpoint for _, _, endpoint in sorted(living, key=lambda one: one[:2])]


def listening(path: Path) -> bool:
    """Whether somebody listens at this socket.

    Raises:
        EndpointError: There is something else than a socket.
    """
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise EndpointError(f"{path} is no socket: name another path")
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            # One that is too busy to answer is there.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _socket_folders() -> list[Path]:
    try:
        return socket_folders()
    except FileNotFoundError as error:
        raise EndpointError(f"{SOCKET_VARIABLE}={error.filename}: {error.strerror}") from None


def _own_sockets(folder: Path) -> Iterator[tuple[int, int, Path]]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        name = _OWN_NAME.fullmatch(path.name)
        if name is not None and path.is_socket():
            yield int(name[1]), int(name[2]), path


def _ipc(written: str) -> Endpoint:
    if written.startswith("@"):
        raise EndpointError(f"ipc://{written}: everybody on the machine can open such a socket: use ipc:///PATH")
    if not written or written.endswith("/"):
        raise EndpointError("ipc:// needs the path of a socket, such as ipc:///run/user/1000/spectui/vllm.sock")
    try:
        return Endpoint("ipc", _socket_path(str(user_path(written).absolute())))
    except FileNotFoundError as error:
        raise EndpointError(f"{written}: {error.strerror}") from None


def _socket_path(path: str) -> str:
    if "\0" in path:
        raise EndpointError("the path of a socket cannot contain a null character")
    if (size := len(os.fsencode(path))) > MOST_PATH_BYTES:
        raise EndpointError(
            f"{path}: choose a shorter path: a socket's has at most {MOST_PATH_BYTES} bytes, not {size}"
        )
    return path


def _tcp(rest: str, written: str, *, bind: bool) -> Endpoint:
    host, colon, port = rest.rpartition(":")
    if not colon or not port or rest.endswith("]"):
        raise EndpointError(f"'{written}' needs a host and a port, such as {'127.0.0.1' if bind else 'localhost'}:5557")
    return Endpoint("tcp", host=_host(host, written, bind=bind), port=_port(port, written, bind=bind))


def _host(host: str, written: str, *, bind: bool) -> str:
    if host.startswith("[") and host.endswith("]"):
        with suppress(ValueError):
            address = ipaddress.IPv6Address(host[1:-1])
            if bind or not address.is_unspecified:
                return str(address)
    elif ":" in host:
        raise EndpointError(f"'{written}': write an IPv6 address in brackets, such as [::1]:5557")
    elif (bind and host == "*") or (_HOST.fullmatch(host) and (bind or host not in EVERYWHERE)):
        return host
    why = "name a host that can be reached" if host in ("*", "0.0.0.0", "[::]") else "that is no name of a host"
    raise EndpointError(f"'{written}': {why}, such as localhost:5557")


def _port(port: str, written: str, *, bind: bool) -> int:
    if bind and port in ("*", "0"):
        return 0
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if not 1 <= number <= 65_535:
        raise EndpointError(f"'{written}': a port is a number from 1 to 65535")
    return number


def _http(written: str, scheme: str) -> Endpoint:
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError:
        raise EndpointError(f"'{written}' is no address: use {scheme}://HOST:PORT") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise EndpointError(f"'{parts.hostname}': use {scheme}://HOST:PORT without user, password or query")
    host = parts.hostname or ""
    host = _host(f"[{host}]" if ":" in host else host, written, bind=False)
    if port == 0:
        raise EndpointError(f"'{written}': a port is a number from 1 to 65535")
    return Endpoint("http", parts.path.rstrip("/"), host, port or (443 if scheme == "https" else 80), scheme)
