"""Keys of rows: the key that stock code makes of a secret and a row's salt, under one id, and masked while in use."""

from __future__ import annotations

import base64
import gc
import hashlib
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from keyring_core import Derivation, Key, KeyConfigError, Keyring, SuspendedKey
from keyring_core import derivation as derivations
from keyring_core.derivation import SaltForm
from keyring_core.key_reads import key_reads
from keyring_core.keyring import RotationKeyring
from keyring_core.redaction.redactor import Redactor
from keyring_core.row_keys import ROOT_SALT, RootKey, RowDerivation, RowKeyrings, salt_of
from tests.keys import make_key

SECRET = "the secret of an application"
ROWS = RowDerivation("pbkdf2-sha256", "user_id", iterations=1000)


def stock(salt: bytes, secret: str = SECRET) -> Fernet:
    """What an application makes of its secret and a salt."""
    raw = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 1000, 32)
    return Fernet(base64.urlsafe_b64encode(raw))


def test_the_key_of_a_row_is_the_one_that_the_application_makes() -> None:
    """Stock Fernet opens what the keyring of a row encrypts; the id is the same for all rows."""
    root = ROWS.key(SECRET)
    keyrings = RowKeyrings(Keyring(root))
    found = [keyrings.of(keyrings.salts([user])).keyring for user in (7, "8", b"9")]

    for salt, keyring in zip((b"7", b"8", b"9"), found, strict=True):
        assert stock(salt).decrypt(keyring.encrypt("a value")) == b"a value"
    assert {keyring.primary.id for keyring in found} == {root.id}


def test_a_root_key_costs_what_a_row_costs_and_opens_nothing() -> None:
    """Its id is of a key that is derived with all the rounds, and with a salt that names its purpose and the column."""
    root = ROWS.key(SECRET)
    documented = Derivation("pbkdf2-sha256", salt=f"{ROOT_SALT}user_id", iterations=1000).key(SECRET)
    others = [
        RowDerivation("pbkdf2-sha256", "salt", iterations=1000).key(SECRET),
        RowDerivation("pbkdf2-sha256", "user_id", iterations=1001).key(SECRET),
        RowDerivation("pbkdf2-sha256", "user_id", iterations=1000, form=SaltForm.UUID).key(SECRET),
        RowDerivation("hkdf-sha256", "user_id").key(SECRET),
    ]

    assert root.id == documented.id
    assert len({key.id for key in (root, *others)}) == 5
    assert Keyring(root).salt_columns == ("user_id",)
    assert not isinstance(Keyring(root).identify_many([stock(b"7").encrypt(b"x")])[0], Key)


def test_the_keyring_of_a_row_has_the_states_and_the_class_of_its_root() -> None:
    """A service refuses the rows of a suspended secret, and a rotation opens them."""
    root, old = ROWS.key(SECRET), ROWS.key("the secret of before")
    keyrings, moving = (RowKeyrings(kind(root, suspended=[old])) for kind in (Keyring, RotationKeyring))
    token = stock(b"7", "the secret of before").encrypt(b"x")

    with pytest.raises(SuspendedKey, match=old.id):
        keyrings.of(keyrings.salts([7])).keyring.decrypt(token)
    assert moving.of(moving.salts([7])).keyring.decrypt(token) == "x"
    assert key_reads()[old.id][:3:2] == (0, 1)


@pytest.mark.parametrize(
    ("value", "form", "salt"),
    [
        pytest.param("Zoë", SaltForm.VALUE, "Zoë".encode(), id="text"),
        pytest.param("", SaltForm.VALUE, b"", id="an empty text"),
        pytest.param(812, SaltForm.VALUE, b"812", id="a number"),
        pytest.param(UUID(int=812), SaltForm.VALUE, str(UUID(int=812)).encode(), id="a UUID"),
        pytest.param(memoryview(b"\0x"), SaltForm.VALUE, b"\0x", id="bytes"),
        pytest.param(None, SaltForm.VALUE, None, id="NULL"),
        pytest.param(True, SaltForm.VALUE, None, id="a truth value"),
        pytest.param(8.0, SaltForm.VALUE, None, id="a fraction"),
        pytest.param("812", SaltForm.UUID, str(UUID(int=812)).encode(), id="the number of a UUID"),
        pytest.param(1 << 128, SaltForm.UUID, None, id="a number too large for a UUID"),
        pytest.param("-1", SaltForm.UUID, None, id="a negative number for a UUID"),
        pytest.param("²", SaltForm.UUID, None, id="a digit of another kind"),
    ],
)
def test_a_salt_is_what_applications_make_of_the_value(value: object, form: SaltForm, salt: bytes | None) -> None:
    """Text, numbers, UUIDs and bytes are salts; nothing else is taken for one."""
    assert salt_of(value, form) == salt


def test_a_missing_salt_leaves_the_root_key_and_names_the_column() -> None:
    """The other keys of the row are there, so that what they opened stays readable."""
    keyrings = RowKeyrings(Keyring(make_key("new"), previous=[ROWS.key(SECRET)]))
    found = keyrings.of(keyrings.salts([None]))

    assert list(found.missing) == ["user_id"]
    assert found.keyring.primary == make_key("new")
    assert [type(key) for key in found.keyring.states] == [Key, RootKey]


def test_a_rule_without_a_salt_has_no_rows() -> None:
    """Only kinds that take a salt can take one from a column."""
    with pytest.raises(KeyConfigError, match="takes no salt"):
        RowDerivation("sha256", "user_id")
    with pytest.raises(KeyConfigError, match="set its iterations"):
        RowDerivation("pbkdf2-sha256", "user_id")


def test_logs_are_masked_for_the_key_of_a_row_as_long_as_it_is_in_use() -> None:
    """It is masked from its first moment on; when the next one is made, one that is gone is forgotten."""
    redactor, root = Redactor(), ROWS.key(SECRET)
    before = len(redactor._registry)
    key = root.of_row(b"masked")
    twin = root.of_row(b"masked")
    text = key.reveal()
    masked = redactor.redact(f"it is {text}")
    del key
    gc.collect()
    root.of_row(b"8")
    still = redactor.redact(f"it is {text}")
    del twin
    gc.collect()
    last = root.of_row(b"9")

    assert last.id == root.id
    assert masked == still == f"it is [REDACTED:key {root.id}]"
    assert len(redactor._registry) == before + 1


def test_a_loaded_key_stays_masked_though_a_row_had_the_same() -> None:
    """What is loaded for good is not forgotten with the last row."""
    redactor, root = Redactor(), ROWS.key(SECRET)
    row = root.of_row(b"7")
    loaded = Key.parse(row.reveal())
    del row
    gc.collect()
    root.of_row(b"8")

    assert "[REDACTED:key" in redactor.redact(f"it is {loaded.reveal()}")


def test_the_keys_of_many_rows_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the derivations of a process the last ones are remembered, and so are the keyrings of rows."""
    monkeypatch.setattr(derivations, "_known", {})  # those of other tests
    monkeypatch.setattr(derivations, "MOST_KNOWN", 20)
    keyrings = RowKeyrings(Keyring(RowDerivation("pbkdf2-sha256", "id", iterations=1).key(SECRET)))
    redactor = Redactor()
    for row in range(2 * RowKeyrings.MOST):
        keyrings.of(keyrings.salts([row]))

    assert len(derivations._known) == 20
    assert len(redactor._registry) <= RowKeyrings.MOST + 3
