"""Legacy: what it takes, what it refuses, and that it holds no secret."""

from __future__ import annotations

import io
import pickle
import traceback
import warnings

import pytest
import structlog

from keyring_core import KeyConfigError, KeyConfigWarning
from keyring_core.errors import WeakKeyWarning
from keyring_core.legacy import Legacy
from keyring_core.legacy.legacy import PACKAGES, read_variables
from keyring_core.redaction import Redactor, configure_logging
from tests.keyring_core.legacy.known_cells import BY_NAME, VECTORS, cells_of, environ_of, legacy_of, reader_of
from tests.keyring_core.test_errors import leaks, locals_in, shown_by
from tests.keys import key_text, make_key

SECRET = "Tr0ub4dor&3 über alles, a test secret"
WITH_HASH = "# correct horse, battery staple  a test secret"
AES = {"engine": "aes", "check": "json"}
NEEDED = {"sqlalchemy-utils": {"engine": "fernet"}, "django-fernet-encrypted-fields": {"salt": "a salt"}}


def test_every_package_has_known_answers():
    """No package is read of which no real cell is kept."""
    assert {case["package"] for case in VECTORS} == {*PACKAGES}


# What it is


def test_it_is_a_value():
    """It can be compared, hashed and pickled; one name and a list of one name are the same."""
    one = Legacy("sqlalchemy-utils", secret="$OLD", **AES)

    assert pickle.loads(pickle.dumps(one)) == one == Legacy("sqlalchemy-utils", secret=["$OLD"], **AES)
    assert (
        len({one, Legacy("sqlalchemy-utils", secret="$OTHER", **AES), Legacy("advanced-alchemy", secret="$OLD")}) == 3
    )
    with pytest.raises(AttributeError):
        one.package = "advanced-alchemy"


def test_its_repr_has_package_and_options():
    """A salt is shown only if it is the name of a variable."""
    mine = Legacy("django-fernet-encrypted-fields", secret=["$A", "${B}"], salt=["$SALT_KEY", "salt-in-code"])

    assert repr(mine) == "Legacy('django-fernet-encrypted-fields', secret=$A and ${B}, salt=$SALT_KEY and ...)"
    assert repr(Legacy("sqlalchemy-utils", secret="$OLD", **AES)) == (
        "Legacy('sqlalchemy-utils', secret=$OLD, engine='aes', check='json')"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sqlalchemy-utils 0.43.0 AES", "sqlalchemy-utils AES, secret $OLD_SECRET"),
        ("sqlalchemy-utils 0.43.0 AES-GCM", "sqlalchemy-utils AES-GCM, secret $OLD_SECRET"),
        ("advanced-alchemy 1.12.0", "advanced-alchemy, secret $OLD_SECRET"),
        (
            "django-cryptography 1.1 with a key of its own",
            "django-cryptography, secrets $OLD_SECRET and $CRYPTOGRAPHY_KEY",
        ),
    ],
)
def test_a_reader_says_whose_cells_it_reads(name, words):
    """Package, engine and variables, for messages."""
    assert reader_of(BY_NAME[name]).words == words


# What it refuses


def test_options_that_do_not_fit_are_refused(named):
    """The message says what the package has, and shows no value that was put in a wrong place."""
    cases = [
        ("django-fernet-field", {}, "did you mean django-fernet-fields?"),
        ("xyzzy-hunter2", {}, "The packages are sqlalchemy-utils, "),
        ("sqlalchemy-utils", {}, "set engine as the application does"),
        ("sqlalchemy-utils", {"engine": "des"}, "the engines are aes, aes-gcm, fernet"),
        ("sqlalchemy-utils", {"engine": "aes"}, 'Set check to "json", or to a regular expression'),
        ("sqlalchemy-utils", {"engine": "aes", "check": "("}, "neither json nor a regular expression"),
        ("sqlalchemy-utils", {"engine": "aes", "check": "a{99999999999}"}, "neither json nor a regular expression"),
        ("sqlalchemy-utils", {"engine": "aes", "check": "json", "padding": "pkcs7"}, "the paddings are pkcs5, "),
        ("sqlalchemy-utils", {"engine": "fernet", "check": "json"}, "only the engine aes"),
        ("sqlalchemy-utils", {"engine": "aes-gcm", "padding": "naive"}, "only the engine aes"),
        ("sqlalchemy-utils", {"engine": "fernet", "salt": "s"}, "it has no salt"),
        ("advanced-alchemy", {"engine": "PGCryptoBackend"}, "there the database encrypts, with pgp_sym_encrypt"),
        ("advanced-alchemy", {"engine": "pgcrypto"}, "there the database encrypts, with pgp_sym_encrypt"),
        ("advanced-alchemy", {"unpickle": True, "hkdf": False}, "it has no hkdf and no unpickle"),
        ("django-fernet-fields", {"prefix": "djfernet"}, "it has no prefix"),
        ("django-fernet-encrypted-fields", {}, "set salt as the application does"),
        ("django-fernet-encrypted-fields", {"salt": ()}, "salt: empty"),
        ("django-encrypted-model-fields", {"encryption_secret": "$A"}, "it has no encryption_secret"),
        ("django-cryptography", {"unpickle": "false"}, "unpickle is true or false"),
        ("django-fernet-fields", {"hkdf": 0}, "hkdf is true or false"),
        ("sqlalchemy-utils", {"engine": "aes", "check": 7}, "check is text"),
        ("django-cryptography", {"salt": 7}, "salt is text, or a list of texts"),
        ("django-cryptography", {"salt": [b"xyzzy"]}, "salt is text, or a list of texts"),
        ("django-cryptography", {"encryption_secret": 7}, "encryption_secret is text, or a list of texts"),
        ("django-cryptography", {"secret": None}, "secret is text, or a list of texts"),
        (["xyzzy"], {}, "package is text"),
    ]

    for package, options, words in cases:
        with named(package, options, words):
            with pytest.raises(KeyConfigError) as caught:
                Legacy(package, **{"secret": "$OLD", **options})

            assert words in str(caught.value)
            assert "xyzzy" not in shown_by(caught.value)
            assert caught.value.__context__ is None


def test_a_secret_in_place_of_a_name_is_refused(named):
    """The message says what belongs there, without the secret, which is masked in logs from then on."""
    for spelling in (SECRET, SECRET.encode(), ["$A", SECRET], "OLD_SECRET", "$A-B", "", 7):
        for option in ("secret", "encryption_secret"):
            with named(spelling, option):
                given = {"secret": "$OLD", option: [spelling] if spelling == 7 else spelling}

                with pytest.raises(KeyConfigError) as caught:
                    Legacy("django-cryptography", **given)

                assert option in str(caught.value)
                assert (
                    '"$NAME" of a variable; a secret does not belong into code' in str(caught.value) or spelling == ""
                )
                assert not leaks(shown_by(caught.value), SECRET, "a secret", "secret does")
                assert SECRET not in Redactor().redact(f"with {SECRET}.") or SECRET not in str(spelling)


# Secrets


def test_all_secrets_are_tried():
    """Several names, in any order, open cells under each of them."""
    cases = [BY_NAME["advanced-alchemy 1.12.0"], BY_NAME["sqlalchemy-utils 0.43.0 Fernet"]]
    environ = {"A": "quite another test secret", "B": environ_of(cases[0])["OLD_SECRET"]}

    reader = Legacy("advanced-alchemy", secret=["$A", "$B"]).reader(environ)

    for case in cases:
        assert all(reader.open(cell).plaintext == plaintext for cell, plaintext in cells_of(case))


@pytest.mark.parametrize(
    ("package", "options"), [("django-encrypted-model-fields", {}), ("django-fernet-fields", {"hkdf": False})]
)
def test_fernet_keys_may_be_listed(package, options):
    """Without a derivation the secrets are Fernet keys, which one variable can list."""
    environ = {"OLD": f"{key_text('new')},{key_text('old')}"}

    reader = Legacy(package, secret="$OLD", **options).reader(environ)

    assert reader.open(make_key("old").fernet.encrypt(b"a")).plaintext == b"a"


def test_a_weak_secret_reads_old_cells_with_a_warning(named):
    """Whatever it is, data may be under it."""
    for package in PACKAGES:
        with named(package):
            raw = package == "django-encrypted-model-fields"
            legacy = Legacy(package, secret="$OLD", **NEEDED.get(package, {}))

            with pytest.warns(WeakKeyWarning, match="^OLD.*, accepted to read old tokens"):
                reader = legacy.reader({"OLD": "A" * 43 + "=" if raw else "please-change-me-now"})

            assert reader.open("gAAAA") is None


def test_a_weak_key_for_a_mac_alone_gives_a_warning():
    """SECRET_KEY signs, also if CRYPTOGRAPHY_KEY encrypts."""
    legacy = Legacy("django-cryptography", secret="$SECRET_KEY", encryption_secret="$CRYPTOGRAPHY_KEY")

    with pytest.warns(WeakKeyWarning, match="^SECRET_KEY: a placeholder"):
        legacy.reader({"SECRET_KEY": "please-change-me-now", "CRYPTOGRAPHY_KEY": SECRET})


def test_secrets_are_masked_in_logs_from_then_on(named):
    """Each secret, in a redactor that was there before and in one that comes later; a salt in a variable, too."""
    for case in VECTORS:
        with named(case["made_by"]):
            environ, before = environ_of(case), Redactor()

            legacy_of(case).reader(environ)

            for value in environ.values():
                for text in (
                    value if isinstance(value, list) else value.split(",") if key_text("older") in value else [value]
                ):
                    for redactor in (before, Redactor()):
                        assert text not in redactor.redact(f"with {text}.")


def test_a_log_of_a_failure_has_no_secret():
    """Not even if it shows all local variables' reprs."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    legacy = Legacy("django-cryptography", secret="$OLD")
    reader = legacy.reader({"OLD": SECRET})
    structlog.get_logger().error("failed", legacy=legacy, reader=reader, vars=repr(vars(reader)), text=SECRET)

    assert "REDACTED" in stream.getvalue()
    assert not leaks(stream.getvalue(), SECRET, "a secret", "secret", "of key")


def test_two_keys_that_sign_alike_are_refused():
    """One of them is a mistyped copy: no token shows which of them it is under."""
    text = key_text("old")
    twin = text[:30] + ("A" if text[30] != "A" else "B") + text[31:]

    with pytest.raises(KeyConfigError, match="sign alike"):
        Legacy("django-encrypted-model-fields", secret="$OLD").reader({"OLD": [text, twin]})


def test_the_same_secret_twice_is_no_fault():
    """SECRET_KEY may also be in a list of fallbacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", KeyConfigWarning)
        reader = Legacy("advanced-alchemy", secret=["$A", "$B"]).reader({"A": SECRET, "B": [SECRET]})

    assert reader.open("") is None


def test_no_frame_of_an_error_shows_a_secret():
    """A tool that shows the locals of frames shows none of the secrets that a reader was to have."""
    environ = {"A": key_text("a"), "B": f"{key_text('b')}x"}

    legacy = Legacy("django-fernet-fields", secret=["$A", "$B", "$C"])

    with pytest.raises(KeyConfigError) as caught:
        legacy.reader(environ)

    assert not any(leaks(locals_in(caught.value), key) for key in environ.values())


@pytest.mark.parametrize("option", ["package", "secret", "salt"])
def test_a_secret_in_place_of_a_name_is_in_no_frame(option):
    """What `Legacy` refuses may be a secret; only the caller's own frame still has it."""
    given = {"package": "advanced-alchemy", "secret": "$A"} | {option: SECRET}

    with pytest.raises(KeyConfigError) as caught:
        Legacy(**given)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in repr([frame.locals for frame in shown.stack if frame.filename != __file__])


def texts(environ, *names, listed=False):
    return [found.text for found in read_variables(names or ["$OLD"], environ, "secret", listed=listed)]


def test_a_secret_is_taken_as_it_is(tmp_path):
    """Blanks, commas and # belong to it, in a variable, a file and what a command prints; one line break does not."""
    file = tmp_path / "secret"
    file.write_text(f"{WITH_HASH}\n")
    file.chmod(0o600)

    assert texts({"OLD": WITH_HASH}) == [WITH_HASH]
    assert texts({"OLD": WITH_HASH.encode()}) == [WITH_HASH.encode()]
    assert texts({"OLD_FILE": str(file)}, "${OLD}") == [WITH_HASH.encode()]
    assert texts({"OLD_COMMAND": f"cat {file}"}) == [WITH_HASH.encode()]


def test_a_list_is_several_secrets():
    """As in Django's settings: each item, in order, and then those of the next name; each with its place."""
    found = read_variables(["$A", "$B"], {"A": ["one", b"two"], "B": "three", "OTHER": ["x"]}, "secret")

    assert [(each.text, each.where) for each in found] == [
        ("one", "A, item 1 of 2"),
        (b"two", "A, item 2 of 2"),
        ("three", "B"),
    ]
    assert "two" not in repr(found[1])


def test_fernet_keys_may_be_listed_in_one_text(tmp_path):
    """Commas and lines separate keys, since no key holds one; comments are none of them."""
    keys = [key_text("one"), key_text("two")]
    file = tmp_path / "keys"
    file.write_text(f"# both\n{keys[0]}\n{keys[1]}  # older\n")
    file.chmod(0o600)

    assert texts({"OLD": ",".join(keys)}, listed=True) == keys
    assert texts({"OLD_FILE": str(file)}, listed=True) == keys


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "$OLD: not set, or empty; set the secret that the cells were written under"),
        ({"OLD": ""}, "OLD: not set, or empty; set the secret"),
        ({"OLD": []}, "$OLD: not set, or empty"),
        ({"OLD": ["hunter2-xyzzy", ""]}, "OLD, item 2 of 2: not set, or empty"),
        ({"OLD": ["hunter2-xyzzy", None]}, "OLD, item 2 of 2: the secret is text, not NoneType"),
        ({"OLD": "hunter2-xyzzy", "OLD_FILE": "/x"}, "OLD and OLD_FILE are both set"),
        ({"OLD": ["hunter2-xyzzy"], "OLD_FILE": "/x"}, "OLD and OLD_FILE are both set"),
    ],
)
def test_a_secret_that_is_missing_is_named(environ, words):
    """The message says which variable, and shows nothing of another secret."""
    with pytest.raises(KeyConfigError) as caught:
        texts(environ)

    assert words in str(caught.value)
    assert "xyzzy" not in shown_by(caught.value)


def test_settings_are_not_listed():
    """Only the variables of that name are looked up: to evaluate all of Django's settings is slow."""

    class Settings(dict):
        def __iter__(self):
            raise AssertionError("listed")

        items = keys = values = __iter__

    assert texts(Settings({"OLD": "one", "OTHER": ["x"]})) == ["one"]
    assert texts(Settings({"OLD": ["one", "two"]})) == ["one", "two"]


def test_a_command_has_the_other_variables():
    """Those that are texts, for a command that needs an address or a token."""
    environ = {"OLD_COMMAND": "sh -c 'echo $WORDS'", "WORDS": "a test secret", "OTHER": ["x"]}

    assert texts(environ) == [b"a test secret"]


def test_one_missing_name_of_several_is_an_error():
    """Cells under it would be unreadable without a word."""
    with pytest.raises(KeyConfigError, match=r"\$B: not set"):
        texts({"A": "one"}, "$A", "$B")
