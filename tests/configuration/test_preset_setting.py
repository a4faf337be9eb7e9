"""Keys in the form of the application that reads them."""

from __future__ import annotations

import pytest

from rotation.applications.order_of_work import OwnKey, setting_lines
from rotation.applications.presets import load_preset
from tests.conftest import Named

KEYS = [
    OwnKey("11111111", "primary", lambda: "new"),
    OwnKey("22222222", "previous", lambda: "old"),
    OwnKey("33333333", "previous", lambda: "older"),
    OwnKey("44444444", "staged", lambda: "next"),
]


def test_each_application_gets_its_form(named: Named) -> None:
    """The primary key stands where the application looks for the one that encrypts, behind a comment on the place."""
    cases = [
        ("airflow", ["AIRFLOW__CORE__FERNET_KEY=new,next,old,older"]),
        ("jupyterhub", ["JUPYTERHUB_CRYPT_KEY=new;next;old;older"]),
        ("barbican", ["kek = new", "kek = next", "kek = old", "kek = older"]),
        ("galaxy", ["encryption_keys:", '  - "new"', '  - "next"', '  - "old"', '  - "older"']),
        ("lemur", ['LEMUR_ENCRYPTION_KEYS = ["new", "next", "old", "older"]']),
        (
            "keystone",
            [f"/etc/keystone/credential-keys/{name}" for name in ("0: next", "1: older", "2: old", "3: new")],
        ),
        ("redash", ["REDASH_SECRET_KEY=new"]),
    ]

    for name, lines in cases:
        with named(name):
            place, *shown = setting_lines(load_preset(name), KEYS, reveal=True)

            assert place.startswith("# ")
            assert shown == lines


def test_a_key_file_gets_no_comment() -> None:
    """Pulp does not start if its key file begins with a comment: what is printed is the file."""
    assert setting_lines(load_preset("pulp"), KEYS, reveal=True) == ["new", "next", "old", "older"]


def test_ids_stand_for_keys_unless_asked() -> None:
    """Without --show-key no key is even revealed."""
    keys = [OwnKey("11111111", "primary", pytest.fail), OwnKey("22222222", "previous", pytest.fail)]

    _, line = setting_lines(load_preset("airflow"), keys, reveal=False)

    assert line == "AIRFLOW__CORE__FERNET_KEY=<11111111>,<22222222>"


def test_a_key_set_has_its_own_setting() -> None:
    """Agno has two variables; a set that no setting belongs to has none."""
    agno, webui = load_preset("agno"), load_preset("open-webui")

    assert setting_lines(agno, KEYS[:1], "agno-google", reveal=True)[1:] == ["GOOGLE_TOKEN_ENCRYPTION_KEY=new"]
    assert setting_lines(agno, KEYS[:1], reveal=True)[1:] == ["XAI_TOKEN_ENCRYPTION_KEY=new"]
    assert setting_lines(webui, KEYS[:1], "open-webui-mfa", reveal=True) == []


def test_an_application_gets_no_suspended_key() -> None:
    """It knows none, so leaving it out is how it refuses the tokens under it."""
    keys = [*KEYS[:2], OwnKey("55555555", "suspended", pytest.fail)]

    assert setting_lines(load_preset("airflow"), keys, reveal=True)[1:] == ["AIRFLOW__CORE__FERNET_KEY=new,old"]
