"""Every public type, used as a caller would. Checked by `mypy --strict`, never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_type

import cryptography.fernet
import sqlalchemy

import keyring_core
from keyring_core import (
    CredentialEncryptionService,
    DamagedToken,
    Derivation,
    ExpiredToken,
    InvalidToken,
    Key,
    KeyConfigError,
    KeyConfigWarning,
    Keyring,
    KeyringError,
    KeyState,
    Malformed,
    MalformedToken,
    PlaintextError,
    SuspendedKey,
    UndecryptableToken,
    config,
    configure_logging,
    get_encryption_service,
    get_keyring,
    key_set,
    keyring_status,
    log_key_status,
    reads_metrics,
    reload_keyring,
)
from keyring_core.key_reads import KeyReads, key_reads
from keyring_core.reload import KeyringStatus
from rotation.fleet import announce


def keys(text: str, raw: bytes) -> None:
    key = Key.parse(text)
    assert_type(key, Key)
    assert_type(Key.parse(raw, "key.txt, line 2", allow_weak=True), Key)
    assert_type(Key.generate(), Key)
    assert_type(Key(raw), Key)
    assert_type(key.id, str)
    assert_type(key.fernet.encrypt(raw), bytes)
    assert_type(key.fernet.encrypt_at_time(raw, 0), bytes)
    assert_type(key.fernet.decrypt(text, ttl=60), bytes)
    assert_type(key.fernet.decrypt_at_time(text, 60, current_time=0), bytes)
    assert_type(key.fernet.extract_timestamp(raw), int)
    assert_type(key.reveal(), str)
    assert_type({key: key == key}, dict[Key, bool])  # noqa: PLR0124


def derivations(salt: bytes, secret: str) -> None:
    derivation = Derivation("pbkdf2-sha256", salt, iterations=100_000)
    assert_type(derivation.key(secret), Key)
    assert_type(derivation.key(secret.encode(), "SECRET_KEY", allow_weak=True), Key)
    assert_type({derivation: Derivation("hkdf-sha256", salt="salt", info=b"info")}, dict[Derivation, Derivation])


def keyrings(key: Key, text: str, raw: bytes) -> None:
    ring = Keyring(key)
    Keyring(text, [key, text], staged=text)
    Keyring(primary=key, previous=(key for _ in "ab"), staged=None, suspended=[key, text])
    assert_type(ring.primary, Key)
    assert_type(ring.states, Mapping[Key, KeyState])
    assert_type(ring.suspended, tuple[Key, ...])
    assert_type(KeyState.SUSPENDED.is_superseded, bool)
    assert_type(ring.multi_fernet.encrypt(raw), bytes)
    assert_type(ring.multi_fernet.encrypt_at_time(raw, 0), bytes)
    assert_type(ring.multi_fernet.decrypt(text, ttl=60), bytes)
    assert_type(ring.multi_fernet.decrypt_at_time(text, 60, current_time=0), bytes)
    assert_type(ring.multi_fernet.extract_timestamp(raw), int)
    assert_type(ring.multi_fernet.rotate(text), bytes)


def tokens(ring: Keyring, text: str, raw: bytes, array: bytearray, view: memoryview) -> None:
    assert_type(ring.encrypt(text), str)
    assert_type(ring.encrypt_bytes(raw), str)
    for token in (text, raw, array, view):
        assert_type(ring.decrypt(token), str)
        assert_type(ring.decrypt(token, ttl=60), str)
        assert_type(ring.decrypt_bytes(token, ttl=None), bytes)
        assert_type(ring.key_for(token), Key)
        assert_type(ring.needs_rotation(token), bool)
    # A cell keeps its type.
    assert_type(ring.rotate(text), str)
    assert_type(ring.rotate(raw), bytes)
    assert_type(ring.rotate(array), bytes)
    assert_type(ring.rotate(view), bytes)


def many(ring: Keyring, texts: list[str], raws: list[bytes]) -> None:
    assert_type(ring.encrypt_many(texts), list[str])
    assert_type(ring.decrypt_many(texts), list[str | InvalidToken | PlaintextError])
    assert_type(ring.rotate_many(raws), list[str | bytes | InvalidToken])
    assert_type(ring.identify_many(raws), list[Key | InvalidToken])


def uses(ring: Keyring) -> None:
    assert_type(Keyring.from_env(), Keyring)
    assert_type(ring.bind("users.api_key"), Keyring)
    assert_type(ring.bind("users.api_key", accept_unbound=True).context, str | None)
    ring.bind(None)  # type: ignore[arg-type]
    ring.bind("users.api_key", True)  # type: ignore[call-arg]


def mistakes(ring: Keyring, raw: bytes, text: str) -> None:
    # mypy reports an ignore that is not needed, so each of these is refused.
    ring.encrypt(raw)  # type: ignore[arg-type]
    ring.encrypt_bytes(text)  # type: ignore[arg-type]
    ring.decrypt(None)  # type: ignore[arg-type]
    ring.rotate(5)  # type: ignore[call-overload]
    Keyring(None)  # type: ignore[arg-type]
    Keyring(raw)  # type: ignore[arg-type]
    CredentialEncryptionService(text)  # type: ignore[arg-type]
    MalformedToken("truncated", "message")  # type: ignore[arg-type]


def services(ring: Keyring) -> None:
    service = get_encryption_service()
    assert_type(service, CredentialEncryptionService)
    assert_type(CredentialEncryptionService(), CredentialEncryptionService)
    assert_type(CredentialEncryptionService(ring).encrypt("text"), str)
    assert_type(service.decrypt("token"), str)
    assert_type(get_keyring(), Keyring)
    assert_type(get_keyring.renew(ring), Keyring | None)
    assert_type(reload_keyring(), bool)
    assert_type(keyring_status(), KeyringStatus)
    assert_type(keyring_status()["keys"][0]["id"], str)
    assert_type(keyring_status()["keys"][0]["opened"], int)
    assert_type(keyring_status()["keys"][0]["last_refused"], str | None)
    assert_type(keyring_status()["error"], str | None)
    assert_type(key_reads(), dict[str, KeyReads])
    assert_type(key_reads()["5f0c1a9e"].last_opened, datetime | None)
    assert_type(reads_metrics(), str)
    assert_type(key_set("billing")(), Keyring)
    assert_type(key_set("billing").reload(), bool)
    assert_type(CredentialEncryptionService(key_set("billing")).encrypt("text"), str)
    get_encryption_service.reset()
    get_keyring.reset()


def settings(environ: Mapping[str, str]) -> None:
    loaded = config.load_settings(environ)
    assert_type(loaded.primary, Key)
    assert_type(loaded.previous, tuple[Key, ...])
    assert_type(loaded.staged, Key | None)
    assert_type(config.load_keyring(environ), Keyring)
    assert_type(config.key_status(environ), str)
    assert_type(config.reload_seconds(environ), float)
    assert_type(config.ENCRYPTION_KEY, str | None)
    log_key_status()
    log_key_status(environ)
    log_key_status(keys="billing")
    configure_logging()


def errors(ring: Keyring, token: str) -> str:
    try:
        return ring.decrypt(token)
    except MalformedToken as error:
        assert_type(error.category, Malformed)
        return error.category
    except DamagedToken as error:
        undecryptable: UndecryptableToken = error
        return str(undecryptable)
    except SuspendedKey as error:
        assert_type(error.key_id, str)
        return error.key_id
    except (UndecryptableToken, ExpiredToken) as error:
        ours: InvalidToken = error
        stock: cryptography.fernet.InvalidToken = error
        return f"{ours} {stock}"
    except (KeyConfigError, PlaintextError) as error:
        value_error: ValueError = error
        root: KeyringError = error
        return f"{value_error} {root}"


def words() -> tuple[str, str, type[UserWarning], list[str]]:
    return KeyState.PRIMARY, Malformed.TRUNCATED, KeyConfigWarning, keyring_core.__all__


def fleet(engine: sqlalchemy.Engine) -> None:
    assert_type(announce(engine), bool)
    assert_type(announce(keyring=Keyring(primary=Key.generate()), instance="web-1"), bool)
