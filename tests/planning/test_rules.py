"""The decision about the tokens under a key, and tokens that hold tokens."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from keyring_core import Key, Keyring
from keyring_core.tokens import BLOCK
from rotation.ledger.records import census_record
from rotation.model.batch import Batch, Block
from rotation.model.key_history import History, Promotion
from rotation.model.report import TargetReport
from rotation.model.target import Format, Target
from rotation.planning import inner_tokens
from rotation.planning.planner import Planner
from rotation.planning.rules import STAYING, Action
from rotation.stores.databases import identify
from tests.conftest import Named
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keyring_core.test_tokens import seal
from tests.keys import make_key
from tests.planning.test_inner_tokens import DECOYS

RING = Keyring(make_key("new"), [make_key("old"), make_key("older")], make_key("staged"))
BOUND = RING.bind("users.api_key", accept_unbound=True)
CONTEXT = "users.api_key"
NEWER = History({make_key("older").id: Promotion(None, datetime(2026, 1, 3, tzinfo=UTC))})


class Case(NamedTuple):
    """A key, and the decision about it in a run and in a dry run."""

    label: str
    context: str | None
    run: Action
    look: Action


CASES = {
    "primary": Case("new", None, Action.CURRENT, Action.CURRENT),
    "previous": Case("old", None, Action.ROTATE, Action.TO_ROTATE),
    "newer than the primary key": Case("older", None, Action.NEWER, Action.NEWER),
    "staged": Case("staged", None, Action.STAGED, Action.STAGED),
    "bound, primary": Case("new", CONTEXT, Action.CURRENT, Action.CURRENT),
    "bound, previous": Case("old", CONTEXT, Action.ROTATE, Action.TO_ROTATE),
    "bound, newer": Case("older", CONTEXT, Action.NEWER, Action.NEWER),
    "bound, staged": Case("staged", CONTEXT, Action.STAGED, Action.STAGED),
    "to be bound, primary": Case("new", "", Action.ROTATE, Action.TO_BIND),
    "to be bound, previous": Case("old", "", Action.ROTATE, Action.TO_BIND),
    "to be bound, newer": Case("older", "", Action.NEWER, Action.NEWER),
    "to be bound, staged": Case("staged", "", Action.STAGED, Action.STAGED),
}
"""With the context of the tokens; an empty one: the target has a context, and these tokens are not bound yet."""

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
in_both = pytest.mark.parametrize("dry_run", [False, True], ids=["run", "dry run"])


def planner_and_key(case: Case, *, dry_run: bool, form: Format = Format.TOKEN) -> tuple[Planner, Key]:
    """A planner of the target of *case*, and the key of its tokens."""
    keyring, key = RING if case.context is None else BOUND, make_key(case.label)
    own = key.bind(case.context) if case.context else key
    return Planner(keyring, NEWER, format=form, dry_run=dry_run), next(each for each in keyring.states if each == own)


@in_both
@each_case
def test_each_state_has_one_action(case: Case, dry_run: bool) -> None:
    """By the key's state and the ledger's dates; the problem of tokens that stay names their key."""
    planner, key = planner_and_key(case, dry_run=dry_run)

    action = planner.action(key)

    assert action is (case.look if dry_run else case.run)
    assert planner.decrypts(action) == (action is Action.ROTATE or (dry_run and action not in STAYING))
    if action in STAYING:
        assert key.id in planner.words_of_staying(key)


@in_both
@pytest.mark.parametrize(("sound", "believed"), [(1, 0), (2, 2)])
def test_a_key_that_fails_on_half_of_its_tokens_is_not_believed(sound: int, believed: int, dry_run: bool) -> None:
    """One more that decrypts, and only the damaged token is one."""
    damaged = seal(b" " * BLOCK, "old", ISSUED_AT)
    rows = [((row,), cell) for row, cell in enumerate([damaged, *(token("old") for _ in range(sound))])]

    plan = Planner(RING, dry_run=dry_run).plan(batch_of(rows))

    assert plan.changes + plan.counts.to_rotate == believed
    assert plan.counts.categories == {"damaged": sound + 1 - believed}


@in_both
@each_case
def test_rows_blocks_and_texts_follow_the_decision(case: Case, dry_run: bool) -> None:
    """The same tokens count alike, however they are stored."""
    planner, key = planner_and_key(case, dry_run=dry_run)
    texts, _ = planner_and_key(case, dry_run=dry_run, form=Format.EMBEDDED)
    action = planner.action(key)
    cells = [key.fernet.encrypt(b"secret").decode() for _ in range(3)]
    keys = [(row,) for row in range(3)]

    plans = [
        planner.plan(Batch(keys, cells)),
        planner.plan(Batch((), (), [Block(range(3), "".join(cells).encode(), len(cells[0]))])),
        texts.plan(Batch(keys, [json.dumps({"key": cell}) for cell in cells])),
    ]

    for plan in plans:
        counts = plan.counts
        numbers = (counts.unsettled, counts.current, counts.to_rotate, plan.changes)
        moves = action in {Action.TO_ROTATE, Action.TO_BIND}
        decisions = (action in STAYING, action is Action.CURRENT, moves, action is Action.ROTATE)
        assert numbers == tuple(3 * each for each in decisions)
        assert counts.under == ({} if action is Action.ROTATE else {key.id: 3})
        assert counts.categories == ({action: 3} if action in STAYING else {})
        assert counts.unbound == 3 * (action is Action.TO_BIND)


def count(keyring: Keyring, *tokens: str) -> int:
    """The number of *tokens*, all of them current, that hold others; each of these is reported."""
    counts = Planner(keyring).plan(batch_of([((row,), cell) for row, cell in enumerate(tokens)])).counts
    assert (counts.current, counts.nested) == (len(tokens), len(counts.problems))
    return counts.nested


OLD = token("old")


def test_a_token_that_holds_a_token_is_counted(keyring: Keyring, named: Named) -> None:
    """Whatever form the inner one has; only a whole token counts."""
    cases = {
        "a token under a known key": (OLD, 1),
        "a token under any key": (token("nobody"), 1),
        "a long token": (token("old", "x" * 5000), 1),
        "a token in JSON": (json.dumps({"access_token": OLD, "expires": 3600}), 1),
        "a token in a list, far from its beginning": (json.dumps(["x" * 700, OLD]), 1),
        "a token in hex": (OLD.encode().hex(), 1),
        "a token in base64": (base64.b64encode(f"user:{OLD}".encode()).decode(), 1),
        "what holds a token and does not open": (token("nobody", OLD), 1),
        "a short secret": ("secret", 0),
        "a long secret": ("x" * 200, 0),
        "a secret with marks": ("AAAA" * 50, 0),
        "begins like a token": ("gAAAA" + "x" * 200, 0),
        "most of a token": (OLD[:-4], 0),
        "nothing": ("", 0),
    }

    for name, (text, number) in cases.items():
        with named(name):
            assert count(keyring, token("new", "x" * 300), token("new", text), token("new", "short")) == number


def test_the_shortest_inner_token_is_not_too_short(new: Key, keyring: Keyring) -> None:
    """As raw bytes it has 73, and so does the plaintext: what is shorter is not decrypted at all."""
    raw = base64.urlsafe_b64decode(token("old", ""))

    assert len(raw) == 73
    assert count(keyring, new.fernet.encrypt(raw).decode()) == 1


def test_a_damaged_token_holds_none(keyring: Keyring) -> None:
    """A beginning of a token before a padding that is none does not end the census."""
    damaged = seal(b"gAAAA" + bytes(987), "new", ISSUED_AT)

    assert count(keyring, damaged) == 0


def test_each_is_named_and_a_run_tells_of_what_it_leaves(keyring: Keyring, old: Key, new: Key) -> None:
    """A look and a run count double encryption under every key; a run rotates the outer token all the same."""
    rows = [((1,), token("old", token("new"))), ((2,), token("new", token("old"))), ((3,), token("new"))]
    look, done = (Planner(keyring, dry_run=dry_run).plan(batch_of(rows)).counts for dry_run in (True, False))

    assert (look.nested, done.nested) == (2, 2)
    assert [(key, category) for key, category, _ in look.problems] == [((1,), "nested"), ((2,), "nested")]
    assert sorted(done.problems) == sorted(look.problems)
    assert look.problems[1].detail == f"it holds another token (under {old.id}), which no run rotates"
    assert not look.complete


def test_inner_tokens_count_under_their_own_keys(keyring: Keyring, new: Key, old: Key, older: Key) -> None:
    """Each level counts under its key, however deep; a token under an unknown key counts under none."""
    deep = token("old", json.dumps([token("older"), token("older", "another"), token("nobody")]))
    rows = [((1,), token("new", deep)), ((2,), token("new", token("new"))), ((3,), token("new", "x" * 200))]
    counts = Planner(keyring, dry_run=True).plan(batch_of(rows)).counts

    assert counts.inner == {old.id: 1, older.id: 2, new.id: 1}
    assert (counts.nested, counts.under) == (2, {new.id: 3})


def test_a_bound_target_knows_the_unbound_inner_token(keyring: Keyring, new: Key, old: Key) -> None:
    """Where a context is set, the keys that it came from are tried, too; an inner token moves with neither."""
    bound = keyring.bind("users.api_key", accept_unbound=True)
    rows = [((1,), bound.encrypt(token("old"))), ((2,), bound.encrypt(bound.encrypt("x")))]

    assert Planner(bound, dry_run=True).plan(batch_of(rows)).counts.inner == {old.id: 1, new.id: 1}


def test_tokens_under_the_staged_key_are_looked_into(new: Key, old: Key) -> None:
    """They stay where they are, and what they hold needs its key all the same."""
    keyring = Keyring(new, previous=[old], staged=make_key("staged"))
    counts = Planner(keyring, dry_run=True).plan(batch_of([((1,), token("staged", token("old")))])).counts

    assert (counts.unsettled, counts.nested, counts.inner) == (1, 1, Counter({old.id: 1}))


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_a_token_holds_and_no_search_ends_is_told(
    keyring: Keyring, new: Key, dry_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token within a token behind data made to cost time is missed, and both the counts and the record say so."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)
    hostile = base64.b64encode(DECOYS).decode() + json.dumps(token("old"))
    counts = Planner(keyring, dry_run=dry_run).plan(batch_of([((1,), token("new", hostile))])).counts
    (tmp_path / "app.db").touch()
    target = Target(f"sqlite:///{tmp_path / 'app.db'}", "users", "token", "users.token")
    report = TargetReport(target, identify(target), ("id",), counts)
    record = census_record(report, new.id, "api", datetime.now(UTC))

    assert counts.inner == {}
    assert (counts.given_up, counts.nested, counts.complete) == (1, 1, False)
    assert record.counts.given_up == record.document()["given_up"] == 1
    assert "more in it than could be searched" in counts.problems[0].detail
