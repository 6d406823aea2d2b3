"""A receiver of OTLP over HTTP, and what OpenTelemetry's conventions want of all that comes.

Written against the conventions and the published protobuf messages alone; of the product it knows docs/telemetry.md.
Usage: otlp.py DOCS [SECRET...]. Prints its port; when stdin ends, prints what it found as JSON.
"""

import json
import re
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}
OPERATIONS = {
    "publish": ("send", "PRODUCER"), "process": ("process", "CONSUMER"), "ack": ("settle", "CLIENT"),
    "nak": ("settle", "CLIENT"), "term": ("settle", "CLIENT"),
}
TYPES = {"text": str, "integer": int, "real": float, "truth": bool, "texts": list}
# What a resource of every process must say, and of which type.
RESOURCE = {
    "service.namespace": str, "service.name": str, "service.version": str, "service.instance.id": str,
    "host.name": str, "process.pid": int, "process.command": str, "process.creation.time": str,
}
FOREIGN = ["_INBOX", "$JS.ACK", "$SRV", "$KV"]
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}|[0-9a-f]{16}", re.I)


class Catalogue:
    """The tables of docs/telemetry.md."""

    def __init__(self, path):
        sections = {}
        for block in open(path, encoding="utf-8").read().split("\n## ")[1:]:
            name, _, body = block.partition("\n")
            sections[name] = body
        self.spans = {row[0]: row[1] for row in self.rows(sections["Spans"])}
        self.of_span = {}
        for line in sections["Spans"].splitlines():
            if line.startswith("- "):
                name, _, rest = line[2:].partition("`: ")
                always, _, sometimes = rest.partition(" \\| ")
                self.of_span[name.strip("`")] = (self.ticked(always), self.ticked(sometimes))
        self.metrics = {}
        for name, _, kind, labels, _ in self.rows(sections["Metrics"]):
            fixed = dict(re.findall(r"`([^`]+)`=`([^`]+)`", labels))
            self.metrics[name] = (*kind.split(", "), set(self.ticked(labels)) - set(fixed.values()), fixed)
        self.bounds = {}
        for line in sections["Metrics"].splitlines():
            if line.startswith("- `"):
                name, _, bounds = line[2:].partition(": ")
                self.bounds[name.strip("`")] = [float(bound) for bound in bounds.split(", ")]
        self.attributes = {}
        for name, kind, values, _ in self.rows(sections["Attributes"]):
            closed = self.ticked(values) if values.startswith("`") else None
            self.attributes[name] = (kind, closed)

    @staticmethod
    def rows(text):
        for line in text.splitlines():
            if line.startswith("| `"):
                name, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
                yield [name.strip("`"), *cells]

    @staticmethod
    def ticked(text):
        return re.findall(r"`([^`]+)`", text)


def value(any_value):
    """A value of OTLP as one of Python."""
    which = any_value.WhichOneof("value")
    if which == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, which) if which else None


def pairs(attributes):
    return {pair.key: value(pair.value) for pair in attributes}


class Seen:
    """All that came."""

    def __init__(self, catalogue, secrets):
        self.catalogue, self.secrets = catalogue, secrets
        self.lock = threading.Lock()
        self.faults, self.requests = [], []
        self.spans, self.metrics, self.logs, self.services = {}, {}, [], set()

    def fault(self, what):
        if what not in self.faults:
            self.faults.append(what)

    def take(self, path, body):
        with self.lock:
            self.requests.append(path)
            for word in FOREIGN + self.secrets:
                if word.encode() in body:
                    self.fault(f"{path}: {word} is in it")
            if path == "/v1/traces":
                self.traces(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self.measures(ExportMetricsServiceRequest.FromString(body))
            elif path == "/v1/logs":
                self.records(ExportLogsServiceRequest.FromString(body))
            else:
                self.fault(f"{path} is no path of OTLP")

    def about(self, resource):
        told = pairs(resource.attributes)
        for name, kind in RESOURCE.items():
            if not isinstance(told.get(name), kind):
                self.fault(f"resource: {name} is {told.get(name)!r}")
        if told.get("service.namespace") != "instance" or "process.command_args" in told:
            self.fault(f"resource: {told}")
        try:
            uuid.UUID(told.get("service.instance.id", ""))
        except ValueError:
            self.fault(f"service.instance.id is {told.get('service.instance.id')!r}")
        self.services.add(told.get("service.name"))
        return told

    def scoped(self, scope):
        if not scope.schema_url.startswith("https://opentelemetry.io/schemas/1."):
            self.fault(f"scope {scope.scope.name}: schema_url is {scope.schema_url!r}")

    def traces(self, request):
        for resource in request.resource_spans:
            service = self.about(resource.resource).get("service.name")
            for scope in resource.scope_spans:
                self.scoped(scope)
                for span in scope.spans:
                    if span.span_id in self.spans:
                        self.fault(f"{span.name}: its id came twice")
                    self.spans[span.span_id] = (service, span)

    def measures(self, request):
        for resource in request.resource_metrics:
            self.about(resource.resource)
            for scope in resource.scope_metrics:
                self.scoped(scope)
                for metric in scope.metrics:
                    self.metrics.setdefault(metric.name, []).append(metric)

    def records(self, request):
        for resource in request.resource_logs:
            self.about(resource.resource)
            for scope in resource.scope_logs:
                self.scoped(scope)
                self.logs.extend(scope.log_records)

    def report(self):
        with self.lock:
            for service, span in self.spans.values():
                for what in check_span(span, self.spans, self.catalogue):
                    self.fault(f"{service}: span \"{span.name}\": {what}")
            for name, metrics in self.metrics.items():
                for metric in metrics:
                    for what in check_metric(metric, self.catalogue):
                        self.fault(f"metric {name}: {what}")
            for record in self.logs:
                for what in check_record(record, self.spans):
                    self.fault(f"log \"{value(record.body)}\": {what}")
            names = {}
            for _, span in self.spans.values():
                names[span.name] = names.get(span.name, 0) + 1
            in_spans = sum(1 for record in self.logs if record.span_id)
            return {
                "faults": self.faults, "services": sorted(self.services), "spans": names,
                "metrics": sorted(self.metrics), "logs": len(self.logs), "logs_in_spans": in_spans,
                "requests": len(self.requests),
                "traces": sorted({span.trace_id.hex() for _, span in self.spans.values()}),
            }


def check_span(span, spans, catalogue):
    told, kind = pairs(span.attributes), KINDS.get(span.kind)
    if len(span.trace_id) != 16 or not any(span.trace_id) or len(span.span_id) != 8 or not any(span.span_id):
        yield "its ids are none"
    if span.end_time_unix_nano < span.start_time_unix_nano:
        yield "ends before it begins"
    pattern = None
    if "messaging.system" in told:
        operation, template = told.get("messaging.operation.name"), told.get("messaging.destination.template")
        pattern = operation + (" {messaging.destination.template}" if template else "")
        if span.name != (f"{operation} {template}" if template else operation):
            yield "its name is not operation and template"
        if OPERATIONS.get(operation) != (told.get("messaging.operation.type"), kind):
            yield f"operation {operation} of type {told.get('messaging.operation.type')} is {kind}"
        if told["messaging.system"] != "nats":
            yield "system is not nats"
        if template and (re.search(r"[0-9]", template.replace(".v1.", "")) or "messaging.destination.name" not in told):
            yield f"template {template} with subject {told.get('messaging.destination.name')}"
        if not template and not (told.get("messaging.destination.temporary") and told.get("messaging.destination.anonymous")):
            yield "has no template and is not temporary"
        if kind == "CONSUMER" and span.parent_span_id:
            linked = [(link.trace_id, link.span_id) for link in span.links]
            if (span.trace_id, span.parent_span_id) not in linked:
                yield "is not linked to what created its message"
            parent = spans.get(span.parent_span_id)
            if parent and KINDS.get(parent[1].kind) != "PRODUCER":
                yield f"its parent is \"{parent[1].name}\""
        if kind == "CLIENT" and not span.links:
            # A sender without a tracer leaves nothing to link to, neither here nor where its message was handled.
            parent = spans.get(span.parent_span_id)
            if not parent or parent[1].links:
                yield "is not linked to what it settles"
    elif "http.request.method" in told:
        pattern = "{http.request.method} {http.route}"
        if span.name != f"{told['http.request.method']} {told.get('http.route')}":
            yield "its name is not method and route"
    elif "gen_ai.operation.name" in told:
        pattern = "{gen_ai.operation.name} {gen_ai.request.model}"
        if span.name != f"{told['gen_ai.operation.name']} {told.get('gen_ai.request.model')}":
            yield "its name is not operation and model"
    elif "http.route" in told:
        pattern = "{http.request.method} {http.route}"
    elif span.name in catalogue.spans:
        pattern = span.name
    elif span.name.startswith("request instance.v1."):
        pattern = "request {messaging.destination.template}"
    if pattern not in catalogue.spans:
        yield "is not in the catalogue"
        return
    if catalogue.spans[pattern] != kind:
        yield f"is {kind}"
    always, sometimes = catalogue.of_span[pattern]
    for name in always:
        if name not in told:
            yield f"has no {name}"
    for name, found in told.items():
        if name not in always + sometimes:
            yield f"{name} is not among its attributes"
        else:
            yield from check_attribute(name, found, catalogue)
    failed = span.status.code == 2
    if span.status.code == 1 or failed != ("error.type" in told):
        yield f"status {span.status.code} with error.type {told.get('error.type')}"


def check_attribute(name, found, catalogue):
    kind, closed = catalogue.attributes.get(name, (None, None))
    wanted = TYPES.get(kind)
    if wanted is None:
        yield f"{name} is not in the table of attributes"
    elif not isinstance(found, wanted) or (wanted is int and isinstance(found, bool)):
        yield f"{name} is {found!r}, and {kind} in the table"
    elif closed and str(found).lower() not in [known.lower() for known in closed]:
        yield f"{name} is {found!r}, and one of {closed} in the table"


def check_metric(metric, catalogue):
    if metric.name not in catalogue.metrics:
        yield "is not in the catalogue"
        return
    kind, unit, labels, fixed = catalogue.metrics[metric.name]
    data = metric.WhichOneof("data")
    if {"sum": "counter", "gauge": "gauge", "histogram": "histogram"}.get(data) != kind:
        yield f"is {data}, and {kind} in the table"
        return
    if metric.unit != unit.strip("`"):
        yield f"unit {metric.unit}, and {unit} in the table"
    told = getattr(metric, data)
    if data == "sum" and not told.is_monotonic:
        yield "goes up and down"
    if data != "gauge" and told.aggregation_temporality != 2:
        yield "is not cumulative"
    for point in told.data_points:
        attributes = pairs(point.attributes)
        if data == "histogram" and list(point.explicit_bounds) != catalogue.bounds[metric.name]:
            yield f"bounds {list(point.explicit_bounds)}"
        for name, found in attributes.items():
            if name not in labels:
                yield f"label {name} is not in the table"
            else:
                yield from check_attribute(name, found, catalogue)
            if ID.search(str(found)):
                yield f"label {name} holds an id: {found}"
        for name, wanted in fixed.items():
            if attributes.get(name) != wanted:
                yield f"{name} is {attributes.get(name)!r}"


def check_record(record, spans):
    if SEVERITIES.get(record.severity_text) != record.severity_number:
        yield f"severity {record.severity_text} is {record.severity_number}"
    if not isinstance(value(record.body), str):
        yield "its body is no text"
    if bool(record.trace_id) != bool(record.span_id):
        yield "has one id of two"
    if record.span_id in spans and spans[record.span_id][1].trace_id != record.trace_id:
        yield "names a span of another trace"
    told = pairs(record.attributes)
    if ("exception.message" in told) != (record.event_name == "instance.exception"):
        yield f"event {record.event_name!r} with {sorted(told)}"


def handler(seen):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-type"] != "application/x-protobuf":
                seen.fault(f"content-type {self.headers['content-type']}")
            seen.take(self.path, body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


def main():
    seen = Seen(Catalogue(sys.argv[1]), sys.argv[2:])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(seen))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    json.dump(seen.report(), sys.stdout)


if __name__ == "__main__":
    main()
