"""`ledger verify`: what an auditor can find out of a ledger, a certificate and a signature."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rotation.ledger import schema as tables
from rotation.ledger.chain import EventRecord, Head, canonical, certified_document, linked
from rotation.lifecycle.signatures import LABEL, Signer
from tests.conftest import Cli, Named, Ran
from tests.lifecycle.shop import OLDER, Shop, old_token

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
]


@dataclass
class Audit:
    """A shop whose older key was retired, with a certificate; signed, if a key was made."""

    shop: Shop

    @property
    def proof(self) -> Path:
        return self.shop.folder / "proof.json"

    @property
    def key(self) -> Path:
        return self.shop.folder / "signing.pem"

    @property
    def public(self) -> Path:
        return self.shop.folder / "signing.pem.pub"

    def retire(self, *argv: str) -> Ran:
        ran = self.shop.keys("retire", OLDER.id, "--no-archive", "--certificate", str(self.proof), *argv)
        assert ran.code == 0, ran
        return ran

    def verify(self, *argv: object, as_json: bool = True) -> Ran:
        return self.shop.rotate("ledger", "verify", *map(str, argv), *(["--json"] if as_json else []))

    def differences(self, *argv: object) -> list[str]:
        """What differs; the exit code says whether anything does."""
        ran = self.verify(*argv)
        found = [each["what"] for each in ran.document["differences"]]
        assert (ran.code, ran.document["verified"]) == ((1, False) if found else (0, True)), ran
        return found

    def certificate(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.proof.read_text())
        return found

    def change(self, **fields: Any) -> Path:
        """A copy of the certificate with other *fields*; one of them that is None is left out."""
        gone = {name for name, value in fields.items() if value is None}
        changed = {name: value for name, value in (self.certificate() | fields).items() if name not in gone}
        path = self.shop.folder / "changed.json"
        path.write_text(json.dumps(changed, indent=2))
        return path

    def in_ledger(self, *statements: str) -> None:
        engine = sa.create_engine(self.shop.ledger_url)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture
def audit(shop: Shop) -> Audit:
    shop.fill([old_token("old")])
    return Audit(shop)


def test_what_was_verified_is_said(audit: Audit) -> None:
    """The number of events, since when, the head, who did the last steps; no digest is masked, and nothing is made."""
    audit.retire("--by", "Ann O.")
    before = {path: path.read_bytes() for path in audit.shop.folder.iterdir()}
    ran, told = audit.verify(audit.proof, as_json=False), audit.verify(audit.proof).document

    lines = " ".join(ran.out.split())
    events = told["events"]
    assert ran.code == 0
    assert f"has {len(events)} events since 20" in lines
    assert f"Its head: {told['head']} (event {len(events)})" in lines
    assert f"Its name: {events[0]['digest']}" in lines
    assert f"default {OLDER.id} retired Ann O." in lines
    assert f"proof.json is as this ledger issued it (event {told['certificate']['event']})." in lines
    assert f"SHA-256: {told['certificates'][0]['digest']}" in lines
    assert ran.out.endswith("Verified: nothing differs.\n")
    assert told["certificate"]["as_issued"] is True
    assert {path: path.read_bytes() for path in audit.shop.folder.iterdir()} == before


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retired", "2020-01-01T00:00:00+00:00"),
        ("forced", True),
        ("rows", 7),
        ("by", None),
        ("event", 2),
        ("head", "0" * 64),
        ("note", "added"),
        ("forced", 0),
    ],
)
def test_a_changed_file_is_found_with_its_fields(audit: Audit, field: str, value: object) -> None:
    """Changed, removed or added: the field is named, and JSON has what the file and what the ledger has."""
    audit.retire()
    path = audit.change(**{field: value})

    assert audit.differences(path) == [f"{path} was changed after it was issued: {field}"]
    [found] = audit.verify(path).document["certificate"]["fields"]
    assert found == {"name": field, "file": value, "ledger": audit.certificate().get(field)}
    assert "Next: ask for the file as it was issued" in audit.verify(path, as_json=False).out


def test_a_changed_copy_in_the_ledger_accuses_no_file(audit: Audit) -> None:
    """The chain has the digest of what was issued: so it is known which of the two was changed, or removed."""
    audit.retire()
    changed = audit.change(rows=7)
    audit.in_ledger(f"UPDATE keyring_ledger_certificates SET document = '{changed.read_text()}'")

    copy = f"{audit.proof} is as it was issued, and the ledger's copy of it was changed: rows"
    found, certificate = audit.differences(audit.proof), audit.verify(audit.proof).document["certificate"]
    assert (len(found), found[1], certificate["as_issued"]) == (2, copy, True)
    assert "it was changed in the ledger" in found[0]
    assert audit.verify(changed).document["certificate"]["as_issued"] is False
    audit.in_ledger("DELETE FROM keyring_ledger_certificates")
    [removed] = audit.differences(audit.proof)
    assert removed.endswith(": it is not in the ledger")


def test_the_spelling_of_a_file_does_not_matter(audit: Audit) -> None:
    """Its order, its blanks and its escapes are no part of what was issued."""
    audit.retire()
    path = audit.shop.folder / "other.json"
    path.write_text(json.dumps(dict(reversed(audit.certificate().items())), ensure_ascii=False))

    assert audit.differences(path) == []


def test_only_what_is_kept_elsewhere_shows_that_the_end_was_removed(audit: Audit) -> None:
    """Together with what it changed; the certificate is of an event that is there no more."""
    audit.retire()
    audit.in_ledger(
        "DELETE FROM keyring_ledger_events WHERE event IN ('certified', 'retired')",
        "DELETE FROM keyring_ledger_certificates",
        f"UPDATE keyring_ledger_keys SET retired = NULL, event = 2 WHERE id = '{OLDER.id}'",
    )
    events = {event["key_id"]: event["number"] for event in audit.verify().document["events"]}
    audit.in_ledger(f"UPDATE keyring_ledger_keys SET event = {events[OLDER.id]} WHERE id = '{OLDER.id}'")

    assert audit.differences() == []
    assert audit.differences(audit.proof) == [f"{audit.proof}: this ledger issued no such certificate"]


NO_CERTIFICATES = [
    ("{", "is no JSON"),
    ("[" * 100_000, "is no JSON"),
    ('{"certificate": 1, "key": "a", "key": "b"}', "has a name twice"),
    ('{"certificate": 1, "key": "a", "rows": NaN}', "holds a number"),
    ('{"certificate": 1, "key": "a", "rows": 1e999}', "holds a number"),
    ('{"certificate": 1, "key": 7}', "is no certificate"),
    ('{"key": "a"}', "is no certificate"),
    ("[]", "is no certificate"),
]


def test_a_file_that_is_no_certificate_is_named(audit: Audit, named: Named) -> None:
    """Also one that two programs could read as two certificates."""
    audit.retire()
    path = audit.shop.folder / "other.json"
    for text, words in NO_CERTIFICATES:
        with named(text[:50]):
            path.write_text(text)

            [difference] = audit.differences(path)
            assert difference.startswith(f"{path} {words}")


def test_a_certificate_of_another_ledger_is_named(audit: Audit, tmp_path: Path) -> None:
    """The same keys were retired there, and it was issued as it is; and one that no ledger issued."""
    ledger, other = audit.shop.folder / "rotation-ledger.db", tmp_path / "other.json"
    text = audit.shop.env_file.read_text()
    audit.retire()
    shutil.copy(audit.proof, other)
    ledger.unlink()
    audit.shop.write_env(text)
    audit.retire("--by", "somebody else")
    own, theirs = (json.loads(path.read_text())["ledger"][:16] for path in (audit.proof, other))

    assert audit.differences(other) == [f"{other} is a certificate of another ledger ({theirs}); this one is {own}"]
    unknown = audit.change(key="5f0c1a9e", event=77)
    assert audit.differences(unknown) == [f"{unknown}: this ledger issued no such certificate"]
    assert audit.differences(audit.proof) == []


def test_a_certificate_from_before_the_chain_is_known(audit: Audit) -> None:
    """The first event of a migrated ledger has its digest; a changed one is found."""
    audit.retire()
    old = {name: value for name, value in audit.certificate().items() if name not in {"ledger", "event", "head", "by"}}
    text = json.dumps(old).replace("'", "''")
    audit.in_ledger(
        f"UPDATE keyring_ledger_certificates SET document = '{text}', digest = NULL, event = NULL",
        "UPDATE keyring_ledger_keys SET event = NULL",
        "DELETE FROM keyring_ledger_events",
    )
    with audit.shop.ledger() as ledger:
        ledger.mark(OLDER.id, "restored", "default")
    audit.proof.write_text(json.dumps(old))

    assert audit.differences(audit.proof) == []
    assert "as this ledger issued it (before the chain began)" in audit.verify(audit.proof, as_json=False).out
    changed = audit.change(forced=True)
    assert audit.differences(changed) == [f"{changed} was changed after it was issued: forced"]
    for column, value, before, words in [
        ("key_id", "0d0d0d0d", f"'{OLDER.id}'", "it was changed in the ledger"),
        ("digest", "0" * 64, "NULL", "it was changed in the ledger"),
        ("event", "77", "NULL", "no event explains it"),
    ]:
        audit.in_ledger(f"UPDATE keyring_ledger_certificates SET {column} = '{value}'")
        assert any(each.endswith(words) for each in audit.differences()), column
        audit.in_ledger(f"UPDATE keyring_ledger_certificates SET {column} = {before}")
    audit.in_ledger("UPDATE keyring_ledger_certificates SET document = '{}'")
    assert any("it was changed in the ledger" in each for each in audit.differences())
    audit.in_ledger("DELETE FROM keyring_ledger_certificates")
    assert audit.differences() == ["certificate number 1 from before the chain began: it is not in the ledger"]


def made_again(audit: Audit) -> None:
    """Somebody who can write to the ledger changes who staged a key, and makes all later digests again."""
    engine = sa.create_engine(audit.shop.ledger_url)
    with engine.begin() as connection:
        found = connection.execute(tables.records_of(tables.events).order_by(tables.events.c.number))
        events, head = [EventRecord(**row._asdict()) for row in found], None
        for event in events:
            who = {"service": event.service, "key_id": event.key_id, "by": "nobody" if event.number == 2 else event.by}
            made = linked(head, event.at, event.event, event.document, **who)
            connection.execute(tables.events.update().where(tables.events.c.number == event.number).values(vars(made)))
            head = Head(made.number, made.digest)
    engine.dispose()


def test_a_chain_that_was_made_again_is_shown_by_a_certificate_alone(audit: Audit) -> None:
    """In itself it fits; the head in a certificate that is kept elsewhere does not."""
    audit.retire()
    made_again(audit)

    assert audit.differences() == []
    [difference] = audit.differences(audit.proof)
    number, head = audit.certificate()["event"] - 1, audit.certificate()["head"][:16]
    words = f"{audit.proof} names event {number} as {head}, and the chain has another"
    assert difference == f"{words}: the events before it were made again, or removed"


def test_a_ledger_that_was_changed_is_found_without_a_certificate(audit: Audit) -> None:
    """By the command, with the row and what to do."""
    audit.retire()
    audit.in_ledger("UPDATE keyring_ledger_keys SET retired = '2020-01-01T00:00:00.000000Z' WHERE retired IS NOT NULL")
    ran = audit.verify(as_json=False)

    assert ran.code == 1
    assert f"Differs: key {OLDER.id} of default: retired is 2020-01-01T00:00:00.000000Z, and its events say" in ran.out
    assert "Next: compare it with a backup of the ledger" in ran.out
    assert "Verified" not in ran.out


@pytest.fixture
def signed(audit: Audit) -> Audit:
    """With a key that signed the certificate."""
    assert audit.shop.rotate("ledger", "keygen", str(audit.key)).code == 0
    audit.retire("--sign-with", str(audit.key))
    return audit


def test_a_signature_is_checked_without_a_ledger(signed: Audit, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file and the public key alone, in an empty folder; with the ledger it is as it was issued, too."""
    elsewhere = signed.shop.folder / "elsewhere"
    elsewhere.mkdir()
    for path in (signed.proof, signed.public):
        shutil.copy(path, elsewhere)
    monkeypatch.chdir(elsewhere)
    ran = cli("ledger", "verify", "proof.json", "--public", "signing.pem.pub", "--json")

    certificate = ran.document["certificate"]
    assert (ran.code, ran.document["verified"], ran.document["ledger"]) == (0, True, None)
    assert (certificate["signature_checked"], certificate["as_issued"]) == (True, None)
    assert sorted(os.listdir()) == ["proof.json", "signing.pem.pub"]
    assert signed.differences(signed.proof) == []
    assert signed.differences(signed.proof, "--public", signed.public, "--url", signed.shop.ledger_url) == []


def test_a_certificate_is_signed_without_a_ledger_too(audit: Audit, cli: Cli) -> None:
    """If options name the target there is none: the certificate names no ledger, and the signature covers the rest."""
    assert audit.shop.rotate("ledger", "keygen", str(audit.key)).code == 0
    target = ["--url", audit.shop.database.url, "--table", "creds", "--column", "token"]
    files = ["--env-file", str(audit.shop.env_file), "--certificate", str(audit.proof), "--sign-with", str(audit.key)]
    ran = cli("keys", "retire", OLDER.id, "--no-archive", *target, *files, environ={})

    assert ran.code == 0, ran
    assert not {"ledger", "event", "head"} & audit.certificate().keys()
    assert audit.differences(audit.proof, "--public", audit.public) == []
    changed = audit.change(rows=7)
    assert len(audit.differences(changed, "--public", audit.public)) == 1


def test_a_restored_key_has_its_event(audit: Audit) -> None:
    """Its retirement keeps its date, and the ledger still fits, also once it is retired again; each has its copy."""
    archive = audit.shop.folder / "retired.keys"
    retired = audit.shop.keys("retire", OLDER.id, "--archive", str(archive))
    restored = audit.shop.keys("restore", OLDER.id, "--archive", str(archive), "--by", "Ann O.")

    assert (retired.code, restored.code) == (0, 0)
    last = audit.verify().document["events"][-1]
    assert (last["event"], last["key_id"], last["by"]) == ("restored", OLDER.id, "Ann O.")
    assert audit.differences() == []
    with audit.shop.ledger() as ledger:
        assert [key.retired is not None for key in ledger.keys() if key.id == OLDER.id] == [True]  # noqa: SIM118
    # The ledger has two certificates of the key now, and a file is compared with its own.
    audit.retire()
    changed = audit.change(rows=7)
    assert audit.differences(changed) == [f"{changed} was changed after it was issued: rows"]


def test_a_signature_that_was_not_compared_is_no_proof(signed: Audit) -> None:
    """Without --public the command says which key is named, and that nobody has checked it."""
    ran = signed.verify(signed.proof, as_json=False)

    key_id = signed.certificate()["signature"]["key"]
    assert (ran.code, len(key_id)) == (0, 16)
    assert f"Note: {signed.proof} names the key {key_id} as the one that signed it; --public checks that." in ran.out


def test_stock_cryptography_checks_a_signature(signed: Audit) -> None:
    """The label and the canonical JSON of the other fields, as docs/reference/ledger.md says; that has the digest."""
    told, certificate = signed.verify(signed.proof).document["certificate"], signed.certificate()
    signature = certificate.pop("signature")
    public: Any = serialization.load_pem_public_key(signed.public.read_bytes())
    text = json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    public.verify(bytes.fromhex(signature["value"]), b"keyring-core certificate v1\0" + text)
    assert (LABEL + text, signature["public"]) == (
        b"keyring-core certificate v1\0" + canonical(certificate),
        (public.public_bytes_raw().hex()),
    )
    assert told["digest"] == sha256(text).hexdigest()


@pytest.mark.some(2)
@pytest.mark.parametrize("field", ["head", "event", "ledger", "retired"])
def test_a_signed_certificate_that_was_changed_is_found(signed: Audit, field: str) -> None:
    """Whatever is changed, its head and its ledger, too: the signature is over all of it."""
    path = signed.change(**{field: 9 if field == "event" else "0" * 64})

    key_id = signed.certificate()["signature"]["key"]
    assert signed.differences(path, "--public", signed.public) == [
        f"{path} was changed after it was signed with {key_id}"
    ]


def test_a_signature_by_another_key_is_found(signed: Audit) -> None:
    """Signed again with another key, of any name; and a certificate that is not signed, or in no known form."""
    other = Signer.generate()
    own = signed.certificate()["signature"]
    forged = [
        (other.sign(signed.certificate()), f"was signed with another key ({other.id}); the one of --public is "),
        ({**other.sign(signed.certificate()), "key": own["key"]}, "was signed with another key"),
        ({**own, "value": other.sign(signed.certificate())["value"]}, "was changed after it was signed with"),
        ({**own, "value": "zz"}, "was changed after it was signed with"),
        ({**own, "algorithm": "none"}, ": its signature has an unknown form"),
        ({**own, "note": "not signed"}, ": its signature has an unknown form"),
        (None, "is not signed"),
    ]
    for signature, words in forged:
        path = signed.change(signature=signature)
        told = signed.verify(path, "--public", signed.public).document
        [difference] = told["differences"]
        assert words in difference["what"]
        assert (told["verified"], told["certificate"]["signature_checked"]) == (False, False)
        # The ledger has the signature, too.
        assert signed.differences(path) == [f"{path} was changed after it was issued: signature"]


def test_a_signature_that_was_changed_in_the_ledger_is_found(signed: Audit) -> None:
    """Its digest stands in the chain."""
    text = json.dumps(signed.certificate() | {"signature": Signer.generate().sign(signed.certificate())})
    signed.in_ledger("UPDATE keyring_ledger_certificates SET document = '{}'".format(text.replace("'", "''")))

    assert any("it was changed in the ledger" in each for each in signed.differences())


def test_a_file_whose_copy_was_removed_is_as_it_was_issued(audit: Audit) -> None:
    """Its digest stands in the chain, with the number of its event; the ledger is what differs."""
    audit.retire()
    audit.in_ledger("DELETE FROM keyring_ledger_certificates")

    [difference] = audit.differences(audit.proof)
    assert "it is not in the ledger" in difference
    told, event = audit.verify(audit.proof).document["certificate"], audit.certificate()["event"]
    assert (told["as_issued"], told["event"], told["fields"]) == (True, event, [])
    assert f"{audit.proof} is as this ledger issued it (event {event})" in audit.verify(audit.proof, as_json=False).out


def test_an_event_that_was_changed_vouches_for_no_file(audit: Audit) -> None:
    """Somebody who puts the digests of a file of their own into the event, and not into the chain after it."""
    audit.retire()
    path = audit.change(by="nobody")
    facts = json.dumps(certified_document(json.loads(path.read_text())))
    audit.in_ledger(f"UPDATE keyring_ledger_events SET document = '{facts}' WHERE event = 'certified'")

    assert f"{path} was changed after it was issued: by" in audit.differences(path)
    assert audit.verify(path).document["certificate"]["as_issued"] is False


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _rsa() -> bytes:
    return _rsa_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_rsa() -> bytes:
    return (
        _rsa_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize(
    ("make", "mode", "words"),
    [
        pytest.param(None, 0o600, "No such file", id="missing"),
        pytest.param(lambda: b"no key", 0o600, "holds no Ed25519 key", id="text"),
        pytest.param(lambda: Signer.generate().public_pem(), 0o600, "holds no Ed25519 key", id="public"),
        pytest.param(_rsa, 0o600, "holds no Ed25519 key", id="rsa"),
        pytest.param(lambda: Signer.generate().private_pem(), 0o640, "other users can read", id="legible"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_before_anything_is_done(
    audit: Audit, make: Callable[[], bytes] | None, mode: int, words: str
) -> None:
    """Exit code 2; neither the keys nor the ledger nor a file changes, and no part of the file is shown."""
    if make:
        audit.key.write_bytes(make())
        audit.key.chmod(mode)
    before = {path: path.read_bytes() for path in audit.shop.folder.iterdir()}
    given = ["--certificate", str(audit.proof), "--sign-with", str(audit.key)]
    ran = audit.shop.keys("retire", OLDER.id, "--no-archive", *given)

    assert ran.code == 2
    assert f"--sign-with {audit.key}: {words}" in ran.err
    assert "PRIVATE" not in ran.err
    assert {path: path.read_bytes() for path in audit.shop.folder.iterdir()} == before


def test_what_is_signed_is_a_certificate(audit: Audit) -> None:
    """--sign-with without --certificate is wrong usage, and so is --public without a file, or with another key."""
    ran = audit.shop.keys("retire", OLDER.id, "--no-archive", "--sign-with", "signing.pem")
    assert (ran.code, "name its file with --certificate" in ran.err) == (2, True)

    ran = audit.verify("--public", audit.public)
    assert (ran.code, "name its file, too" in ran.document["error"]) == (2, True)
    for other in (b"no key", _public_rsa(), Signer.generate().private_pem()):
        audit.public.write_bytes(other)
        ran = audit.verify(audit.shop.config, "--public", audit.public)
        assert (ran.code, "holds no public Ed25519 key" in ran.document["error"]) == (2, True)


def test_a_key_for_signatures_replaces_no_file(audit: Audit) -> None:
    """The private key is its owner's alone; a second one, or one in the place of any file, is refused."""
    ran = audit.shop.rotate("ledger", "keygen", str(audit.key), "--json")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (audit.key, audit.public)]
    before = {path: path.read_bytes() for path in audit.shop.folder.iterdir()}

    assert ran.document == {
        "complete": True,
        "key": Signer.load(audit.key, "").id,
        "file": str(audit.key),
        "public": str(audit.public),
    }
    assert modes == [0o600, 0o644]
    for name in ("signing.pem", "signing", ".env", "empty"):
        (audit.shop.folder / "signing.pub").touch()
        before[audit.shop.folder / "signing.pub"] = b""
        (audit.shop.folder / "empty").touch()
        before[audit.shop.folder / "empty"] = b""
        ran = audit.shop.rotate("ledger", "keygen", str(audit.shop.folder / name))
        assert (ran.code, "name another file" in ran.err) == (2, True), name
    assert {path: path.read_bytes() for path in audit.shop.folder.iterdir()} == before
    (audit.shop.folder / "..data").mkdir()
    ran = audit.shop.rotate("ledger", "keygen", str(audit.shop.folder / "..data" / "new.pem"))
    assert (ran.code, "Kubernetes keeps this file" in ran.err) == (2, True)
    assert os.listdir(audit.shop.folder / "..data") == []


def test_it_makes_and_migrates_nothing(audit: Audit) -> None:
    """Without a ledger, with an older one, and with a newer one it ends with 3 and says why; a wrong use with 2."""
    missing = audit.verify(audit.shop.config)
    audit.shop.ledger().close()
    audit.in_ledger("UPDATE keyring_ledger_schema SET version = 3")
    older = audit.verify()
    audit.in_ledger("UPDATE keyring_ledger_schema SET version = 9")
    newer = audit.verify()
    audit.in_ledger("DROP TABLE keyring_ledger_schema")
    none = audit.verify()

    words = [ran.document["error"] for ran in (missing, older, newer, none)]
    assert [ran.code for ran in (missing, older, newer, none)] == [3, 3, 3, 3]
    assert "there is no such file" in words[0]
    assert "has version 3, and this program reads version 5; run `keyring-rotate ledger init`" in words[1]
    assert "has version 9" in words[2]
    assert "its tables are not there" in words[3]
    assert audit.verify("--url", "nonsense").code == 2
    assert audit.verify(audit.shop.folder / "nowhere.json", "--url", audit.shop.ledger_url).code == 2


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        (["--by", "Ann O.\n\x1b[2J"], {}, r"Ann O.\n\x1b[2J"),
        ([], {"SUDO_USER": "ann"}, "ann"),
        ([], {}, pwd.getpwuid(os.geteuid()).pw_name),
    ],
    ids=["option", "sudo", "login"],
)
def test_who_did_a_step_is_recorded(audit: Audit, given: list[str], environ: dict[str, str], expected: str) -> None:
    """In its event and in the certificate: the name that was typed, the one who called sudo, or the user."""
    audit.shop.config.write_text(f'env_file = ".env"\n{audit.shop.config.read_text()}')
    staged = audit.shop.keys("stage", *given, environ=environ)
    retired = audit.shop.keys(
        "retire", OLDER.id, "--no-archive", "--certificate", str(audit.proof), *given, environ=environ
    )

    assert (staged.code, retired.code) == (0, 0), (staged, retired)
    events = {event["event"]: event["by"] for event in audit.verify().document["events"]}
    assert (events["found"], events["staged"], events["certified"], events["retired"]) == (None, *[expected] * 3)
    assert audit.certificate()["by"] == expected


@pytest.mark.parametrize("name", ["", "  ", "a" * 101])
def test_a_name_that_is_none_is_refused(audit: Audit, name: str) -> None:
    """Exit code 2, before anything is done."""
    ran = audit.shop.keys("stage", "--by", name)

    assert (ran.code, "--by: give a name of at most 100 characters" in ran.err) == (2, True)
