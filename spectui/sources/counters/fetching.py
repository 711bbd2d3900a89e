"""HTTP within bounds: every exchange ends in time, whatever the other side does, and no more is read than asked for."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from spectui.sources.counters.address import Address
from spectui.sources.counters.pages import Answer, UnreachableError
from spectui.sources.counters.values import MalformedError, words

ANSWER_S = 2.0
"""How long a page may take altogether."""

SLICE_S = 0.25
"""A wait is interrupted this often, to see whether it has been cancelled."""


class Deadline:
    """When an exchange must be over."""

    def __init__(self) -> None:
        self._at = 0.0
        self._last = 0.0
        self._cancelled = threading.Event()

    def begin(self, seconds: float, most: float | None = None) -> None:
        """Begin an exchange that ends after ``seconds``; `extend` moves that, up to ``most`` in all."""
        now = time.monotonic()
        self._at, self._last = now + seconds, now + (seconds if most is None else most)

    def extend(self, seconds: float) -> None:
        """Something was heard: allow ``seconds`` from now on."""
        self._at = min(self._last, time.monotonic() + seconds)

    def cancel(self) -> None:
        """End every exchange at once, from any thread."""
        self._cancelled.set()

    def left(self) -> float:
        """Seconds until the end; 0 or less once it is over."""
        return 0.0 if self._cancelled.is_set() else self._at - time.monotonic()


class _Stream(httpcore.NetworkStream):
    """A connection whose waits end at the deadline, however the bytes drip in."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while (left := self._deadline.left()) > 0:
            try:
                return self._inner.read(max_bytes, min(left, SLICE_S))
            except httpcore.ReadTimeout:
                continue
        raise httpcore.ReadTimeout("no answer in time")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, max(0.001, self._deadline.left()))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = max(0.001, self._deadline.left())
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._inner, self._deadline = httpcore.SyncBackend(), deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = max(0.001, self._deadline.left())
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._deadline)


class _Transport(httpx.HTTPTransport):
    """httpx's transport over such connections. It keeps no cookies, follows no redirects and asks no proxy."""

    def __init__(self, deadline: Deadline, tls: bool) -> None:
        # Certificates take a while to load: only where they are needed.
        context = httpx.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=1,
            max_keepalive_connections=1,
            network_backend=_Network(deadline),
        )


class Fetcher:
    """Pages of one server, one after another; `cancel` may be called from any thread."""

    def __init__(self, address: Address, api_key: str | None = None) -> None:
        self._address = address
        self._deadline = Deadline()
        self._transport = _Transport(self._deadline, address.root.startswith("https:"))
        # Compressed answers are not asked for, so that none can unfold into something huge.
        self._headers = {"accept-encoding": "identity", "user-agent": "spectui"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        elif address.login is not None:
            self._headers["authorization"] = "Basic " + b64encode(":".join(address.login).encode()).decode()

    def get(self, path: str, most_bytes: int) -> Answer:
        """Get a page; raises as `Pages.get` says."""
        self._deadline.begin(ANSWER_S)
        with self._exchange(httpx.Request("GET", self._address.page(path), headers=self._headers)) as response:
            return Answer(
                response.status_code,
                response.headers.get("content-type", ""),
                b"".join(_bounded(response, most_bytes)),
                words(response.headers.get("location", "")),
            )

    @contextmanager
    def post(self, path: str, body: object, silence_s: float, most_s: float) -> Iterator[httpx.Response]:
        """Post JSON and hand out the answer while it comes: see `parts`. It may be silent for ``silence_s``.

        Raises:
            UnreachableError: Nothing answers in time.
            MalformedError: What answers speaks no HTTP.
        """
        self._deadline.begin(silence_s, most_s)
        request = httpx.Request("POST", self._address.page(path), headers=self._headers, json=body)
        with self._exchange(request) as response:
            yield response

    def parts(self, response: httpx.Response, silence_s: float, most_bytes: int) -> Iterator[bytes]:
        """The parts of an answer as they come; raises as `post` does."""
        for part in _bounded(response, most_bytes):
            self._deadline.extend(silence_s)
            yield part

    def cancel(self) -> None:
        """End what is under way, and everything after it."""
        self._deadline.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @contextmanager
    def _exchange(self, request: httpx.Request) -> Iterator[httpx.Response]:
        try:
            response = self._transport.handle_request(request)
            try:
                yield response
            finally:
                response.close()
        except (httpx.ProtocolError, httpx.DecodingError) as error:
            raise _broken(error) from error
        except (httpx.TransportError, OSError) as error:
            raise UnreachableError(_reason(error)) from error


def _bounded(response: httpx.Response, most_bytes: int) -> Iterator[bytes]:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise MalformedError("compressed, though that was not asked for")
    read = 0
    for part in response.iter_raw():
        read += len(part)
        if read > most_bytes:
            raise MalformedError(f"more than {most_bytes} bytes")
        yield part


def _broken(error: Exception) -> Exception:
    """A connection that ends too early is no answer; anything else is an answer that makes no sense."""
    if "disconnected" in str(error) or "peer closed" in str(error):
        return UnreachableError("it closed the connection")
    return MalformedError(words(str(error)))


def _reason(error: BaseException) -> str:
    """Why there is no answer. httpx wraps the system's own errors, so all causes are looked at."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 8:
        causes.append(cause)
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({words(one.verify_message)})"
        if isinstance(one, ssl.SSLError):
            return "it does not speak TLS: try http:// in place of https://"
        if isinstance(one, socket.gaierror):
            return "its name is not known"
        if isinstance(one, ConnectionRefusedError):
            return "nothing listens there"
        if isinstance(one, httpx.TimeoutException):
            return "no answer in time"
    return words(str(error)).rstrip(".") or type(error).__name__
