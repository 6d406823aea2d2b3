"""Asks Phoenix (Arize) for the spans that it has taken, and holds the tree of the longest trace together.

Usage: phoenix.py URL. Waits for a whole incident, then prints what it saw as JSON.
"""

import json
import sys
import time
import urllib.request

WANTED = [
    "observe entry",
    "process instance.v1.command.{instance}",
    "publish instance.v1.remediation.{shard}.{id}.accepted",
    "publish instance.v1.remediation.{shard}.{id}.ended",
]


def ask(url, query, **variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url + "/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    if told.get("errors"):
        raise SystemExit(f"Phoenix refuses the question: {told['errors']}")
    return told["data"]


SPANS = """
query ($after: String) { projects { edges { node { name spans(first: 1000, after: $after) {
  pageInfo { hasNextPage endCursor }
  edges { node { name spanId parentId trace { traceId } } }
} } } } }
"""


def spans(url):
    found, after = [], None
    while True:
        projects = ask(url, SPANS, after=after)["projects"]["edges"]
        pages = [edge["node"]["spans"] for edge in projects]
        for page in pages:
            found += [edge["node"] for edge in page["edges"]]
        more = [page["pageInfo"]["endCursor"] for page in pages if page["pageInfo"]["hasNextPage"]]
        if not more:
            return found
        after = more[0]


def whole(traces):
    """The trace that holds a whole incident, if one has come."""
    for trace_id, members in traces.items():
        names = {span["name"] for span in members}
        if all(name in names for name in WANTED):
            return trace_id, members
    return None


def main():
    url, deadline = sys.argv[1], time.monotonic() + 300
    while True:
        traces = {}
        for span in spans(url):
            traces.setdefault(span["trace"]["traceId"], []).append(span)
        wrong = f"no whole incident among {len(traces)} traces"
        if found := whole(traces):
            trace_id, members = found
            ids = {span["spanId"] for span in members}
            roots = [span["name"] for span in members if not span["parentId"]]
            lost = [span["name"] for span in members if span["parentId"] and span["parentId"] not in ids]
            if roots == ["observe entry"] and not lost:
                break
            # It takes spans in beside its answers: what is missing now may be on its way.
            wrong = f"no tree: roots {roots}, without a parent {lost}"
        if time.monotonic() > deadline:
            raise SystemExit(wrong)
        time.sleep(0.5)
    json.dump({"traces": len(traces), "trace_id": trace_id, "spans": len(members)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
