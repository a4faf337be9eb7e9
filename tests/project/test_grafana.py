"""The Grafana dashboard asks for what the code writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from prometheus_client.parser import text_fd_to_metric_families

from rotation.checks.verdict import Verdict
from rotation.configuration.policy import Policy
from tests.checks.worlds import NOW, PREVIOUS, PRIMARY, facts, target
from tests.conftest import Named
from tests.outputs.taken import write_metrics

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "key-rotation.json").read_text("utf-8"))
QUERIES = [(panel["title"], asked["expr"]) for panel in DASHBOARD["panels"] for asked in panel["targets"]]
QUERIES += [(one["name"], one["expr"]) for one in DASHBOARD["annotations"]["list"]]
VARIABLES = {"$service": ".*", "$__interval": "5m"}


def parsed(query: str) -> Any:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    return promql.parse(query)


def walk(expression: Any) -> Iterator[Any]:
    """The expression and all within."""
    yield expression
    inner = [getattr(expression, name, None) for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param")]
    for part in [*inner, *getattr(expression, "args", [])]:
        if isinstance(part, promql.Expr):
            yield from walk(part)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, str]]]:
    """What the code writes: names and labels."""
    times = {PRIMARY: 1_700_000_000, PREVIOUS: 1_600_000_000}
    seen = target({PRIMARY: 10, PREVIOUS: 3}, unreadable=1, oldest=times, youngest=times)
    verdict = Verdict.of(facts(targets=(seen,), unreached={"a.b": "gone"}), Policy(), NOW)
    path = tmp_path_factory.mktemp("metrics") / "keys.prom"
    assert write_metrics(path, verdict) is None
    with path.open(encoding="utf-8") as file:
        return [(one.name, dict(one.labels)) for family in text_fd_to_metric_families(file) for one in family.samples]


def fits(matcher: Any, labels: dict[str, str]) -> bool:
    """As Prometheus does it: a label that is not there is empty, and a pattern is the whole value's."""
    value = labels.get(matcher.name, "")
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    same = re.fullmatch(matcher.value, value) is not None if is_pattern else value == matcher.value
    return same == (matcher.op in (promql.MatchOp.Equal, promql.MatchOp.Re))


def test_every_query_finds_what_is_written(samples: list[tuple[str, dict[str, str]]], named: Named) -> None:
    """Each selector picks a sample that the code writes, and what is grouped by is a label of it."""
    for title, query in QUERIES:
        with named(title):
            expressions = list(walk(parsed(query)))
            selectors = [one for one in expressions if isinstance(one, promql.VectorSelector)]
            found = [
                [
                    labels
                    for name, labels in samples
                    if name == selector.name and all(fits(matcher, labels) for matcher in selector.matchers.matchers)
                ]
                for selector in selectors
            ]

            assert selectors
            assert all(found), f"{title}: nothing that is written fits"
            for aggregate in (one for one in expressions if isinstance(one, promql.AggregateExpr) and one.modifier):
                assert set(aggregate.modifier.labels) <= {
                    label for each in found for labels in each for label in labels
                }


def test_legends_name_labels() -> None:
    """What a legend shows is grouped by in its query."""
    named = [
        (label, asked["expr"])
        for panel in DASHBOARD["panels"]
        for asked in panel["targets"]
        for label in re.findall(r"{{(\w+)}}", asked["legendFormat"])
    ]

    assert named
    for label, query in named:
        assert re.search(rf"by \([^)]*\b{label}\b", query), query


def test_the_dashboard_can_be_brought_in() -> None:
    """Panels have numbers of their own, do not overlap, and ask the data source that the reader picks."""
    panels = DASHBOARD["panels"]
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    assert {source["uid"] for panel in panels for source in (panel["datasource"], *_sources(panel))} == {"${source}"}
    assert DASHBOARD["templating"]["list"][0]["name"] == "source"


def _sources(panel: dict[str, Any]) -> list[dict[str, str]]:
    return [asked["datasource"] for asked in panel["targets"]]
