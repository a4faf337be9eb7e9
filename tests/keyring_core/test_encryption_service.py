"""The service that other programs call: what it returns, what it raises, and what it logs."""

from __future__ import annotations

import copy
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cryptography.fernet
import pytest
import structlog
from cryptography.fernet import Fernet
from structlog.testing import LogCapture

from keyring_core import (
    CredentialEncryptionService,
    InvalidToken,
    KeyConfigError,
    Keyring,
    Malformed,
    MalformedToken,
    PlaintextError,
    UndecryptableToken,
    encryption_service,
    get_encryption_service,
    get_keyring,
)
from keyring_core.encryption_service import Lazy
from keyring_core.errors import MAKE_KEY_COMMAND
from tests.keyring_core.test_bulk import damaged_token
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keyring_core.test_tokens import NOT_UTF8, SECRET, TOKEN, flip, issue
from tests.keys import key_text, make_key
from tests.processes import in_a_fork

THREADS = 16


@pytest.fixture
def service() -> CredentialEncryptionService:
    return CredentialEncryptionService(Keyring(key_text("new"), [key_text("old")]))


@pytest.fixture
def log(monkeypatch) -> LogCapture:
    """What the service logs, however structlog is configured at the time."""
    captured = LogCapture()
    monkeypatch.setattr(encryption_service, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


@pytest.fixture
def fresh(monkeypatch):
    """No service or keyring is cached before or after the test, and the environment names no key."""
    for form in ("", "_FILE", "_COMMAND"):
        monkeypatch.delenv(f"ENCRYPTION_KEY{form}", raising=False)
    get_encryption_service.reset()
    get_keyring.reset()
    yield
    get_encryption_service.reset()
    get_keyring.reset()


@pytest.mark.parametrize("plaintext", [SECRET, " ", "ü" * 1000, "line\nline", "\0"])
def test_a_credential_comes_back(service, log, plaintext):
    """What is encrypted decrypts to itself, is an ordinary token of the primary key, and leaves no line in a log."""
    token = service.encrypt(plaintext)

    assert service.decrypt(token) == plaintext
    assert Fernet(key_text("new")).decrypt(token).decode() == plaintext
    assert log.entries == []


def test_an_older_token_opens(service):
    """What a previous key encrypted is still read."""
    assert service.decrypt(TOKEN) == SECRET


def test_an_empty_string_stays_empty(service, log):
    """No credential in, no credential out: neither way is an error, and nothing is encrypted."""
    assert service.encrypt("") == ""
    assert service.decrypt("") == ""
    assert log.entries == []


def test_none_is_a_value_error(service):
    """None is a caller's mistake, unlike an empty credential."""
    with pytest.raises(ValueError, match="None"):
        service.encrypt(None)
    with pytest.raises(ValueError, match="None"):
        service.decrypt(None)


@pytest.mark.parametrize("value", [0, False, b"", [], 5])
def test_what_is_no_text_is_never_stored(service, value):
    """An empty value of another type does not pass for an empty string."""
    with pytest.raises(TypeError):
        service.encrypt(value)


@pytest.mark.parametrize("value", [0, False, [], 5])
def test_what_is_no_text_is_never_opened(service, value):
    """A number or a list in place of a token is a TypeError."""
    with pytest.raises(TypeError):
        service.decrypt(value)


@pytest.mark.parametrize(
    ("ciphertext", "error", "category"),
    [
        (" ", MalformedToken, Malformed.EMPTY),
        ("hunter2-in-plain-text", MalformedToken, Malformed.PLAINTEXT),
        (TOKEN[:50], MalformedToken, Malformed.TRUNCATED),
        (TOKEN + TOKEN, MalformedToken, Malformed.GLUED),
        (f"{TOKEN}é", MalformedToken, Malformed.NOT_A_TOKEN),
        (flip(TOKEN, 30), UndecryptableToken, None),
        (issue(SECRET, "elsewhere"), UndecryptableToken, None),
    ],
    ids=["blank", "plaintext", "truncated", "glued", "non-ASCII", "damaged", "unknown key"],
)
def test_corrupt_text_is_an_invalid_token(service, log, ciphertext, error, category):
    """A failure is an InvalidToken, this project's and stock's, and one line in the log without any value."""
    with pytest.raises(InvalidToken) as caught:
        service.decrypt(ciphertext)

    assert type(caught.value) is error
    assert isinstance(caught.value, cryptography.fernet.InvalidToken)
    assert not leaks(shown_by(caught.value), ciphertext)
    expected = {"event": "credential.decrypt.failed", "log_level": "warning", "error": error.__name__}
    assert log.entries == [expected | ({"category": str(category)} if category else {})]


def test_a_plaintext_that_is_not_text_is_logged_without_it(service, log):
    """A token that holds bytes, and a credential without UTF-8 form, fail and log their class alone."""
    with pytest.raises(PlaintextError):
        service.decrypt(issue(NOT_UTF8))
    with pytest.raises(PlaintextError):
        service.encrypt(f"{SECRET}\udce9")

    assert log.entries == [
        {"event": f"credential.{what}.failed", "log_level": "warning", "error": "PlaintextError"}
        for what in ("decrypt", "encrypt")
    ]


# Keys that change


@pytest.fixture
def key_file(fresh, monkeypatch, tmp_path):
    """The file that the process's key comes from."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(key_text("old"))
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", str(path))
    return path


def test_a_running_service_follows_its_keys(key_file, monkeypatch):
    """A service that was made before a promotion encrypts under the new key after it, without a restart."""
    monkeypatch.setenv("ENCRYPTION_RELOAD_SECONDS", "0.000001")
    service = get_encryption_service()
    assert get_keyring().key_for(service.encrypt(SECRET)) == make_key("old")

    key_file.write_text(key_text("new"))

    assert get_keyring().key_for(service.encrypt(SECRET)) == make_key("new")
    assert get_encryption_service() is service


def test_a_service_keeps_a_key_that_the_process_removed_from_its_environment(key_file, monkeypatch):
    """A promotion in the file, seen after the list of previous keys has left the environment, costs no token."""
    monkeypatch.setenv("ENCRYPTION_RELOAD_SECONDS", "0.000001")
    monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS", key_text("older"))
    service = get_encryption_service()
    monkeypatch.delenv("ENCRYPTION_PREVIOUS_KEYS")

    key_file.write_text(key_text("new"))

    assert get_keyring().key_for(service.encrypt(SECRET)) == make_key("new")
    assert service.decrypt(issue(SECRET, "older")) == SECRET


def test_an_unknown_token_makes_a_service_read_its_keys_at_once(key_file, log):
    """What another process encrypted under a key that just arrived opens at the first try, and is no failure."""
    service = get_encryption_service()
    key_file.write_text(key_text("new"))

    assert service.decrypt(issue(SECRET, "new")) == SECRET
    assert log.entries == []


def test_a_token_that_no_key_opens_stays_an_error(key_file, log):
    """If reading again brings no key, or not the right one, the error is that of the first try."""
    service = get_encryption_service()
    for _ in range(2):
        with pytest.raises(UndecryptableToken, match=f"tried {make_key('old').id}"):
            service.decrypt(issue(SECRET, "elsewhere"))
    key_file.write_text(key_text("new"))
    get_keyring.reload()

    with pytest.raises(UndecryptableToken, match=f"tried {make_key('new').id}"):
        service.decrypt(issue(SECRET, "elsewhere"))

    assert [entry["error"] for entry in log.entries] == ["UndecryptableToken"] * 3


def test_a_broken_token_makes_nobody_read_keys(key_file, monkeypatch):
    """What is no token, and what a known key signed, is not for want of a key."""
    service = get_encryption_service()
    monkeypatch.setattr(get_keyring, "renew", pytest.fail)

    for ciphertext in ("hunter2", damaged_token("old")):
        with pytest.raises(InvalidToken):
            service.decrypt(ciphertext)


def test_a_service_with_a_keyring_of_its_own_keeps_to_it(key_file):
    """A service that was given a keyring uses it, whatever the process's files say."""
    service = CredentialEncryptionService(Keyring(key_text("own")))

    with pytest.raises(UndecryptableToken):
        service.decrypt(issue(SECRET, "old"))


def test_nothing_decrypted_is_kept(service):
    """After a decryption the service holds what it held before."""
    before = dict(vars(service))

    service.decrypt(TOKEN)

    assert vars(service) == before


def test_the_repr_shows_ids(service):
    """Printing a service shows the keys' ids and states, and a copy cannot be made."""
    assert repr(service) == (
        f"<CredentialEncryptionService <Keyring {make_key('new').id} primary, {make_key('old').id} previous>>"
    )
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            take(service)


# The one service of a process


def test_a_missing_key_is_a_value_error_with_the_remedy(fresh):
    """The error names the variable and the command that makes a key; both ways of getting a service raise it."""
    for build in (get_encryption_service, CredentialEncryptionService):
        with pytest.raises(ValueError, match="ENCRYPTION_KEY: not set") as caught:
            build()

        assert isinstance(caught.value, KeyConfigError)
        assert MAKE_KEY_COMMAND in str(caught.value)


def test_nothing_is_cached_after_a_failure(fresh, monkeypatch):
    """Once the key is set, the same process gets its service."""
    with pytest.raises(KeyConfigError):
        get_encryption_service()
    monkeypatch.setenv("ENCRYPTION_KEY", f'"{key_text("new")}"')
    with pytest.raises(KeyConfigError, match="quotes"):
        get_encryption_service()
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))

    assert get_encryption_service().decrypt(issue(SECRET, "new")) == SECRET
    assert get_encryption_service() is get_encryption_service()


def test_a_service_takes_the_variables_as_they_are(fresh, monkeypatch):
    """A service that is made after the variables changed uses the new keys; an earlier one keeps its keys."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("old"))
    first, ring = CredentialEncryptionService(), get_keyring()
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))
    second = CredentialEncryptionService()

    assert second.decrypt(issue(SECRET, "new")) == SECRET
    assert first.decrypt(issue(SECRET, "old")) == SECRET
    for service, label in ((first, "new"), (second, "old")):
        with pytest.raises(UndecryptableToken):
            service.decrypt(issue(SECRET, label))
    assert get_keyring() is ring


def test_a_key_that_went_is_missing(fresh, monkeypatch):
    """A service is not made of a key that the variables no longer name, though the process has used it."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("old"))
    service = get_encryption_service()
    monkeypatch.delenv("ENCRYPTION_KEY")

    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY: not set"):
        CredentialEncryptionService()
    assert service.decrypt(issue(SECRET, "old")) == SECRET


def test_the_service_is_built_once_under_threads(fresh, monkeypatch):
    """Sixteen threads that ask at once get one service, built once."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))
    built, build = [], CredentialEncryptionService.__init__

    def slowly(service: CredentialEncryptionService) -> None:
        time.sleep(0.02)
        built.append(service)
        build(service)

    monkeypatch.setattr(CredentialEncryptionService, "__init__", slowly)
    barrier = threading.Barrier(THREADS)

    def ask(_: int) -> CredentialEncryptionService:
        barrier.wait()
        return get_encryption_service()

    with ThreadPoolExecutor(THREADS) as pool:
        services = list(pool.map(ask, range(THREADS)))

    assert len(built) == 1
    assert {id(service) for service in services} == {id(built[0])}


def test_the_service_shares_the_keyring_of_the_process(fresh, monkeypatch):
    """A service without a keyring of its own uses the one that get_keyring gives, however many there are."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))

    assert get_encryption_service()._keyring is get_keyring()
    assert CredentialEncryptionService()._keyring is get_keyring()


# A value that is built once


def ask_at_once(lazy: Lazy) -> list[object]:
    """What the value is to each of many threads that ask at the same moment; an error counts as its answer."""
    barrier = threading.Barrier(THREADS)

    def ask(_: int) -> object:
        barrier.wait()
        try:
            return lazy()
        except ValueError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(ask, range(THREADS)))


def test_nothing_is_built_before_the_first_use():
    """Making a lazy value calls nothing."""
    Lazy(pytest.fail)


def test_the_value_is_built_once_under_threads():
    """However many threads ask at once, one builds and all get that one value."""
    built = []

    def build() -> object:
        time.sleep(0.02)
        built.append(object())
        return built[-1]

    answers = ask_at_once(Lazy(build))

    assert len(built) == 1
    assert answers == built * THREADS


def test_a_failed_build_leaves_nothing_behind():
    """After a failure the next call tries again, and the value that it builds is kept."""
    outcomes = iter([ValueError("first"), ValueError("second"), "value"])

    def build() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    lazy = Lazy(build)

    with pytest.raises(ValueError, match="first"):
        lazy()
    with pytest.raises(ValueError, match="second"):
        lazy()
    assert lazy() == lazy() == "value"


def test_threads_that_meet_a_failure_do_not_wait_for_ever():
    """A build that always fails fails in every thread, and the lock is free afterwards."""

    def build() -> object:
        raise ValueError("no key")

    lazy = Lazy(build)

    assert [str(answer) for answer in ask_at_once(lazy)] == ["no key"] * THREADS
    assert [str(answer) for answer in ask_at_once(lazy)] == ["no key"] * THREADS


def test_reset_forgets_the_value():
    """After reset the value is built again, once."""
    lazy = Lazy(object)
    before = lazy()

    lazy.reset()

    assert lazy() is not before
    assert lazy() is lazy()


def test_a_call_looks_at_the_value_once():
    """A reset between a look and a second look would turn the value into None."""

    class ResetAfterEachLook(Lazy):
        looks = iter(["value", None])

        @property
        def _value(self) -> object:
            return next(self.looks)

        @_value.setter
        def _value(self, value: object) -> None:
            pass

    assert ResetAfterEachLook(pytest.fail)() == "value"


def test_reset_breaks_no_call():
    """Threads that ask while another resets always get a value, never None."""
    lazy, stop = Lazy(object), threading.Event()
    resetting = threading.Thread(target=lambda: [lazy.reset() for _ in iter(lambda: stop.wait(0.0001), True)])
    resetting.start()

    answers = [answer for _ in range(5) for answer in ask_at_once(lazy)]
    stop.set()
    resetting.join()

    assert None not in answers


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_can_build_the_value_while_its_parent_does():
    """A child that is forked while another thread builds is not left with a lock that nobody gives back."""
    building, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    def build() -> str:
        building.set()
        assert os.getpid() != parent or go_on.wait(300)
        return "value"

    lazy = Lazy(build)
    with ThreadPoolExecutor(1) as pool:
        builder = pool.submit(lazy)
        try:
            assert building.wait(300)
            assert in_a_fork(lambda: lazy() == "value")
        finally:
            go_on.set()

    assert builder.result() == "value"
