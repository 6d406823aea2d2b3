"""Lints deploy/chart and renders it with Helm's own library: JSON on stdout.

    render_chart.py CHART NAME=VALUES.json ...
"""

import json
import sys

import helm_python as helm


def documents(text):
    """The objects of one rendered file."""
    parts = [part for part in ("\n" + text).split("\n---") if part.strip()]
    found = [helm.values_from_yaml(part) for part in parts]
    return [document for document in found if document]


def main():
    chart_folder, *sets = sys.argv[1:]
    chart = helm.Chart.load(chart_folder)
    answer = {"version": helm.helm_sdk_version(), "lint": helm.lint(chart_folder, strict=True), "sets": {}}
    for named in sets:
        name, values = named.split("=", 1)
        try:
            chart.validate_schema(json.loads(values))
            rendered = chart.render(json.loads(values), name="instance", namespace="instance")
        except helm.HelmError as error:
            answer["sets"][name] = {"refused": str(error)}
            continue
        manifests = {path: text for path, text in rendered.items() if path.endswith(".yaml")}
        answer["sets"][name] = {
            "documents": [found for path in sorted(manifests) for found in documents(manifests[path])],
            "text": "\n---\n".join(manifests[path].strip("\n- ") for path in sorted(manifests) if manifests[path].strip()),
        }
    json.dump(answer, sys.stdout)


main()
