"""What Threadmill counts, for Prometheus at `/metrics`.

One object of our own registry: nothing is global, so that two in one process (tests) do not add up. Others call
methods named after what happened; values that somebody keeps anyway are read when they are asked for. Label values
come from the configuration and our own enums, never from what people write, so their number has a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_TURN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SEND_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counters and what is read at a scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._read = _ReadAtScrape()
        self._registry.register(self._read)
        self._accepted = self._counter("events_accepted", "Events committed to the inbox", "channel", "kind")
        self._routed = self._counter("events_routed", "What the router decided", "channel", "decision")
        self._deliveries = self._counter("deliveries", "Deliveries that reached a state", "channel", "state")
        self._send_seconds = Histogram(
            "threadmill_delivery_seconds",
            "From the commit of a message to the platform's receipt",
            ("channel",),
            buckets=_SEND_SECONDS,
            registry=self._registry,
        )
        self._turns = Histogram(
            "threadmill_turn_seconds",
            "How long turns ran",
            ("agent", "outcome"),
            buckets=_TURN_SECONDS,
            registry=self._registry,
        )
        self._calls = self._counter("model_calls", "Calls of language models", "model")
        self._tokens = self._counter("model_tokens", "Tokens of language models, all kinds", "model")
        self._cost = self._counter("model_cost_usd", "Money spent on language models", "model")
        self._firings = self._counter("monitor_firings", "Monitors that fired", "state")

    def accepted(self, channel: str, kind: str) -> None:
        self._accepted.labels(channel, kind).inc()

    def routed(self, channel: str, decision: str) -> None:
        self._routed.labels(channel, decision).inc()

    def delivered(self, channel: str, state: str, seconds: float | None = None) -> None:
        """A delivery reached a state; with `seconds` since it was committed when it was said."""
        self._deliveries.labels(channel, state).inc()
        if seconds is not None:
            self._send_seconds.labels(channel).observe(max(0.0, seconds))

    def turn_ended(self, agent: str, outcome: str, seconds: float) -> None:
        self._turns.labels(agent, outcome).observe(max(0.0, seconds))

    def model_called(self, model: str, tokens: int, cost_usd: float) -> None:
        self._calls.labels(model).inc()
        self._tokens.labels(model).inc(max(0, tokens))
        self._cost.labels(model).inc(max(0.0, cost_usd))

    def monitor_fired(self, state: str) -> None:
        self._firings.labels(state).inc()

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A value that goes up and down, read at each scrape: `gauge("sessions_awake", …, lambda: engine.awake)`."""
        self._read.gauges[f"threadmill_{name}"] = (help, read)

    def counter(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A value that only grows and that somebody counts anyway: commits, writes."""
        self._read.counters[f"threadmill_{name}"] = (help, read)

    def channels(self, up: Callable[[], Mapping[str, bool]]) -> None:
        """Which channels are connected, read at each scrape."""
        self._read.channels = up

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"threadmill_{name}", help, labels, registry=self._registry)


class _ReadAtScrape(Collector):
    def __init__(self) -> None:
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.counters: dict[str, tuple[str, Callable[[], float]]] = {}
        self.channels: Callable[[], Mapping[str, bool]] = dict

    def collect(self) -> Iterator[Metric]:
        for name, (help, read) in self.gauges.items():
            yield GaugeMetricFamily(name, help, value=read())
        for name, (help, read) in self.counters.items():
            yield CounterMetricFamily(name, help, value=read())
        up = GaugeMetricFamily("threadmill_channel_up", "1 while the channel is connected", labels=["channel"])
        for channel, connected in sorted(self.channels().items()):
            up.add_metric([channel], 1.0 if connected else 0.0)
        yield up
