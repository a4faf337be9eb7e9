"""Cells that are not tokens and become some, and the description of a cell without its content."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import KeyConfigError, Keyring
from keyring_core.legacy import Legacy
from rotation.model.batch import NO_KEY, Plan
from rotation.model.target import Adopts, Target
from rotation.planning.planner import Planner
from rotation.planning.rules import Taken, Takeover, describe
from tests.conftest import Named
from tests.fakes import batch_of, token
from tests.hiding.dresses import DRESSES, NOT_LOOKED_FOR, Tokens
from tests.keyring_core.legacy.known_cells import BY_NAME, cells_of, environ_of, legacy_of
from tests.keys import make_key

KEYRING = Keyring(make_key("new"), previous=[make_key("old"), make_key("older")])
BOTH = [Adopts.PLAINTEXT, Adopts.RANDOM]
LIGHT = {
    name: dress
    for name, dress in DRESSES.items()
    if name not in {"blind-index", *NOT_LOOKED_FOR} and not re.search("large-|across|many", name)
}
"""Tokens in all forms that are looked for, without those that take seconds; `tests/hiding` has them all."""

PLAIN = [
    "p",
    "sk-live-0123456789",
    "a, b; 'c' \"d\" \\e\nf\tg\r\n",
    "Grüße 世界 🔑",
    "\x01\x1b[0m\x7f",
    "67",
    "8000000000",
    "it begins with gAAAA",
    "AAAA BBBB",
    "https://example.com/?token=x",
    "  blanks around  ",
]
RANDOM = {
    "a Fernet key": make_key("some").reveal(),
    "an AES cell": base64.b64encode(bytes(range(131, 255, 3))[:32]).decode(),
    "bytes": bytes(range(128, 160)),
    "a few bytes": b"\xff\xfe",
}


def adopted(cell: str | bytes, adopts: Adopts = Adopts.PLAINTEXT) -> Plan:
    """The plan of a batch of that cell alone."""
    return Planner(KEYRING, takeover=Takeover(None, adopts)).plan(batch_of([((1,), cell)]))


def test_plaintext_becomes_a_token_as_it_stands(named: Named) -> None:
    """The token opens to the very bytes of the cell, and is of the cell's type."""
    for cell in PLAIN:
        for as_bytes in (False, True):
            with named(cell, as_bytes):
                held = cell.encode() if as_bytes else cell

                plan = adopted(held)

                assert (list(plan.swaps.old), list(plan.key_ids), plan.counts.taken_over) == ([held], [NO_KEY], 1)
                [new] = plan.swaps.new
                assert type(new) is type(held)
                assert KEYRING.decrypt_bytes(new) == cell.encode()
                assert KEYRING.key_for(new) is KEYRING.primary


def test_a_run_makes_no_token_of_plaintext(named: Named) -> None:
    """Only `adopt` does."""
    for cell in (*PLAIN, *RANDOM.values()):
        with named(cell):
            assert not adopted(cell, Adopts.NOTHING).changes


@pytest.mark.parametrize("cell", RANDOM.values(), ids=RANDOM)
def test_random_looking_cells_need_a_word(cell: str | bytes) -> None:
    """They may be another cipher's output: they stay, unless they are accepted."""
    assert adopted(cell).counts.unreadable == 1
    assert KEYRING.decrypt_bytes(adopted(cell, Adopts.RANDOM).swaps.new[0]) == (
        cell if isinstance(cell, bytes) else cell.encode()
    )


@pytest.mark.parametrize("cell", ["", "  \n", b"", None])
def test_nothing_stays_nothing(cell: str | bytes | None) -> None:
    """NULL, an empty cell and blanks are no plaintext."""
    plan = Planner(KEYRING, takeover=Takeover(None, Adopts.RANDOM)).plan(batch_of([((1,), cell)]))

    assert (plan.changes, plan.counts.taken_over, plan.counts.to_rotate) == (0, 0, 0)


@pytest.mark.parametrize("adopts", BOTH)
@pytest.mark.parametrize("hidden", ["old", "nobody"])
def test_no_token_in_any_dress_is_encrypted_again(hidden: str, adopts: Adopts, named: Named) -> None:
    """With its key or without: a bare token moves as a token, and every other form stays."""
    for name, dress in LIGHT.items():
        with named(name):
            cell = dress(Tokens(make_key(hidden), make_key("new"), make_key("elsewhere")))

            plan = adopted(cell, adopts)

            assert NO_KEY not in plan.key_ids
            assert plan.counts.taken_over == 0


CUT: dict[str, Callable[[str], str | bytes]] = {
    "bare": lambda text: text,
    "in a sentence": lambda text: f"the token {text}",
    "in quotes": lambda text: f'"{text}',
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "hex of PostgreSQL": lambda text: f"\\x{text.encode().hex()}",
    "hex of the decoded": lambda text: base64.urlsafe_b64decode(text).hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base32 of the decoded": lambda text: base64.b32encode(base64.urlsafe_b64decode(text)).decode(),
    "repr of the decoded": lambda text: repr(base64.urlsafe_b64decode(text)),
    "hex with colons": lambda text: base64.urlsafe_b64decode(text).hex(":"),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "JSON's escapes": lambda text: "".join(f"\\u{byte:04x}" for byte in text.encode()),
    "decoded": base64.urlsafe_b64decode,
    "UTF-16": lambda text: text.encode("utf-16-le"),
}


@pytest.mark.parametrize("adopts", BOTH)
def test_a_token_that_was_cut_stays(adopts: Adopts, named: Named) -> None:
    """A column too narrow for them has such cells: to encrypt one would hide that data were lost."""
    for name, spell in CUT.items():
        for share in (0.5, 0.9):
            with named(name, share):
                whole = spell(token("nobody"))
                cell = whole[: int(len(whole) * share)]

                plan = adopted(cell, adopts)

                assert (plan.changes, plan.counts.unreadable) == (0, 1)
                assert plan.counts.categories.keys() == {"truncated"}


@pytest.mark.parametrize("adopts", BOTH)
def test_what_could_not_be_searched_stays(adopts: Adopts) -> None:
    """More than a megabyte is no credential, and may hold a token."""
    plan = adopted("word " * 300_000, adopts)

    assert (plan.changes, plan.counts.unreadable) == (0, 1)


def test_cells_of_a_package_become_tokens(named: Named) -> None:
    """The known answers: each opens under the primary key to what the package reads, and no plaintext is too long."""
    for name, case in BY_NAME.items():
        with named(name):
            target = Target("sqlite://", "creds", "token", "creds", source=legacy_of(case))
            takeover = Takeover.of(target, environ_of(case))
            cells = list(cells_of(case))
            rows = [((row,), cell) for row, (cell, _) in enumerate(cells)]

            plan = Planner(KEYRING, takeover=takeover).plan(batch_of(rows))

            assert (plan.counts.taken_over, len(plan.swaps), plan.counts.problems) == (len(cells), len(cells), [])
            assert [KEYRING.decrypt_bytes(new) for new in plan.swaps.new] == [plaintext for _, plaintext in cells]
            assert all(
                len(plaintext) <= takeover.longest(len(cell.encode() if isinstance(cell, str) else cell))
                for cell, plaintext in cells
            )


def test_a_dry_run_plans_nothing_and_describes_plaintext_alone() -> None:
    """Cells of a package are as secret as tokens; what opened is sure to be one."""
    case = BY_NAME["advanced-alchemy 1.12.0"]
    [(foreign, _), *_] = cells_of(case)
    takeover = Takeover(legacy_of(case).reader(environ_of(case)), Adopts.PLAINTEXT)
    rows = [((1,), foreign), ((2,), "sk-live-1"), ((3,), token("old")), ((4,), token("nobody"))]

    plan = Planner(KEYRING, takeover=takeover, dry_run=True).plan(batch_of(rows))

    assert (plan.changes, plan.counts.to_rotate, plan.counts.taken_over, plan.counts.unreadable) == (0, 3, 2, 1)
    assert plan.counts.samples == [((2,), "9 characters: lowercase letters, digits, symbols")]


def test_a_dry_run_keeps_a_few_samples() -> None:
    """Five of a target, whatever the batches."""
    planner = Planner(KEYRING, takeover=Takeover(None, Adopts.PLAINTEXT), dry_run=True)
    one = planner.plan(batch_of([((row,), "p") for row in range(9)])).counts
    one.add(one)

    assert [row for row, _ in one.samples] == [(row,) for row in range(5)]
    assert "samples" not in one.by_name()


def test_a_missing_secret_is_named_with_its_target() -> None:
    """Nothing of the value of another variable is in the error, nor reachable from it."""
    target = Target("sqlite://", "creds", "token", "creds", source=Legacy("advanced-alchemy", secret="$OLD_SECRET"))

    with pytest.raises(KeyConfigError, match=r"creds\.token, from: \$OLD_SECRET: not set") as refused:
        Takeover.of(target, {"OTHER": "value"})

    assert refused.value.__context__ is None


def test_a_taken_cell_shows_nothing() -> None:
    """Its repr may be logged."""
    assert "hunter2" not in repr(Taken(b"hunter2", 7))


OWN_WORDS = "0123456789 characters: lowercase letters, uppercase letters, digits, blanks, other letters, symbols"


@given(st.text(min_size=4) | st.binary(min_size=4))
def test_a_description_holds_nothing_of_its_cell(cell: str | bytes) -> None:
    """No four characters in a row of a cell stand in its description, apart from the words that all of them have."""
    words = describe(cell)
    text = cell if isinstance(cell, str) else cell.decode("utf-8", "replace")
    own = f"{OWN_WORDS} {len(cell)} {len(text)} bytes, not text"

    assert not [run for run in (text[at : at + 4] for at in range(len(text) - 3)) if run in words and run not in own]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("hunter2", "7 characters: lowercase letters, digits"),
        ("Grüße 世界🔑", "9 characters: lowercase letters, uppercase letters, blanks, other letters, symbols"),
        (b"K-\t1", "4 characters: uppercase letters, digits, blanks, symbols"),
        (b"\xff\xfe\x00", "3 bytes, not text"),
    ],
)
def test_a_description_names_length_and_kinds(cell: str | bytes, words: str) -> None:
    """So that an admin knows a password from a sentence, and either from a key."""
    assert describe(cell) == words
