"""Clawbolt's envelopes after a rotation, by the commands of its page: the new secret alone opens every value.

Clawbolt is no package. Its cells are made here as backend/app/security/encryption.py of mozilla-ai/clawbolt at 42a3eaf
makes them (`encrypt`, `LocalKEKProvider.wrap`, `_derive_wrapping_key`, `_serialize`), and read as its `decrypt` does.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rotation.applications.presets import load_preset
from tests.applications.environments import Application
from tests.applications.test_rotation import SECRETS, Recipe
from tests.conftest import NEW, OLD
from tests.databases import Database, open_database

pytestmark = [pytest.mark.database, pytest.mark.long]

CLAWBOLT = Application("clawbolt", "text", {}, (), {})


def wrapping(secret: str) -> Fernet:
    """The key that wraps, as `_derive_wrapping_key` makes it."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"clawbolt-kek-wrap-v1")
    return Fernet(base64.urlsafe_b64encode(hkdf.derive(secret.encode())))


def encrypt(plaintext: str, secret: str) -> str:
    """The envelope of *plaintext*."""
    dek = Fernet.generate_key()
    wrapped = wrapping(secret).encrypt(dek)
    ciphertext = Fernet(dek).encrypt(plaintext.encode()).decode()
    return ".".join(("clw1", "local", base64.urlsafe_b64encode(wrapped).decode(), ciphertext))


def decrypt(envelope: str, secret: str) -> str:
    """The plaintext in *envelope*."""
    prefix, kek_id, wrapped, ciphertext = envelope.split(".", 3)
    assert (prefix, kek_id) == ("clw1", "local")
    dek = wrapping(secret).decrypt(base64.urlsafe_b64decode(wrapped.encode()))
    return Fernet(dek).decrypt(ciphertext.encode()).decode()


def make_tables(database: Database, secret: str) -> dict[tuple[str, str], list[str]]:
    """The tables of the preset, with an envelope of each secret in each column; the plaintexts by table and column."""
    made = {}
    for target in load_preset("clawbolt").target:
        columns = [*target.columns, *load_preset("clawbolt").recognise.get(target.table, ())]
        names = list(dict.fromkeys(columns))
        more = ", is_secret BOOLEAN" if target.where else ""
        declared = ", ".join(f"{name} TEXT" for name in names)
        database.execute(f"CREATE TABLE {target.table} (id INTEGER PRIMARY KEY, {declared}{more})")
        rows: list[dict[str, object]] = [
            {"id": row, **dict.fromkeys(names, "none"), **{name: encrypt(text, secret) for name in target.columns}}
            for row, text in enumerate(SECRETS.values(), 1)
        ]
        # It leaves an empty text as it is, and settings that are no secret.
        rows.append({"id": 9, **dict.fromkeys(names, "")})
        if target.where:
            rows = [{**row, "is_secret": True} for row in rows]
            rows.append({"id": 10, "value": "https://example.org/a-setting-that-is-no-secret", "is_secret": False})
        for row in rows:
            database.insert(target.table, [row])
        made |= {(target.table, name): [*SECRETS.values()] for name in target.columns}
    return made


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_clawbolt_reads_everything_with_the_new_secret_alone(kind: str, tmp_path: Path) -> None:
    """Its data keys are under the new secret, its values byte for byte what they were; nothing opens with the old."""
    old, new = CLAWBOLT.secret_of(OLD), CLAWBOLT.secret_of(NEW)
    with open_database(kind, tmp_path) as database:
        made = make_tables(database, old)
        before = {place: database.column(*place) for place in made}
        Recipe(CLAWBOLT, database.url, tmp_path, old).follow()
        after = {place: database.column(*place) for place in made}

    assert len(made) == 24
    for place, texts in made.items():
        cells = [after[place][row] for row in range(1, len(texts) + 1)]
        assert [decrypt(cell, new) for cell in cells] == texts
        assert after[place][9] == ""
        for row, cell in enumerate(cells, 1):
            assert cell.rpartition(".")[2] == before[place][row].rpartition(".")[2]
            with pytest.raises(InvalidToken):
                decrypt(cell, old)
    assert after["app_settings", "value"][10] == before["app_settings", "value"][10]
