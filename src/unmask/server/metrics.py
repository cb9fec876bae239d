"""Metrics for Prometheus, in a registry of their own."""

from __future__ import annotations

from typing import Any

from unmask.core.optional import library
from unmask.server.worker import Worker

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STEPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_COMMITTED = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)
_BY_MODEL = ("model",)


class Metrics:
    """Counts of requests, and of each model's worker.

    Raises MissingExtraError where prometheus-client is not installed.
    """

    def __init__(self) -> None:
        known = library("prometheus_client", "serve", "metrics need prometheus-client")
        self._text: Any = known.generate_latest
        self.registry = known.CollectorRegistry()

        def metric(
            kind: Any, name: str, words: str, labels: tuple[str, ...] = (), **more: Any
        ) -> Any:
            return kind(f"unmask_{name}", words, labels, registry=self.registry, **more)

        counter, gauge, histogram = known.Counter, known.Gauge, known.Histogram
        self.requests = metric(counter, "requests", "Requests answered", ("endpoint", "outcome"))
        self.seconds = metric(
            histogram, "request_seconds", "Seconds of a request", ("endpoint",), buckets=_SECONDS
        )
        self.open = metric(gauge, "open_requests", "Requests that are being answered")
        self.dropped = metric(gauge, "dropped_log_lines", "Lines of the log that were not written")
        self.waiting = metric(gauge, "queue_depth", "Requests that wait to begin", _BY_MODEL)
        self.rows = metric(gauge, "open_rows", "Rows that are being generated", _BY_MODEL)
        self.tokens = metric(gauge, "open_tokens", "Positions of these rows", _BY_MODEL)
        self.first = metric(
            histogram,
            "first_token_seconds",
            "Seconds from a request's arrival at the worker to its first committed token",
            _BY_MODEL,
            buckets=_SECONDS,
        )
        self.step = metric(
            histogram, "step_seconds", "Seconds of a step of all open rows", _BY_MODEL,
            buckets=_STEPS,
        )  # fmt: skip
        self.step_rows = metric(histogram, "step_rows", "Rows of a step", _BY_MODEL, buckets=_ROWS)
        self.padding = metric(
            histogram, "padding_share", "Share of a step's positions that are padding", _BY_MODEL,
            buckets=_SHARES,
        )  # fmt: skip
        self.committed = metric(
            histogram, "committed_per_forward", "Tokens that a row commits in a step, on average",
            _BY_MODEL, buckets=_COMMITTED,
        )  # fmt: skip
        self.generated = metric(counter, "committed_tokens", "Tokens committed", _BY_MODEL)
        self.prompt = metric(counter, "prompt_tokens", "Tokens given in requests", _BY_MODEL)
        self.completion = metric(
            counter, "completion_tokens", "Tokens of rows that were finished", _BY_MODEL
        )

    @property
    def text(self) -> bytes:
        """All metrics in the format of Prometheus."""
        found: bytes = self._text(self.registry)
        return found

    def request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Count a request that is over."""
        self.requests.labels(endpoint, outcome).inc()
        self.seconds.labels(endpoint).observe(seconds)

    def usage(self, model: str, prompt: int, completion: int) -> None:
        """Count the tokens of a request that is over."""
        self.prompt.labels(model).inc(prompt)
        self.completion.labels(model).inc(completion)

    def meter(self, model: str) -> ModelMeter:
        """Return what measures the worker of a model."""
        return ModelMeter(self, model)

    def watch(self, model: str, worker: Worker) -> None:
        """Tell what a worker has to do, whenever the metrics are read."""
        self.waiting.labels(model).set_function(lambda: worker.load.waiting)
        self.rows.labels(model).set_function(lambda: worker.load.rows)
        self.tokens.labels(model).set_function(lambda: worker.load.tokens)


class ModelMeter:
    """The `Meter` of a model's worker."""

    def __init__(self, metrics: Metrics, model: str):
        self._seconds = metrics.step.labels(model)
        self._rows = metrics.step_rows.labels(model)
        self._padding = metrics.padding.labels(model)
        self._committed = metrics.committed.labels(model)
        self._generated = metrics.generated.labels(model)
        self._first = metrics.first.labels(model)

    def step(self, seconds: float, rows: int, positions: int, width: int, committed: int) -> None:
        """Take a step of the engine: rows, their positions, and those of the widest times rows."""
        self._seconds.observe(seconds)
        self._rows.observe(rows)
        self._generated.inc(committed)
        if rows:
            self._padding.observe(1 - positions / width)
            self._committed.observe(committed / rows)

    def first(self, seconds: float) -> None:
        """Take the time from a job's submission to its first step that commits a token."""
        self._first.observe(seconds)
