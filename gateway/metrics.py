"""What the gateway counts and times, as Prometheus reads it. Every name begins with `modelgate_`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# A label's values come from what users add; beyond so many all further ones are counted together.
_MOST_LABEL_VALUES = 200
_OTHER = "other"

ReadGauge = Callable[[], Mapping[str, float]]
"""Values by label; the label is empty for a gauge that has none."""


class Metrics:
    """The instruments of one process. All methods are cheap, and none raises."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._servers = _LabelValues()
        self._requests = self._histogram("modelgate_request_seconds", "HTTP requests to the MCP endpoint", "status")
        self._calls = self._histogram("modelgate_tool_call_seconds", "Tool calls", "server", "outcome")
        self._searches = self._histogram("modelgate_search_seconds", "Searches for tools", "outcome")
        self._found = Counter("modelgate_search_results", "Tools that searches found", registry=self._registry)
        self._uses = self._histogram(
            "modelgate_other_use_seconds", "Prompts, resources and completions", "action", "outcome"
        )
        self._embeddings = self._histogram(
            "modelgate_embeddings_request_seconds", "HTTP requests for vectors", "status"
        )
        self._embedded_inputs = Counter(
            "modelgate_embeddings_inputs", "Texts that other programs had embedded", registry=self._registry
        )

    def observe_embedding(self, status: int, inputs: int, seconds: float) -> None:
        """A request of another program for so many vectors was answered with this HTTP status."""
        self._embeddings.labels(str(status)).observe(seconds)
        self._embedded_inputs.inc(inputs)

    def observe_request(self, status: int, seconds: float) -> None:
        """An HTTP request at the MCP endpoint was answered with this status."""
        self._requests.labels(str(status)).observe(seconds)

    def observe_call(self, server: str | None, outcome: str, seconds: float) -> None:
        """A tool was called; `server` is None for a tool that is not there."""
        self._calls.labels(self._servers.bounded(server or ""), outcome).observe(seconds)

    def observe_search(self, outcome: str, results: int, seconds: float) -> None:
        """A search found so many tools."""
        self._searches.labels(outcome).observe(seconds)
        self._found.inc(results)

    def observe_use(self, action: str, outcome: str, seconds: float) -> None:
        """A prompt, resource or completion was asked for."""
        self._uses.labels(action, outcome).observe(seconds)

    def watch(self, name: str, documentation: str, read: ReadGauge, label: str | None = None) -> None:
        """A gauge that `read` gives whenever the metrics are asked for, by the values of `label` where it has one."""
        self._registry.register(_Watched(name, documentation, read, label))

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, buckets=_SECONDS, registry=self._registry)


class _LabelValues:
    """Bounds the values of a label."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        """`value`, or what stands for all beyond the first two hundred."""
        if value in self._known:
            return value
        if len(self._known) >= _MOST_LABEL_VALUES:
            return _OTHER
        self._known.add(value)
        return value


class _Watched(Collector):
    def __init__(self, name: str, documentation: str, read: ReadGauge, label: str | None) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read
        self._label = label

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for value, number in list(self._read().items())[:_MOST_LABEL_VALUES]:
            family.add_metric([] if self._label is None else [value], number)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._documentation, labels=[] if self._label is None else [self._label])
