"""Lints and renders the Helm chart, and validates what it creates: `tests/repo/test_deploy.py` runs it.

Standard input is a list of values to render. Standard output has the findings of lint, and for each of the values the
objects, or the reason why the chart refuses them.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

CHART, OLDEST = sys.argv[1:]
"""The directory of the chart, and the oldest version of Kubernetes for which it is."""
CUSTOM = ("postgresql.cnpg.io/v1",)
"""What Kubernetes itself has no schema for."""


def objects(chart, values):
    chart.validate_schema(values)
    rendered = chart.render(values, name="demo", namespace="prod")
    for name, text in sorted(rendered.items()):
        if name.endswith(".yaml"):
            yield from filter(None, yaml.safe_load_all(text))


def validated(chart, values):
    try:
        found = list(objects(chart, values))
        for each in found:
            if each["apiVersion"] not in CUSTOM:
                kubernetes_validate.validate(each, OLDEST, strict=True)
    except (helm_python.HelmError, kubernetes_validate.ValidationError) as error:
        return {"refused": str(error)}
    return {"objects": found}


with helm_python.Chart.load(CHART) as chart:
    json.dump(
        {
            "lint": helm_python.lint(CHART)["messages"],
            "rendered": [validated(chart, values) for values in json.load(sys.stdin)],
        },
        sys.stdout,
    )
