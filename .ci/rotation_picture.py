"""The moving picture of a rotation, as SVG: values in, text out. `.ci/draw_run.py` records the values.

It moves by CSS alone, so it also moves in an `<img>`, in which no script runs. If the reader prefers less motion, or
the program that shows it knows no animation, it is a still: the moment in which half of the tokens are moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise


@dataclass(frozen=True)
class Step:
    """What a terminal, the tokens and the service show when a step is done."""

    command: str
    printed: Sequence[str]
    old: int
    """The number of tokens under the old key."""
    new: int
    reads: int
    """How often the service has read since the recording began."""
    writes: int
    failed: int


SECONDS = 20
NAMES = ("before", "keys stage", "keys promote", "run", "keys retire")
STARTS = (0, 12, 32, 52, 78, 100)
"""The percentage of the time at which each step begins."""
STILL = 3
CAPTIONS = (
    "The service encrypts and decrypts with one key.",
    "Every service gets the new key: it can decrypt, nothing changes yet.",
    "The new key encrypts from now on; the old one still decrypts.",
    "What is stored moves to the new key. What the service writes stays.",
    "Nothing needs the old key any more: it can go.",
)
ENCRYPTS = ("old", "old", "new", "new", "new")
DECRYPTS = (("old",), ("old", "new"), ("old", "new"), ("old", "new"), ("new",))
OLD_SAYS = ("encrypts, decrypts", "encrypts, decrypts", "decrypts", "decrypts", "gone: in the archive")
NEW_SAYS = ("", "decrypts", "encrypts, decrypts", "encrypts, decrypts", "encrypts, decrypts")
SHARES = (0.0, 0.0, 0.06, 0.5, 1.0)
"""The part of the tokens under the new key; `run` is shown half done."""
COLUMNS, ROWS = 12, 6
WRITTEN = {(8, 1): 40, (10, 4): 46, (3, 3): 49}
"""Cells that the service writes after the promotion, and when."""

STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; font-size: 17px }
text { fill: #22303a }
.mono { font-family: ui-monospace, Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre }
.page { fill: #ffffff; stroke: #cfd8dc } .box { fill: #f3f6f7; stroke: #b0bec5 }
.line { stroke: #78909c; stroke-width: 2 } .name { font-size: 14px; font-weight: 700 }
.screen { fill: #22303a } .command { fill: #ffffff; font-size: 20px; font-weight: 700 } .printed { fill: #cfe3e0 }
.head { font-size: 20px; font-weight: 700 } .mid { text-anchor: middle } .quiet { fill: #546e7a }
.old { fill: #ffb74d } .new { fill: #4db6ac } .plain { fill: #90a4ae } .on { fill: #1b2a30; font-weight: 700 }
.none { fill: none; stroke: #90a4ae; stroke-width: 2; stroke-dasharray: 6 5 }
.here { fill: none; stroke: #00796b; stroke-width: 3; opacity: 0 }
.step { opacity: 0 } .still { opacity: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e3eaed } .page { fill: #12191d; stroke: #37474f } .box { fill: #1b2429; stroke: #455a64 }
  .screen { fill: #060a0c } .quiet { fill: #a7b8c0 } .on { fill: #1b2a30 } .here { stroke: #80cbc4 }
}
@media (max-width: 480px) { .said { font-size: 20px } }
"""


def draw(steps: Sequence[Step]) -> str:
    """The picture of five *steps*, the first of them before any command."""
    moves = "".join(_moves())
    parts = "\n".join(_parts(steps))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 636" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">A key rotation while a service keeps reading and writing</title>\n'
        f'<desc id="desc">{" ".join(f"{name}: {caption}" for name, caption in zip(NAMES, CAPTIONS, strict=True))}'
        f"</desc>\n<style>{STYLE}@media (prefers-reduced-motion: no-preference) {{\n{moves}}}\n</style>\n"
        f'<rect class="page" x="1" y="1" width="758" height="634" rx="12"/>\n{parts}\n</svg>\n'
    )


def _moves() -> Iterator[str]:
    """The rules of everything that moves."""
    for step, (start, end) in enumerate(pairwise(STARTS)):
        yield _rule(
            f"s{step}", (0, int(not start)), *([(start, 1)] if start else []), *([(end, 0)] if end < 100 else [])
        )
    for turn in sorted({_turn(column, row) for column in range(COLUMNS) for row in range(ROWS)}):
        yield _rule(_class(turn), (0, 0), (turn, 1))
    yield _rule("comes", (0, 0), (14, 1))
    yield _rule("goes", (0, 1), (84, 0.15))
    places = (
        f"{start:g}%, {end - 0.6:g}% {{ transform: translateX({123 * step}px) }}"
        for step, (start, end) in enumerate(pairwise(STARTS))
    )
    yield f".here {{ opacity: 1; animation: here {SECONDS}s infinite }}\n@keyframes here {{ {' '.join(places)} }}\n"
    for side, way, second in (("in", 56, "read"), ("out", 48, "write")):
        for direction in ("read", "write"):
            move = f"translateX({way if direction == 'write' else -way}px)"
            rule = f"{direction}-{side} 2s {int(direction == second)}s infinite both"
            yield f".{direction}.{side} {{ animation: {rule} }}\n"
            yield (
                f"@keyframes {direction}-{side} {{ 0% {{ transform: none; opacity: 1 }} "
                f"45% {{ transform: {move}; opacity: 1 }} 50%, 100% {{ transform: {move}; opacity: 0 }} }}\n"
            )


def _rule(name: str, *opacities: tuple[float, float]) -> str:
    """The rule of a class that has each opacity from a percentage of the time on."""
    frames = [
        f"{start and start + 0.6:g}%, {end:g}% {{ opacity: {opacity:g} }}"
        for (start, opacity), (end, _) in pairwise([*opacities, (100, 0)])
    ]
    return f".{name} {{ animation: {name} {SECONDS}s infinite }}\n@keyframes {name} {{ {' '.join(frames)} }}\n"


def _turn(column: int, row: int) -> float:
    """The percentage of the time at which a cell is under the new key."""
    return WRITTEN.get((column, row), 53 + 1.9 * column)


def _class(turn: float) -> str:
    return f"t{turn:g}".replace(".", "-")


def _parts(steps: Sequence[Step]) -> Iterator[str]:
    yield '<rect class="screen" x="16" y="16" width="728" height="132" rx="8"/>'
    for number, step in enumerate(steps):
        lines = [f'<text class="mono command" x="34" y="48">$ {escape(step.command)}</text>'] + [
            f'<text class="mono printed" x="34" y="{78 + 26 * line}">{escape(text)}</text>'
            for line, text in enumerate(step.printed)
        ]
        yield _shown(number, lines)
    yield from _service(steps)
    yield from _keys()
    yield from _tokens(steps)
    yield from _strip()


def _service(steps: Sequence[Step]) -> Iterator[str]:
    yield '<rect class="box" x="16" y="168" width="190" height="208" rx="8"/>'
    yield '<text class="head" x="34" y="202">Your service</text><text class="quiet" x="34" y="228">keeps working</text>'
    for number, step in enumerate(steps):
        rows = (("reads", step.reads), ("writes", step.writes), ("failed", step.failed))
        lines = [
            f'<text class="said" x="34" y="{278 + 32 * row}">{name}</text>'
            f'<text class="said" x="188" y="{278 + 32 * row}" text-anchor="end">{count:,}</text>'
            for row, (name, count) in enumerate(rows)
        ]
        yield _shown(number, lines)


def _keys() -> Iterator[str]:
    for key, top, says in (("old", 168, OLD_SAYS), ("new", 280, NEW_SAYS)):
        for direction, y, used in (("write", top + 32, ENCRYPTS), ("read", top + 64, DECRYPTS)):
            active = [number for number in range(5) if key in used[number]]
            # The staged key decrypts nothing yet: no token is under it.
            active = [number for number in active if not (key == "new" and number == 1)]
            starts = (206, 462) if direction == "write" else (262, 510)
            names = ("in", "out")
            kinds = ("plain", key)
            yield f'<path class="line" d="M206 {y}h56M462 {y}h48"/>'
            for number in active:
                dots = [
                    f'<circle class="{kind} {direction} {name}" cx="{start}" cy="{y}" r="8"/>'
                    for kind, name, start in zip(kinds, names, starts, strict=True)
                ]
                yield _shown(number, dots)
        moving = {"old": "goes", "new": "comes"}[key]
        yield f'<rect class="none" x="262" y="{top}" width="200" height="96" rx="8"/>'
        yield f'<g class="{moving}"><rect class="{key}" x="262" y="{top}" width="200" height="96" rx="8"/>'
        yield f'<text class="head on mid" x="362" y="{top + 42}">{key} key</text></g>'
        for number, text in enumerate(says):
            ink = "mid" if text.startswith("gone") else "on mid"
            yield _shown(number, [f'<text class="{ink}" x="362" y="{top + 72}">{text}</text>'])


def _tokens(steps: Sequence[Step]) -> Iterator[str]:
    yield '<text class="head" x="516" y="184">Stored tokens</text>'
    for row in range(ROWS):
        for column in range(COLUMNS):
            place = f'x="{516 + 19 * column}" y="{198 + 19 * row}" width="16" height="16" rx="3"'
            turn = _turn(column, row)
            still = "" if column < COLUMNS / 2 or (column, row) in WRITTEN else ' opacity="0"'
            yield f'<rect class="old" {place}/><rect class="new {_class(turn)}" {place}{still}/>'
    yield '<rect class="old" x="516" y="326" width="16" height="16" rx="3"/>'
    yield '<rect class="new" x="516" y="356" width="16" height="16" rx="3"/>'
    for number, step in enumerate(steps):
        before = steps[number - 1]
        old, new = f"{step.old:,} old", f"{step.new:,} new"
        if NAMES[number] == "run":
            old, new = f"{before.old:,} → {old}", f"{before.new:,} → {new}"
        yield _shown(
            number,
            [f'<text class="said" x="542" y="{340 + 30 * line}">{text}</text>' for line, text in enumerate((old, new))],
        )


def _strip() -> Iterator[str]:
    """The whole rotation at one glance: a column for each step."""
    for row, name in enumerate(("encrypts", "decrypts", "tokens")):
        yield f'<text class="head" x="20" y="{466 + 46 * row}">{name}</text>'
    yield '<rect class="here" x="130" y="396" width="120" height="184" rx="8"/>'
    for number, name in enumerate(NAMES):
        left = 136 + 123 * number
        yield f'<text class="mono name mid" x="{left + 54}" y="424">{name}</text>'
        yield from _chips(left, 442, (ENCRYPTS[number],))
        yield from _chips(left, 488, DECRYPTS[number])
        new = round(108 * SHARES[number])
        yield f'<rect class="old" x="{left}" y="536" width="108" height="32" rx="4"/>'
        if new:
            yield f'<rect class="new" x="{left}" y="536" width="{new}" height="32" rx="4"/>'
    for number, caption in enumerate(CAPTIONS):
        yield _shown(number, [f'<text class="said" x="20" y="614">{caption}</text>'])


def _chips(left: int, top: int, keys: Sequence[str]) -> Iterator[str]:
    width = (108 - 4 * (len(keys) - 1)) // len(keys)
    for place, key in enumerate(keys):
        x = left + place * (width + 4)
        yield f'<rect class="{key}" x="{x}" y="{top}" width="{width}" height="34" rx="4"/>'
        yield f'<text class="on mid" x="{x + width // 2}" y="{top + 23}">{key}</text>'


def _shown(number: int, lines: Sequence[str]) -> str:
    """*lines*, visible during a step; in the still, if it is that one's."""
    still = " still" if number == STILL else ""
    return f'<g class="step s{number}{still}">{"".join(lines)}</g>'
