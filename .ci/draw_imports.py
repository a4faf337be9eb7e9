"""Draws docs/explanation/architecture.svg: a box for each folder, and the imports between folders as arrows.

`python .ci/draw_imports.py` writes the picture, and the imports in the table of docs/explanation/architecture.md; a
test compares.
Floors come from the layers in pyproject.toml, arrows from the import graph, lazy imports counted.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).parents[1]
PICTURE, PAGE = ROOT / "docs" / "explanation" / "architecture.svg", ROOT / "docs" / "explanation" / "architecture.md"
ROW = re.compile(r"^(\| `(rotation|keyring_core)(?:/(\w+))?(?:/|\.py)` \| .*? \| )(.*?)(\|)$", re.MULTILINE)
"""A row of the table; its third cell holds what the folder imports."""
CORE = "keyring_core"
CAPTIONS = {
    "__main__": "starts the command line",
    "manage": "manage.py rotate_keys",
    "cli": "commands, options, exit codes",
    "audit": "ledger, certificate, signature",
    "output": "text, JSON, metrics, page",
    "lifecycle": "stage, promote, retire, restore",
    "checks": "facts and policy to findings",
    "retirement": "whether a key may go",
    "job": "read, plan, write, count",
    "kept_files": "what no output may replace",
    "context": "inputs, key rings, connections",
    "fleet": "services announce their keys",
    "applications": "known applications, their rules",
    "ledger": "dates, runs, counts; no secret",
    "discovery": "columns no target covers",
    "declared": "columns that models declare",
    "stores": "reads and swaps database cells",
    "world": "process, files, key rings",
    "configuration": "rotation.toml, targets, key sets",
    "planning": "which cells are rewritten",
    "model": "targets, batches, counts, reports",
    CORE: "keys, tokens, redaction",
}
WIDTH, HEIGHT, STEP, GAP, MARGIN = 226, 48, 92, 28, 24
Edges = dict[str, set[str]]
STYLE = """\
svg { --ground: #ffffff; --box: #eef2f7; --line: #57606a; --text: #1f2328; --small: #4d5661 }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --box: #1c2330; --line: #9aa4af; --text: #e6edf3; --small: #b3bcc6 }
}
.ground { fill: var(--ground) } .box { fill: var(--box); stroke: var(--line) }
.arrow { fill: none; stroke: var(--line); stroke-width: 1.4; marker-end: url(#head) } #head path { fill: var(--line) }
text { font-family: system-ui, sans-serif; text-anchor: middle }
.name { font-size: 16px; font-weight: 600; fill: var(--text) } .caption { font-size: 12.5px; fill: var(--small) }"""


def floors() -> list[list[str]]:
    """The folders of each floor, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [*([name.strip() for name in layer.split("|")] for layer in layers), [CORE]]


def imports() -> Edges:
    """The other folders that each folder imports from, at load time or later."""
    graph = grimp.build_graph(CORE, "rotation")
    found: Edges = defaultdict(set)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if folder(module) != folder(imported):
                found[folder(module)].add(folder(imported))
    return found


def folder(module: str) -> str:
    """The folder of a module, or a file beside the folders."""
    top, *inner = module.split(".")
    return inner[0] if top == "rotation" and inner else top


def reduced(edges: Edges) -> Edges:
    """*edges* without those that follow from others."""

    def below(name: str) -> set[str]:
        return set().union(*({each} | below(each) for each in edges.get(name, ())))

    return {name: {to for to in tos if not any(to in below(other) for other in tos)} for name, tos in edges.items()}


def places(levels: list[list[str]], arrows: Edges) -> tuple[dict[str, tuple[float, float]], list[list[str]]]:
    """The middle of each box's upper edge, and each arrow as a path of names; a long one has a name on each floor."""
    floor = {name: number for number, names in enumerate(levels) for name in names}
    rows, paths = [list(names) for names in levels], []
    for name, tos in sorted(arrows.items()):
        for to in sorted(tos):
            stops = [f"{name}>{to}>{number}" for number in range(floor[name] + 1, floor[to])]
            for stop in stops:
                rows[int(stop.rpartition(">")[2])].append(stop)
            paths.append([name, *stops, to])
    above: Edges = defaultdict(set)
    for path in paths:
        for upper, lower in itertools.pairwise(path):
            above[lower].add(upper)
    where: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        spots = {name: [where[each][0] for each in above[name]] for name in row}
        row.sort(key=lambda name: (sum(spots[name]) / len(spots[name]) if spots[name] else 1e6, name))
        width = [0 if ">" in name else WIDTH for name in row]
        x = -(sum(width) + GAP * (len(row) - 1)) / 2
        for name, wide in zip(row, width, strict=True):
            where[name] = (x + wide / 2, number * STEP)
            x += wide + GAP
    return where, paths


def draw() -> str:
    """The picture."""
    levels, edges = floors(), imports()
    where, paths = places(levels, reduced(edges))
    half = max(abs(x) for x, _ in where.values()) + WIDTH / 2 + MARGIN
    height = (len(levels) - 1) * STEP + HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-half:g} {-MARGIN} {2 * half:g} {height}" '
        f'width="{2 * half:g}" height="{height}" role="img">',
        "<title>The folders and what they import, from the command line down to keyring_core</title>",
        f"<style>{STYLE}</style>",
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker>',
        f'<rect class="ground" x="{-half:g}" y="{-MARGIN}" width="{2 * half:g}" height="{height}" rx="8"/>',
    ]
    for path in paths:
        lines.append(f'<path class="arrow" d="{_curve(path, where)}"/>')
    for name in (name for names in levels for name in names):
        x, y = where[name]
        lines.append(f"<g><title>{_sentence(name, edges)}</title>")
        lines.append(f'<rect class="box" x="{x - WIDTH / 2:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>')
        lines.append(f'<text class="name" x="{x:g}" y="{y + 20:g}">{name}</text>')
        lines.append(f'<text class="caption" x="{x:g}" y="{y + 38:g}">{escape(CAPTIONS[name])}</text></g>')
    return "\n".join([*lines, "</svg>", ""])


def tabulate(page: str) -> str:
    """*page*, with what each folder imports in its row of the table."""
    edges = imports()

    def row(match: re.Match[str]) -> str:
        below = ", ".join(sorted(edges.get(match[3] or match[2], ())))
        return f"{match[1]}{below and f'{below} '}{match[5]}"

    return ROW.sub(row, page)


def _sentence(name: str, edges: Edges) -> str:
    below = ", ".join(sorted(edges.get(name, ())))
    return f"{name} imports {below}" if below else f"{name} imports no other folder"


def _curve(path: list[str], where: dict[str, tuple[float, float]]) -> str:
    """From the lower edge of the first box through the gaps to the upper edge of the last one."""
    (x0, y0), (x1, _) = where[path[0]], where[path[1]]
    lean = max(-WIDTH / 4, min(WIDTH / 4, (x1 - x0) / 4))
    points = [(x0 + lean, y0 + HEIGHT)]
    for stop in path[1:-1]:
        x, y = where[stop]
        points += [(x, y), (x, y + HEIGHT)]
    x, y = where[path[-1]]
    lean = max(-WIDTH / 4, min(WIDTH / 4, (points[-1][0] - x) / 4))
    points.append((x + lean, y - 1))
    drawn = f"M{points[0][0]:g} {points[0][1]:g}"
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        middle = (ya + yb) / 2
        drawn += f" C{xa:g} {middle:g} {xb:g} {middle:g} {xb:g} {yb:g}"
    return drawn


if __name__ == "__main__":
    PICTURE.write_text(draw())
    PAGE.write_text(tabulate(PAGE.read_text()))
