"""What Prometheus can read of the service; every app has a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailorbird.apart import Process
from tailorbird.serving.engine import Answer

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Meters:
    """The service's counters; `text` is the page that Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "tailorbird_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tailorbird_request_seconds",
            "Time from the request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "tailorbird_batch_texts",
            "Texts in one forward pass.",
            buckets=TEXTS,
            registry=self.registry,
        )
        self._queue = Gauge(
            "tailorbird_queue_texts", "Texts waiting for a forward pass.", registry=self.registry
        )
        self._unrecorded = Gauge(
            "tailorbird_unrecorded_texts",
            "Answered texts not yet stored in the workspace.",
            registry=self.registry,
        )
        self._predictions = Counter(
            "tailorbird_predictions",
            "Texts answered.",
            ("intent", "in_scope"),
            registry=self.registry,
        )
        self._bundle = Gauge(
            "tailorbird_bundle_info",
            "1 for the bundle that made the latest answer.",
            ("bundle",),
            registry=self.registry,
        )

    def watch(self, *, queue: Callable[[], int], unrecorded: Callable[[], int]) -> None:
        """Read these lengths whenever the page is asked for."""
        self._queue.set_function(queue)
        self._unrecorded.set_function(unrecorded)

    def watch_process(self, process: Process) -> None:
        """Read memory and processor time of *process*, which computes, and how often it began."""
        ProcessCollector("tailorbird_models", lambda: process.pid or "none", registry=self.registry)
        starts = Gauge(
            "tailorbird_models_process_starts",
            "How often the process for models was started; more than 1: it had died.",
            registry=self.registry,
        )
        starts.set_function(lambda: process.n_starts)

    def count_batch(self, n_texts: int) -> None:
        """One forward pass over *n_texts*."""
        self._batch.observe(n_texts)

    def count_answer(self, answer: Answer) -> None:
        """The predictions of one request."""
        for prediction in answer.predictions:
            self._predictions.labels(prediction.intent, str(prediction.in_scope).lower()).inc()

    def show_bundle(self, bundle: str) -> None:
        """Say which bundle is live, and none beside it."""
        self._bundle.clear()
        self._bundle.labels(bundle).set(1)

    def text(self) -> bytes:
        """Everything, in the format Prometheus reads."""
        return generate_latest(self.registry)

    def timed(self, app: ASGIApp) -> ASGIApp:
        """Count and time every HTTP request to *app*."""

        async def timed_app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = 500
            started_s = time.perf_counter()

            async def send_noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, send_noting)
            finally:
                # The path itself would let a client make as many time series as it likes.
                path = getattr(scope.get("route"), "path", None)
                route = scope.get("root_path", "") + path if path else "other"
                self._requests.labels(route, scope["method"], str(status)).inc()
                self._seconds.labels(route).observe(time.perf_counter() - started_s)

        return timed_app
