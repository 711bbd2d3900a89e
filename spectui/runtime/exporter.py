"""Serves what a viewer knows of servers to Prometheus. It watches the events of an attached run and needs no screen."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from spectui.core.attached.exported import METRICS, Figures, Named
from spectui.errors import RunError
from spectui.protocol.events import Event

if TYPE_CHECKING:
    from prometheus_client.core import Metric

HOST = "127.0.0.1"


class Exporter:
    """Serves ``/metrics`` on a port; every event of the run is shown to `see`."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self._asked, self._host = port, host
        self._figures = Figures()
        self._lock = threading.Lock()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def see(self, event: Event) -> None:
        """Take an event of the run in; from any thread."""
        with self._lock:
            self._figures.see(event)

    @property
    def port(self) -> int:
        """The port on which it serves; that which was asked for before it has started."""
        return self._asked if self._server is None else int(self._server.server_port)

    def start(self) -> None:
        """Begin to serve, on a thread of its own.

        Raises:
            RunError: The port cannot be had.
        """
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(self._asked, self._host, registry)
        except OSError as error:
            where = f"{self._host}:{self._asked}"
            raise RunError(f"--prometheus: {where} cannot be used ({error.strerror}): choose another port") from error

    def stop(self) -> None:
        """End serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join()

    def describe(self) -> Iterable[Metric]:
        """Every metric without samples, as prometheus_client asks for them."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Metric]:
        """Every metric with its samples."""
        with self._lock:
            told = self._figures.told()
        for metric, samples in told.items():
            family = _family(metric)
            for labels, value in samples:
                family.add_metric(list(labels), value)
            yield family


def _family(metric: Named) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.means, labels=("endpoint", *metric.labels))
