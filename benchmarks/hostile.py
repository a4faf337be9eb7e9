"""What text that is written to hold up a scan costs, in units of ordinary text of the same length.

    python -m benchmarks.hostile [--seconds N] [--seed N]

Builds units from what the scanner looks for itself: its gates, the names of secrets, the literals that vendors'
credentials begin with, and delimiters. Each unit is repeated to a text. A unit that costs more than those before it is
varied further. Times are CPU times of `Redactor.redact`, the least of several; the ordinary text is log lines with ids,
URLs, sentences and a traceback.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator

from benchmarks.goals import Goal, show
from benchmarks.redaction import large_event, small_event
from keyring_core.redaction import Redactor, credentials, pairs, sensitive_names, shapes
from keyring_core.redaction.render import JsonRenderer, to_json

SECONDS = 60
MOST = 20.0
LENGTHS = (200, 2_000, 20_000)
BEST = 200

DELIMITERS = (
    *"=:;,&?@/#|\\'\"`<>()[]{}$%+-_. \n\t0aA1",
    "://", "=>", ":=", " is ", " was: ", "--", '", "', "': '", "\\n", "\\\"", "\\\\", "%25", "%41", "0x41", "\\x41",
    "00000000  00 01 ", "\x1b[0m", "a1B2c3D4", "a1-", "null", "None", " value=", "</", "@host", "]\n", "@x.y",
)  # fmt: skip
WORDS = (
    *sensitive_names._WORDS,
    *(" ".join(pair) for pair in sensitive_names._PAIRS),
    *(word for _, word, _ in pairs._GATES),
    *credentials.SHAPES,
    *(gate for gate in shapes.LANDMARKS.values()),
    *("curl -u ", "mysql -p", "sshpass -p ", "redis-cli -a ", "bearer ", "kty", "sig=", "b'\\x00'\n b'", "gAAAAA"),
)


def ordinary(length: int) -> str:
    """Log lines, as many as *length* characters take."""
    lines = [to_json(event) for event in (small_event(), large_event())]
    text = "\n".join(lines * (1 + length // sum(map(len, lines))))
    return text[-length:]


def spent(work: Callable[[], object], least: float = 0.002) -> float:
    """Seconds of CPU that *work* takes: the least of five, each at least *least* long."""
    calls = 1
    while True:
        started = time.process_time()
        for _ in range(calls):
            work()
        taken = time.process_time() - started
        if taken >= least:
            break
        calls *= 2 if taken <= 0 else 1 + int(least / taken)
    best = taken / calls
    for _ in range(4):
        started = time.process_time()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time() - started) / calls)
    return best


def units(chance: random.Random, found: list[tuple[float, str]]) -> Iterator[str]:
    """New units: of pieces by chance, and variations of those that cost most so far."""
    pieces = (*WORDS, *DELIMITERS)
    while True:
        if found and chance.random() < 0.5:
            unit = list(chance.choice(found[:20])[1])
            place = chance.randrange(len(unit) + 1)
            unit[place : place + chance.randrange(3)] = chance.choice(pieces)
            yield "".join(unit)
        else:
            yield "".join(
                chance.choice(WORDS if chance.random() < 0.4 else DELIMITERS) for _ in range(chance.randint(1, 4))
            )


def cost_of(one: str, length: int, redactor: Redactor, least: float = 0.005) -> float:
    """Seconds of CPU that the unit *one*, repeated to *length*, takes."""
    text = (one * (length // len(one) + 1))[:length]
    return spent(lambda: redactor.redact(text), least)


def worst(seconds: float, seed: int) -> dict[int, list[tuple[float, str]]]:
    """For each length, the units that cost most, with their factors."""
    chance = random.Random(seed)
    redactor = Redactor(["Zq3vK9tLxW7e-a8f", "correct horse battery"])
    results: dict[int, list[tuple[float, str]]] = {}
    for length in LENGTHS:
        plain = ordinary(length)
        unit = spent(lambda plain=plain: redactor.redact(plain))
        found: list[tuple[float, str]] = []
        until = time.monotonic() + seconds / len(LENGTHS)
        for one in units(chance, found):
            if time.monotonic() > until:
                break
            if one:
                found.append((cost_of(one, length, redactor, 0.0005) / unit, one))
            found.sort(reverse=True)
            del found[BEST:]
        # Measured once more: on a busy machine some of them were only unlucky.
        results[length] = sorted(((cost_of(one, length, redactor) / unit, one) for _, one in found[:10]), reverse=True)
        print(f"{length:7} characters, ordinary {unit / length * 1e9:5.1f} ns each")
        for factor, one in results[length][:5]:
            print(f"{factor:15.1f}  {one!r}")
    return results


def lines() -> float:
    """The factor of a whole log line in JSON whose path is the worst of the known units."""
    render = JsonRenderer(Redactor())
    events = [{"event": "GET /" + unit * (8_000 // len(unit)), "status": 404} for unit in ("key:", "token:", "pw=a,")]
    unit = spent(lambda: render(None, "info", {"event": ordinary(8_000), "status": 404}))
    return max(spent(lambda event=event: render(None, "info", event)) for event in events) / unit


def compare(seconds: float = SECONDS, seed: int = 1) -> list[Goal]:
    """Prints the worst units; returns the goals."""
    results = worst(seconds, seed)
    line = lines()
    print(f"a log line of 8,000 characters in JSON: {line:.1f}\n")
    return [
        *(
            Goal(f"{length:,} hostile characters against ordinary text", found[0][0], MOST)
            for length, found in results.items()
        ),
        Goal("a log line with 8,000 hostile characters against an ordinary one", line, MOST),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    show(compare(options.seconds, options.seed))
