"""pytest: what it prints of tests of logins that fail."""

import sys
from pathlib import Path

import pytest

Path("test_login.py").write_text('''
import pytest


class Account:
    def __init__(self, password=None, token=None):
        self.password = password
        self.token = token

    def reset_password(self, token):
        if token != self.token:
            raise PermissionError(f"token of type {type(token).__name__} does not fit")


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def secret_store(account):
    raise ConnectionError("no secret store at vault:8200")


@pytest.mark.parametrize("password", ["", None, 12, True])
def test_password_is_refused(account, password):
    account.password = password
    assert account.password == account.token and account.password is not password


@pytest.mark.parametrize("token", [None, 0, False])
def test_reset_password_needs_token(account, token):
    account.reset_password(token)
    account.reset_password(token=7)


def test_secret_is_read(secret_store):
    assert secret_store


def test_password_has_policy(account):
    """A password has a policy."""
    assert account.password_policy == "strict"


def test_tokens_differ(account):
    assert [account.token, account.password] == ["token", "password"]


@pytest.mark.skip(reason="needs a token with scope secrets:read")
def test_token_scope(): ...


@pytest.mark.xfail(reason="passwords are not rehashed yet")
def test_rehash():
    assert False
''')
for style in ("auto", "long", "short", "native", "line"):
    pytest.main(["-vv", "-rA", f"--tb={style}", "-p", "no:cacheprovider", "--setup-show", "test_login.py"])
    sys.modules.pop("test_login", None)
pytest.main(["--fixtures", "--markers", "test_login.py"])
pytest.main(["--durations=5", "--collect-only", "test_login.py"])
