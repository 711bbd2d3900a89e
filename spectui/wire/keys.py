"""CURVE keys: whoever has none gets nothing, and what is sent is encrypted.

A folder of keys holds one key a file, as ZeroMQ writes them (40 characters of Z85). The server reads ``server.secret``
and admits the viewers whose ``NAME.public`` lies beside it; a viewer reads its ``NAME.secret`` and ``server.public``.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.errors import RunError
from spectui.places import private

if TYPE_CHECKING:
    import zmq

logger = logging.getLogger(__name__)

SERVER = "server"
VIEWER = "viewer"
"""Name of the first viewer, unless another is given."""

SECRET, PUBLIC = ".secret", ".public"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_DOMAIN = b"spectui"
_HANDLER = "inproc://zeromq.zap.01"
_REREAD_S = 1.0
"""The folder is looked at again for a viewer that comes later than this after the last look."""


class KeysError(RunError):
    """Keys are missing, wrong or open to others; the message is one sentence."""


def make(folder: Path, viewer: str) -> list[Path]:
    """Make keys for a viewer, and for the server if ``folder`` has none yet; nothing is overwritten.

    Returns:
        The files that were written.

    Raises:
        KeysError: The viewer has keys already, the folder is not the user's alone, or belongs to a viewer.
        OSError: The folder or a file cannot be written.
    """
    _check_encryption()
    import zmq

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not private(folder):
        raise KeysError(f"{folder} can be opened by others: make it yours alone with chmod 700, or name a new folder")
    if any((folder / f"{viewer}{ending}").exists() for ending in (SECRET, PUBLIC)):
        raise KeysError(f"{folder} has keys of {viewer} already: name another viewer with --viewer, or a new folder")
    has_server = (folder / f"{SERVER}{SECRET}").exists()
    if not has_server and (folder / f"{SERVER}{PUBLIC}").exists():
        raise KeysError(f"{folder} has no {SERVER}{SECRET}: add viewers where the server's keys are")
    made = []
    for name in (viewer,) if has_server else (SERVER, viewer):
        public, secret = zmq.curve_keypair()
        for ending, key, mode in ((SECRET, secret, 0o600), (PUBLIC, public, 0o644)):
            path = folder / f"{name}{ending}"
            # Never open to others, not even for a moment.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(key + b"\n")
            made.append(path)
    return made


def check_server(folder: Path) -> None:
    """Whether a server can use this folder.

    Raises:
        KeysError: It cannot.
    """
    _server_secret(folder)
    _admitted(folder)
    _check_encryption()


class Door:
    """Admits the viewers whose keys lie in the folder. Runs on the thread of whoever calls `answer`.

    Attributes:
        socket: Readable when a viewer waits to be admitted.
        refused: How often one was not.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path) -> None:
        """Take the place of the authenticator of ``context`` (ZeroMQ RFC 27).

        Raises:
            KeysError: The folder's keys cannot be used.
        """
        import zmq

        self.refused = 0
        self._folder = folder
        self._why = ""
        self._admitted = _admitted(folder)
        self._read_at = time.monotonic()
        self._again, self._no_block = zmq.Again, zmq.NOBLOCK
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_HANDLER)

    def answer(self) -> bool:
        """Answer one viewer; False if none waits. A key that was added or removed counts for those who come after."""
        try:
            version, request, _domain, _address, _identity, mechanism, *given = self.socket.recv_multipart(
                self._no_block
            )
        except self._again:
            return False
        if (now := time.monotonic()) - self._read_at >= _REREAD_S:
            self._read_at = now
            self._admitted = self._look()
        admitted = mechanism == b"CURVE" and len(given) == 1 and given[0] in self._admitted
        self.refused += not admitted
        status = (b"200", b"OK") if admitted else (b"400", b"this viewer's key is not among the server's")
        self.socket.send_multipart([version, request, *status, b"", b""], self._no_block)
        return True

    def _look(self) -> frozenset[bytes]:
        """Who is admitted; nobody while the folder cannot be used, which the log says once."""
        try:
            found, why = _admitted(self._folder), ""
        except (KeysError, OSError) as error:
            # A file may also go while it is looked at.
            found, why = frozenset[bytes](), str(error)
        if why and why != self._why:
            logger.warning("SpecTUI: no viewer is admitted: %s", why)
        self._why = why
        return found

    def close(self) -> None:
        """Admit nobody more."""
        self.socket.close()


def secure_server(socket: zmq.Socket[bytes], folder: Path) -> Door:
    """Let ``socket`` speak only to viewers whose keys lie in ``folder``; before it is bound.

    Returns:
        What admits them; its `Door.answer` must be called while viewers may come.

    Raises:
        KeysError: The folder's keys cannot be used.
    """
    _check_encryption()
    secret = _server_secret(folder)
    door = Door(socket.context, folder)
    socket.curve_server = True
    socket.curve_secretkey = secret
    # Without these, everybody would be admitted if the door were missing.
    socket.zap_domain = _DOMAIN
    socket.zap_enforce_domain = True
    return door


def secure_viewer(socket: zmq.Socket[bytes], folder: Path) -> None:
    """Let ``socket`` speak only to the server whose key lies in ``folder``, as the viewer whose secret does; before it
    is connected.

    A socket that the server has refused (``HANDSHAKE_FAILED_AUTH`` of its monitor) does not try again: open another.

    Raises:
        KeysError: The folder's keys cannot be used.
    """
    import zmq

    server, secret = _viewers(folder)
    socket.curve_serverkey = server
    socket.curve_secretkey = secret
    socket.curve_publickey = zmq.curve_public(secret)


def check_viewer(folder: Path) -> None:
    """Whether a viewer can use this folder.

    Raises:
        KeysError: It cannot.
    """
    _viewers(folder)


def _viewers(folder: Path) -> tuple[bytes, bytes]:
    """The server's public key and the viewer's secret one."""
    _check_encryption()
    found = sorted(path for path in _listed(folder) if path.suffix == SECRET and path.stem != SERVER)
    if not found:
        raise KeysError(f"{folder} has no viewer's secret key (NAME{SECRET}): make one with spectui keys")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise KeysError(f"{folder} has several viewers' secret keys ({names}): leave one of them there")
    return _public(folder / f"{SERVER}{PUBLIC}"), _secret(found[0])


def _server_secret(folder: Path) -> bytes:
    _listed(folder)
    try:
        changeable = _changeable(folder)
    except OSError as error:
        raise KeysError(f"{folder} cannot be read ({error.strerror}): make keys with spectui keys") from None
    if changeable:
        raise KeysError(f"{folder} can be changed by others, who could admit themselves: use chmod 700")
    return _secret(folder / f"{SERVER}{SECRET}")


def _admitted(folder: Path) -> frozenset[bytes]:
    """The keys of the folder's viewers, as ZeroMQ's authenticator sees them."""
    from zmq.utils import z85

    paths = [path for path in _listed(folder) if path.suffix == PUBLIC and path.stem != SERVER]
    return frozenset(z85.decode(_public(path)) for path in paths)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise KeysError(f"{folder} cannot be read ({error.strerror}): make keys with spectui keys") from None


def _secret(path: Path) -> bytes:
    key = _read(path)
    seen = path.stat()
    # As OpenSSH does: a file of somebody else's (a mounted one) is what they have made it.
    if seen.st_uid == os.getuid() and stat.S_IMODE(seen.st_mode) & 0o077:
        raise KeysError(f"{path} can be read by others: use chmod 600, and make new keys if somebody may have")
    return key


def _public(path: Path) -> bytes:
    key = _read(path)
    if _changeable(path) and not private(path.parent):
        raise KeysError(f"{path} can be changed by others, who could put their own key there: use chmod 644")
    return key


def _changeable(path: Path) -> bool:
    """Whether others can write to it: what is mounted read-only, as Kubernetes does, they cannot."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o022) and not os.statvfs(path).f_flag & os.ST_RDONLY


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(100).decode("ascii", "replace").strip()
    except OSError as error:
        raise KeysError(f"{path} cannot be read ({error.strerror}): make keys with spectui keys") from None
    if not _is_key(text):
        raise KeysError(f"{path} is no key: make keys with spectui keys")
    return text.encode()


def _is_key(text: str) -> bool:
    """Whether it is 32 bytes in Z85: not all characters of it fit together."""
    from zmq.utils import z85

    try:
        return _KEY.fullmatch(text) is not None and len(z85.decode(text.encode())) == 32
    except (ValueError, struct.error):
        return False


def _check_encryption() -> None:
    import zmq

    if not zmq.has("curve"):
        raise KeysError("this ZeroMQ cannot encrypt: install pyzmq's own wheel (pip install --force-reinstall pyzmq)")
