"""What the gateway counts and times, as Prometheus reads it. Every name begins with `modelgate_`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from gateway.telemetry.trace_context import current_trace

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SYNC_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_APPROVAL_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# A label's values come from what users add; beyond so many all further ones are counted together.
_MAX_LABEL_VALUES = 200
_OTHER = "other"

ReadValues = Callable[[], Mapping[str, float]]
"""Values by label; the label is empty for a metric that has none."""

EmbeddingPurpose: TypeAlias = Literal["query", "documents"]


class Metrics:
    """The instruments of one process. All methods are cheap, and none raises.

    What is timed in a trace that is sampled carries its id as an exemplar, which OpenMetrics shows.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._servers = _LabelValues()
        self._requests = self._histogram("modelgate_request_seconds", "HTTP requests to the MCP endpoint", "status")
        self._calls = self._histogram("modelgate_tool_call_seconds", "Tool calls", "server", "outcome")
        self._searches = self._histogram("modelgate_search_seconds", "Searches for tools", "outcome")
        self._found = self._counter("modelgate_search_results", "Tools that searches found")
        self._uses = self._histogram(
            "modelgate_other_use_seconds", "Prompts, resources and completions", "action", "outcome"
        )
        self._embedding = self._histogram(
            "modelgate_embedding_seconds", "Embedding of queries and of tools' texts", "purpose", "outcome"
        )
        self._embeddings = self._histogram(
            "modelgate_embeddings_request_seconds", "HTTP requests of other programs for vectors", "status"
        )
        self._embedded_inputs = self._counter("modelgate_embeddings_inputs", "Texts that other programs had embedded")
        self._syncs = self._histogram("modelgate_sync_seconds", "Syncs of servers", "outcome", buckets=_SYNC_SECONDS)
        self._synced_tools = self._counter("modelgate_synced_tools", "Tools that syncs changed", "change")
        self._guards = self._histogram("modelgate_guard_seconds", "What guards looked at", "guard", "verdict")
        self._approval_waits = self._histogram(
            "modelgate_approval_wait_seconds",
            "How long calls waited for a person, by what they heard",
            "outcome",
            buckets=_APPROVAL_SECONDS,
        )
        self._database_waits = self._histogram(
            "modelgate_database_wait_seconds", "Waiting for a connection of the pool", "outcome"
        )

    def observe_embedding(self, purpose: EmbeddingPurpose, outcome: str, seconds: float) -> None:
        """Texts were embedded, or were not."""
        self._embedding.observe(seconds, purpose, outcome)

    def observe_approval_wait(self, outcome: str, seconds: float) -> None:
        """A call has waited for a person, and was let through, or was not."""
        self._approval_waits.observe(seconds, outcome)

    def observe_embeddings_request(self, status: int, inputs: int, seconds: float) -> None:
        """A request of another program for so many vectors was answered with this HTTP status."""
        self._embeddings.observe(seconds, str(status))
        self._embedded_inputs.inc(inputs)

    def observe_request(self, status: int, seconds: float) -> None:
        """An HTTP request at the MCP endpoint was answered with this status."""
        self._requests.observe(seconds, str(status))

    def observe_call(self, server: str | None, outcome: str, seconds: float) -> None:
        """A tool was called; `server` is None for a tool that is not there."""
        self._calls.observe(seconds, self._servers.bounded(server or ""), outcome)

    def observe_search(self, outcome: str, results: int, seconds: float) -> None:
        """A search found so many tools."""
        self._searches.observe(seconds, outcome)
        self._found.inc(results)

    def observe_use(self, action: str, outcome: str, seconds: float) -> None:
        """A prompt, resource or completion was asked for."""
        self._uses.observe(seconds, action, outcome)

    def observe_sync(self, outcome: str, changes: Mapping[str, int], seconds: float) -> None:
        """A server was synced, or was not; `changes` are numbers of tools by what became of them."""
        self._syncs.observe(seconds, outcome)
        for change, tools in changes.items():
            self._synced_tools.labels(change).inc(tools)

    def observe_guard(self, guard: str, verdict: str, seconds: float) -> None:
        """A guard of this kind looked at arguments or a result, and this is what was done about what it found."""
        self._guards.observe(seconds, guard, verdict)

    def observe_database_wait(self, outcome: str, seconds: float) -> None:
        """Somebody waited so long for a connection to the database, and got it or not."""
        self._database_waits.observe(seconds, outcome)

    def watch(self, name: str, documentation: str, read: ReadValues, label: str | None = None) -> None:
        """A gauge that `read` gives whenever the metrics are asked for, by the values of `label` where it has one."""
        self._registry.register(_Watched(GaugeMetricFamily, name, documentation, read, label))

    def watch_counter(self, name: str, documentation: str, read: ReadValues, label: str | None = None) -> None:
        """The same for what only grows; `_total` is added to its name."""
        self._registry.register(_Watched(CounterMetricFamily, name, documentation, read, label))

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def openmetrics(self) -> bytes:
        """All metrics as OpenMetrics (`OPENMETRICS_CONTENT_TYPE`), with exemplars."""
        return bytes(generate_openmetrics(self._registry))  # type: ignore[no-untyped-call]

    def _histogram(
        self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
    ) -> _LabeledHistogram:
        return _LabeledHistogram(Histogram(name, documentation, labels, buckets=buckets, registry=self._registry))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self._registry)


class _LabeledHistogram:
    """Finds the histogram of given labels faster than the library does, which half of an observation is spent on."""

    def __init__(self, parent: Histogram) -> None:
        self._parent = parent
        self._by_labels: dict[tuple[str, ...], Histogram] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Something of these labels took so long; they are bounded in number by whoever gives them."""
        histogram = self._by_labels.get(labels)
        if histogram is None:
            histogram = self._by_labels[labels] = self._parent.labels(*labels)
        trace = current_trace()
        if trace is not None and trace.is_sampled:
            histogram.observe(seconds, {"trace_id": trace.trace_id})
        else:
            histogram.observe(seconds)


class _LabelValues:
    """Bounds the values of a label."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        """`value`, or what stands for all beyond the first two hundred."""
        if value in self._known:
            return value
        if len(self._known) >= _MAX_LABEL_VALUES:
            return _OTHER
        self._known.add(value)
        return value


class _Watched(Collector):
    def __init__(
        self,
        family: type[GaugeMetricFamily] | type[CounterMetricFamily],
        name: str,
        documentation: str,
        read: ReadValues,
        label: str | None,
    ) -> None:
        self._family_type = family
        self._name = name
        self._documentation = documentation
        self._read = read
        self._label = label

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for value, number in list(self._read().items())[:_MAX_LABEL_VALUES]:
            family.add_metric([] if self._label is None else [value], number)
        yield family

    def _family(self) -> GaugeMetricFamily | CounterMetricFamily:
        labels = [] if self._label is None else [self._label]
        return self._family_type(self._name, self._documentation, labels=labels)
