"""Plans of rows whose keys are made with salts of their own: as those of one key, row by row, and never by a guess."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from keyring_core import DamagedToken, Key, Keyring
from keyring_core.row_keys import RowDerivation, RowKeyrings
from keyring_core.tokens import parse_token
from rotation.model.batch import Batch
from rotation.model.counts import KEPT_PROBLEMS
from rotation.model.failures import StoppedError
from rotation.model.target import Adopts, Format
from rotation.planning import salted
from rotation.planning.planner import Planner
from rotation.planning.rules import Takeover
from rotation.planning.salted import SaltedPlanner
from tests.fakes import token
from tests.keyring_core.test_key_reads import damaged_under
from tests.keyring_core.test_row_keys import stock
from tests.keys import key_text, make_key, mistyped

OLD_SECRET, NEW_SECRET = "the old secret of an application", "the new secret of an application"


def root(secret: str, column: str = "user_id") -> Key:
    return RowDerivation("pbkdf2-sha256", column, iterations=1000).key(secret)


def planner(primary: Key, *previous: Key, **settings: Any) -> SaltedPlanner:
    return salted.salted(Planner(Keyring(primary, previous), **settings))


def batch(rows: list[tuple[Any, Any]]) -> Batch:
    """Rows of a salt and a cell."""
    return Batch([(n,) for n in range(len(rows))], [cell for _, cell in rows], salts=[(salt,) for salt, _ in rows])


def old(salt: object, text: str = "value", secret: str = OLD_SECRET) -> str:
    return stock(str(salt).encode(), secret).encrypt(text.encode()).decode()


def test_each_row_moves_to_the_key_of_its_own_salt() -> None:
    """Rows with the same salt need not be neighbours; the swaps are in the order of the rows; no key of a row stays."""
    one = planner(root(NEW_SECRET), root(OLD_SECRET))
    plan = one.plan(batch([(salt, old(salt)) for salt in (1, 2, 2, 1, 3)]))

    assert plan.swaps.keys == [(n,) for n in range(5)]
    salts = b"1", b"2", b"2", b"1", b"3"
    assert [stock(salt, NEW_SECRET).decrypt(new) for salt, new in zip(salts, plan.swaps.new, strict=True)] == [
        b"value"
    ] * 5
    assert set(plan.key_ids) == {root(OLD_SECRET).id}
    assert one.balance == {}


def test_a_set_may_mix_raw_keys_and_keys_of_rows() -> None:
    """Old tokens under a raw key, a derived one and keys of rows by two columns move to one raw primary key."""
    keys = root(OLD_SECRET), root(OLD_SECRET, "salt"), make_key("old")
    cells = [old("1"), old("s"), token("old"), token("new")]
    rows = Batch([(n,) for n in range(4)], cells, salts=[("1", "s")] * 4)
    plan = planner(make_key("new"), *keys).plan(rows)

    assert [make_key("new").fernet.decrypt(new) for new in plan.swaps.new[:2]] == [b"value", b"value"]
    assert list(plan.key_ids) == [key.id for key in keys]
    assert plan.counts.current == 1


def test_a_token_under_another_rows_key_is_unreadable() -> None:
    """The key of a row opens no other row's token."""
    plan = planner(root(NEW_SECRET), root(OLD_SECRET)).plan(batch([(1, old(2)), (2, old(2, secret=NEW_SECRET))]))

    assert (len(plan.swaps), plan.counts.unreadable, plan.counts.current) == (0, 1, 1)


def test_every_refused_row_of_a_batch_is_a_problem() -> None:
    """Also of more rows than a report lists: the problems file has them all."""
    plan = planner(root(NEW_SECRET), root(OLD_SECRET)).plan(batch([(1, old(2))] * (KEPT_PROBLEMS + 1)))

    assert [each.key for each in plan.counts.problems] == [(n,) for n in range(KEPT_PROBLEMS + 1)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_cell_without_a_salt_is_unreadable_in_words_of_its_own(*, dry_run: bool) -> None:
    """Unless it is empty, or a key that needs no salt opens it. The problem names the column; nothing is guessed."""
    rows = [(None, old("")), (None, ""), (None, None), (None, "plain words"), (2.5, token("old")), (1, old(1))]
    plan = planner(root(NEW_SECRET), root(OLD_SECRET), make_key("old"), dry_run=dry_run).plan(batch(rows))
    counts = plan.counts

    assert counts.categories == Counter({"no-salt": 2, "plaintext": 1})
    assert (counts.unreadable, counts.empty, counts.null, counts.plaintext) == (2, 1, 1, 1)
    assert (len(plan.swaps), counts.to_rotate) == ((0, 1) if dry_run else (1, 0))
    assert all("the salt in user_id" in each.detail for each in counts.problems if each.category == "no-salt")


def test_a_cell_without_a_salt_moves_to_a_raw_key_if_a_raw_key_opens_it() -> None:
    """Only what needs the salt is left."""
    rows = [(None, token("old")), (None, token("new")), (None, old(1))]
    plan = planner(make_key("new"), make_key("old"), root(OLD_SECRET)).plan(batch(rows))

    assert plan.swaps.keys == [(0,)]
    assert (plan.counts.current, plan.counts.categories) == (1, Counter({"no-salt": 1}))


def test_plaintext_becomes_a_token_of_its_rows_key_and_none_without_a_salt() -> None:
    """An adoption never encrypts with the root key."""
    rows = [(1, "plain words"), (None, "more words")]
    plan = planner(root(NEW_SECRET), takeover=Takeover(None, Adopts.PLAINTEXT)).plan(batch(rows))

    [new] = plan.swaps.new
    assert stock(b"1", NEW_SECRET).decrypt(new) == b"plain words"
    assert plan.counts.categories == Counter({"no-salt": 1})


@pytest.mark.parametrize("salt", [1, None])
def test_a_zero_is_no_empty_cell(salt: int | None) -> None:
    """SQLite keeps a number in a column of text; also 0 is only adopted under the key of its row."""
    plan = planner(root(NEW_SECRET), takeover=Takeover(None, Adopts.PLAINTEXT)).plan(batch([(salt, 0)]))

    assert [stock(b"1", NEW_SECRET).decrypt(new) for new in plan.swaps.new] == ([b"0"] if salt else [])
    assert plan.counts.categories == Counter({} if salt else {"no-salt": 1})


def test_tokens_in_texts_move_to_their_rows_key() -> None:
    """The other formats are planned as elsewhere; further tokens stay with their cell."""
    rows = [(1, f"a {old(1)} b"), (2, f"c {old(2)} d {old(2)} e")]
    plan = planner(root(NEW_SECRET), root(OLD_SECRET), format=Format.EMBEDDED).plan(batch(rows))

    assert len(plan.swaps) == 2
    assert [each.swap for each in plan.further] == [1]
    _, first, _ = str(plan.swaps.new[0]).split(" ")
    assert stock(b"1", NEW_SECRET).decrypt(first) == b"value"


def test_a_row_key_moves_beside_a_token_of_another_key_that_is_left() -> None:
    """`others = "leave"` holds for keys of rows, too."""
    text = f"{old(1)} {token('nobody')}"
    leaving = planner(root(NEW_SECRET), root(OLD_SECRET), format=Format.EMBEDDED, leaves_others=True)

    plan = leaving.plan(batch([(1, text)]))

    [new] = plan.swaps.new
    assert new.endswith(text.split()[1])
    assert stock(b"1", NEW_SECRET).decrypt(new.split()[0]) == b"value"


def test_a_token_of_a_row_without_a_salt_is_never_left_as_that_of_others() -> None:
    """Its key cannot be made, so that it looks like a token of others beside one that opens."""
    cell = f"{token('old')} {old(1)}"
    plan = planner(make_key("new"), make_key("old"), root(OLD_SECRET), format=Format.EMBEDDED, leaves_others=True).plan(
        batch([(None, cell)])
    )

    assert not plan.changes
    assert (plan.counts.categories, plan.counts.others) == (Counter({"no-salt": 1}), 0)


def test_a_mistyped_raw_key_writes_nothing_though_each_row_is_planned_alone() -> None:
    """One token in 256 decrypts under a key that is wrong in its second half: all of a batch is looked at first."""
    wrong = Key.parse(mistyped(key_text("old")))
    cells = [token("old", f"value {n}") for n in range(2000)]
    # The one that decrypts comes first, before any other can show that the key is wrong.
    cells.sort(key=lambda cell: wrong.open(parse_token(cell)) is None)
    assert wrong.open(parse_token(cells[0])) is not None
    rows = batch([(n % 3, cell) for n, cell in enumerate(cells)])
    plan = planner(root(NEW_SECRET), wrong).plan(rows)

    assert (len(plan.swaps), plan.counts.unreadable) == (0, 2000)


def test_one_damaged_token_leaves_the_others_of_its_row_key_alone() -> None:
    """A key that was derived is not mistyped, however few tokens it has."""
    key = RowKeyrings(Keyring(root(OLD_SECRET))).of((b"1",)).keyring.primary
    cells = damaged_under(key).decode(), old(1)
    plan = planner(root(NEW_SECRET), root(OLD_SECRET)).plan(batch([(1, cell) for cell in cells]))

    assert plan.swaps.keys == [(1,)]
    assert plan.counts.categories == Counter({DamagedToken.category: 1})


def test_a_batch_ends_where_its_keys_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one row is left; the keys that were derived are not derived again; a stop ends it at once."""
    monkeypatch.setattr(salted, "READY_SECONDS", 0)
    one = planner(root(NEW_SECRET), root(OLD_SECRET))
    rows = batch([(n // 2, old(n // 2)) for n in range(10)])
    ready = one.ready(rows, lambda _: None)
    made = one.keyrings.made

    def stop(_seconds: float) -> None:
        raise StoppedError("stop")

    assert (ready.rows, made) == (2, 1)
    assert one.plan(ready).changes == 2
    assert one.keyrings.made == made
    with pytest.raises(StoppedError):
        one.ready(rows.part(2, 4), stop)


def test_a_batch_has_no_more_salts_than_keyrings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the plan of a batch derives nothing."""
    monkeypatch.setattr(salted, "READY_SECONDS", 600)
    one = planner(root(NEW_SECRET), root(OLD_SECRET))
    rows = batch([(n, "x") for n in range(RowKeyrings.MOST + 10)])

    assert one.ready(rows, lambda _: None).rows == RowKeyrings.MOST


def test_empty_cells_need_no_key() -> None:
    """Nothing is derived for a cell that holds nothing."""
    one = planner(root(NEW_SECRET), root(OLD_SECRET))
    plan = one.plan(one.ready(batch([(n, None) for n in range(1000)]), lambda _: None))

    assert (plan.counts.null, one.keyrings.made) == (1000, 0)
