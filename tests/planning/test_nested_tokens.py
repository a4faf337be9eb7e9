"""Tokens that hold tokens."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keyring_core import Key, Keyring
from keyring_core.tokens import parse_token
from rotation.ledger.records import census_record
from rotation.model.report import TargetReport
from rotation.model.target import Target
from rotation.planning import inner_tokens
from rotation.planning.nested import find_nested
from rotation.planning.plan import plan_batch
from rotation.stores.databases import identify
from tests.conftest import Named
from tests.fakes import batch_of, token
from tests.planning.test_inner_tokens import DECOYS


def signed(label: str, text: str) -> bytes:
    return parse_token(token(label, text)).signed


def count(keyring: Keyring, key: Key, tokens: list[bytes]) -> int:
    return len(list(find_nested(keyring, key, tokens)))


OLD = token("old")


def test_a_token_that_holds_a_token_is_counted(new: Key, keyring: Keyring, named: Named) -> None:
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
            tokens = [signed("new", "x" * 300), signed("new", text), signed("new", "short")]

            assert count(keyring, new, tokens) == number


def test_the_shortest_inner_token_is_not_too_short(new: Key, keyring: Keyring) -> None:
    """As raw bytes it has 73, and so does the plaintext: what is shorter is not decrypted at all."""
    raw = base64.urlsafe_b64decode(token("old", ""))
    outer = parse_token(new.fernet.encrypt(raw)).signed

    assert len(raw) == 73
    assert count(keyring, new, [outer]) == 1


def test_no_token_holds_no_token(new: Key, keyring: Keyring) -> None:
    """An empty list is looked at, too."""
    assert count(keyring, new, []) == 0


def test_a_damaged_token_holds_none(new: Key, keyring: Keyring) -> None:
    """A beginning of a token before a padding that is none does not end the census."""
    padded = b"gAAAA" + bytes(1000)
    encryptor = new.cbc(bytes(16)).encryptor()
    damaged = b"\x80" + bytes(8) + bytes(16) + encryptor.update(padded[:992])

    assert count(keyring, new, [damaged]) == 0


def test_each_is_named_and_a_run_tells_of_what_it_leaves(keyring: Keyring, old: Key, new: Key) -> None:
    """A look and a run count double encryption under every key; a run rotates the outer token all the same."""
    rows = [((1,), token("old", token("new"))), ((2,), token("new", token("old"))), ((3,), token("new"))]
    look, done = (plan_batch(keyring, batch_of(rows), dry_run=dry_run).counts for dry_run in (True, False))

    assert (look.nested, done.nested) == (2, 2)
    assert [(key, category) for key, category, _ in look.problems] == [((1,), "nested"), ((2,), "nested")]
    assert sorted(done.problems) == sorted(look.problems)
    assert look.problems[1].detail == f"it holds another token (under {old.id}), which no run rotates"
    assert not look.complete


def test_inner_tokens_count_under_their_own_keys(keyring: Keyring, new: Key, old: Key, older: Key) -> None:
    """Each level counts under its key, however deep; a token under an unknown key counts under none."""
    deep = token("old", json.dumps([token("older"), token("older", "another"), token("nobody")]))
    rows = [((1,), token("new", deep)), ((2,), token("new", token("new"))), ((3,), token("new", "x" * 200))]
    counts = plan_batch(keyring, batch_of(rows), dry_run=True).counts

    assert counts.inner == {old.id: 1, older.id: 2, new.id: 1}
    assert (counts.nested, counts.under) == (2, {new.id: 3})


def test_a_bound_target_knows_the_unbound_inner_token(keyring: Keyring, new: Key, old: Key) -> None:
    """Where a context is set, the keys that it came from are tried, too; an inner token moves with neither."""
    bound = keyring.bind("users.api_key", accept_unbound=True)
    rows = [((1,), bound.encrypt(token("old"))), ((2,), bound.encrypt(bound.encrypt("x")))]

    assert plan_batch(bound, batch_of(rows), dry_run=True).counts.inner == {old.id: 1, new.id: 1}


def test_tokens_under_the_staged_key_are_looked_into(new: Key, old: Key) -> None:
    """They stay where they are, and what they hold needs its key all the same."""
    from tests.keys import make_key

    keyring = Keyring(new, previous=[old], staged=make_key("staged"))
    counts = plan_batch(keyring, batch_of([((1,), token("staged", token("old")))]), dry_run=True).counts

    assert (counts.unsettled, counts.nested, counts.inner) == (1, 1, Counter({old.id: 1}))


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_a_token_holds_and_no_search_ends_is_told(
    keyring: Keyring, new: Key, dry_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token within a token behind data made to cost time is missed, and both the counts and the record say so."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)
    hostile = base64.b64encode(DECOYS).decode() + json.dumps(token("old"))
    counts = plan_batch(keyring, batch_of([((1,), token("new", hostile))]), dry_run=dry_run).counts
    (tmp_path / "app.db").touch()
    target = Target(f"sqlite:///{tmp_path / 'app.db'}", "users", "token", "users.token")
    report = TargetReport(target, identify(target), ("id",), counts)
    record = census_record(report, new.id, "api", datetime.now(UTC))

    assert counts.inner == {}
    assert (counts.given_up, counts.nested, counts.complete) == (1, 1, False)
    assert record.counts.given_up == record.document()["given_up"] == 1
    assert "more in it than could be searched" in counts.problems[0].detail
