"""`python -m benchmarks.plots`: draws docs/explanation/performance/growth.svg from what benchmarks.growth measured.

Needs matplotlib, which the extra `bench` brings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import matplotlib

from benchmarks.growth import RESULTS, Points

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes

COLOURS = {"sqlite": "#0b6e99", "postgresql": "#b4540a", "mariadb": "#4f7a28"}
MARKS = {"sqlite": "o", "postgresql": "s", "mariadb": "^"}

Value = Callable[[dict[str, Any]], float]


def micros(point: dict[str, Any]) -> float:
    return float(point["seconds"] / point["of"] * 1e6)


def rate(point: dict[str, Any]) -> float:
    return float(point["of"] / point["seconds"] / 1000)


def draw(axes: Axes, points: Points, name: str, value: Value) -> None:
    """One curve a database."""
    for kind in dict.fromkeys(point["database"] for point in points):
        mine = [point for point in points if point["database"] == kind]
        style = {"color": COLOURS[kind], "marker": MARKS[kind], "label": kind}
        axes.plot([point[name] for point in mine], [value(point) for point in mine], **style)
    axes.grid(visible=True, alpha=0.3)


def main() -> None:
    curves = json.loads(RESULTS.read_text())
    # The same ids and no date: drawn twice, the file is the same.
    pyplot.rcParams.update({"svg.hashsalt": "growth", "font.size": 10, "axes.spines.top": False})
    figure, ((seconds, memory), (workers, size), (keys, rest)) = pyplot.subplots(3, 2, figsize=(10, 11))
    draw(seconds, curves["rows"], "rows", lambda point: point["seconds"])
    seconds.set(title="time of a run", xlabel="rows", ylabel="seconds", xscale="log", yscale="log")
    draw(memory, curves["rows"], "rows", lambda point: point["peak"])
    memory.set(title="peak memory of its largest process", xlabel="rows", ylabel="MB", xscale="log")
    draw(workers, curves["workers"], "workers", rate)
    workers.set(title="rate by workers, on two cores", xlabel="workers", ylabel="1,000 rows a second")
    workers.set_xticks([point["workers"] for point in curves["workers"]])
    draw(size, curves["secret"], "secret", micros)
    size.set(
        title="time a row by size of the secret, one worker", xlabel="bytes", ylabel="µs", xscale="log", yscale="log"
    )
    draw(keys, curves["keys"], "keys", micros)
    keys.set(title="time a row by number of keys, token under the last", xlabel="keys", ylabel="µs")
    rest.axis("off")
    for axes in (seconds, memory, workers, size, keys):
        axes.legend(frameon=False)
        if axes.get_yscale() == "linear":
            # Room above: a level line would lie on the frame.
            axes.set_ylim(0, 1.1 * axes.dataLim.ymax)
    figure.tight_layout()
    figure.savefig(RESULTS.with_suffix(".svg"), metadata={"Date": None})
    print(f"wrote {RESULTS.with_suffix('.svg').name}")


if __name__ == "__main__":
    main()
