"""What redaction costs a log line, in units of structlog's JSON rendering. Prints one table.

    python -m benchmarks.redaction

The unit is `structlog.processors.JSONRenderer()` with the stdlib's json, on the same event in the same run. Each row
is the time from an event to its final text. Peers get the text that JSONRenderer made, as they would in a handler,
and the values as patterns if they take patterns; install them with ``pip install apache-airflow-core loggingredactor
maskerlogger``.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from benchmarks.goals import Goal, show
from keyring_core.redaction import Redactor
from keyring_core.redaction import render as render_module
from keyring_core.redaction.redactor import Registry
from keyring_core.redaction.render import JsonRenderer

ORJSON = render_module._orjson()
ROUNDS = 40
WITHOUT_EXTRAS = "keyring_core, stdlib json"
# At most this many microseconds more without extras.
MOST_MICROSECONDS = {"small": 4.0, "large": 35.0}
MANY = 1_000
BATCH_SECONDS = 0.004  # short: on a busy machine some of them run undisturbed

Event = dict[str, Any]
Step = Callable[[Event], str]

render = structlog.processors.JSONRenderer()


def small_event() -> Event:
    """An event of a service: seven fields, a UUID, a trace id and a URL among them."""
    return {
        "event": "request.finished",
        "level": "info",
        "logger": "svc.http",
        "status": 200,
        "request_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "url": "https://api.example.com/v1/users?page=2&limit=50",
    }


def encoded_event() -> Event:
    """The same with a percent-encoded URL, whose text is searched once more as it reads."""
    return small_event() | {"url": "https://api.example.com/v1/users?q=a%20b&page=2"}


def error_event() -> Event:
    """The same with an exception of 0.7 kB."""
    frames = "".join(
        f'  File "/srv/app/orders/{name}.py", line {line}, in {name}\n    return self.{name}(request, timeout=30)\n'
        for name, line in (("dispatch", 118), ("handle", 42), ("load_order", 230), ("execute", 77), ("fetch_one", 512))
    )
    traceback = f"Traceback (most recent call last):\n{frames}OrderNotFound: no order 812 for customer 4711"
    return small_event() | {"event": "request.failed", "level": "error", "exception": traceback}


def large_event() -> Event:
    """Sixty fields, ids and a URL among them, and a traceback of 3 kB: 4.9 kB of JSON."""
    frames = "".join(
        f'  File "/srv/app/module_{number}.py", line {number * 7}, in function_{number}\n'
        f"    result = self.handler_{number}.process(request, timeout={number})\n"
        for number in range(28)
    )
    event: Event = {f"field_{number}": f"value number {number} of the event" for number in range(0, 52, 2)}
    event |= {f"field_{number}": number for number in range(1, 58, 2)}
    traceback = f"Traceback (most recent call last):\n{frames}"[:2970] + "\nValueError: no such row"
    return small_event() | {"event": "request.failed", **event, "exception": traceback}


def unit(event: Event) -> str:
    """The JSON rendering that structlog ships."""
    return str(render(None, "info", dict(event)))


def ours(values: list[str], *, with_orjson: bool) -> Step:
    """keyring_core's rendering with *values* registered."""
    renderer = JsonRenderer(Redactor(values))
    serializer = ORJSON if with_orjson else None

    def step(event: Event) -> str:
        render_module._orjson = lambda: serializer  # type: ignore[attr-defined]
        return renderer(None, "info", event)

    return step


def loggingredactor(values: list[str]) -> Step:
    """The ``loggingredactor`` package: a filter with one pattern a value."""
    from loggingredactor import RedactingFilter

    redact = RedactingFilter(mask_patterns=[re.compile(re.escape(value)) for value in values])

    def step(event: Event) -> str:
        record = logging.makeLogRecord({"msg": unit(event)})
        redact.filter(record)
        return str(record.msg)

    return step


def airflow(values: list[str]) -> Step:
    """Airflow's SecretsMasker, a filter: it takes values, and masks by names."""
    from airflow.sdk._shared.secrets_masker import SecretsMasker

    masker = SecretsMasker()
    for value in values:
        masker.add_mask(value)

    def step(event: Event) -> str:
        return unit(masker.redact(event))

    return step


def maskerlogger(_values: list[str]) -> Step:
    """The ``maskerlogger`` package: a formatter with the shapes of gitleaks; it takes no values."""
    from maskerlogger import MaskerFormatter

    formatter = MaskerFormatter("%(message)s")

    def step(event: Event) -> str:
        return formatter.format(logging.makeLogRecord({"msg": unit(event)}))

    return step


def contenders(values: list[str]) -> Iterator[tuple[str, Step]]:
    """Every row of the table; peers that are not installed are left out."""
    yield WITHOUT_EXTRAS, ours(values, with_orjson=False)
    yield "keyring_core, orjson", ours(values, with_orjson=True)
    for peer in (airflow, loggingredactor, maskerlogger):
        try:
            yield f"peer: {peer.__name__}", peer(values)
        except ImportError:
            continue


def measure(steps: list[Step], event: Event) -> list[float]:
    """Microseconds a call of each of *steps*: the best of many rounds, in turns."""
    best = [float("inf")] * len(steps)
    batches = []
    for step in steps:
        started = time.perf_counter()
        step(event)
        batches.append(max(1, int(BATCH_SECONDS / (time.perf_counter() - started + 1e-6))))
    for _ in range(ROUNDS):
        for place, (step, calls) in enumerate(zip(steps, batches, strict=True)):
            started = time.perf_counter()
            for _ in range(calls):
                step(event)
            best[place] = min(best[place], (time.perf_counter() - started) / calls * 1e6)
    return best


def thousandth() -> float:
    """Milliseconds that adding the 1,000th value takes, the median of the last 51."""
    redactor = Redactor()
    spent = []
    for _ in range(1000):
        value = secrets.token_urlsafe(24)
        started = time.perf_counter()
        redactor.add(value)
        spent.append(time.perf_counter() - started)
    return sorted(spent[-51:])[25] * 1e3


def cost_of(add: Callable[[Any], object], values: list[Any]) -> tuple[float, float]:
    """Milliseconds and kB that a redactor takes for one of *values*: the mean of one half of them each."""
    half = len(values) // 2
    tracemalloc.start()
    for value in values[:half]:
        add(value)
    memory = tracemalloc.get_traced_memory()[0] / half / 1000
    tracemalloc.stop()
    started = time.perf_counter()
    for value in values[half:]:
        add(value)
    return (time.perf_counter() - started) / half * 1e3, memory


def compare() -> list[Goal]:
    """Prints the table; returns the goals."""
    goals = []
    values = [secrets.token_urlsafe(24) for _ in range(MANY)]
    events = {
        "small": small_event(),
        "small, URL with %": encoded_event(),
        "small, exception": error_event(),
        "small, with a secret": small_event() | {"target": values[0]},
        "large": large_event(),
    }
    print(f"{'event':22} {'':28} {'5 values':>14} {'1,000 values':>14} {'more, 5':>12}")
    for name, event in events.items():
        few, many = list(contenders(values[:5])), list(contenders(values))
        times = measure([unit, *(step for _, step in few), *(step for _, step in many)], event)
        one, first, last = times[0], times[1 : 1 + len(few)], times[1 + len(few) :]
        print(f"{name:22} {'structlog JSONRenderer: unit':28} {one:11.1f} us {len(unit(event)):11} B")
        rows = {row: (with_few, with_many) for (row, _), with_few, with_many in zip(few, first, last, strict=True)}
        for row, (with_few, with_many) in rows.items():
            print(f"{name:22} {row:28} {with_few:11.1f} us {with_many:11.1f} us {with_few - one:9.1f} us")
        ours_few, ours_many = rows[WITHOUT_EXTRAS]
        if name in MOST_MICROSECONDS:
            most = MOST_MICROSECONDS[name]
            goals.append(Goal(f"{name} event, more than structlog's rendering", ours_few - one, most, unit="us"))
            goals.append(Goal(f"{name} event, 1,000 values against 5", ours_many / ours_few, 1.2))
            if "peer: airflow" in rows:
                goals.append(Goal(f"{name} event against Airflow's masker", ours_few / rows["peer: airflow"][0], 1.0))
    added = thousandth()
    print(f"adding the 1,000th value: {added:.2f} ms")
    goals.append(Goal("adding the 1,000th value", added, 1.0, unit="ms"))
    milliseconds, memory = cost_of(Redactor().add, [secrets.token_urlsafe(24) for _ in range(4000)])
    print(f"a registered value: {milliseconds:.2f} ms, {memory:.0f} kB")
    own = Registry()
    milliseconds, memory = cost_of(lambda raw: own.add_key(raw, "key"), [secrets.token_bytes(32) for _ in range(200)])
    print(f"a loaded key: {milliseconds:.2f} ms, {memory:.0f} kB\n")
    return goals


if __name__ == "__main__":
    show(compare())
