"""The project of docs/how-to/django-login.md, in a process of its own: what users and admins do with it.

Prints a JSON object with the traceback of each step, or null.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest

PASSWORD = "correct horse battery"
ADA = "Ada@example.org"


def users() -> Any:
    """The model of the page."""
    from django.contrib.auth import get_user_model

    return get_user_model()


def client(email: str | None = None) -> Any:
    """A browser, in which the user with *email* has logged in with the password."""
    from django.test import Client

    browser = Client()
    if email is not None:
        answer = browser.post("/login/", {"username": email, "password": PASSWORD})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/profile/")
    return browser


def checks() -> None:
    """The project passes every check."""
    from django.core import checks as system

    found = [each for each in system.run_checks(databases=["default"]) if not each.is_silenced()]
    assert found == []


def createsuperuser() -> None:
    """The command makes a superuser, and refuses a second one with that address in words."""
    from django.core.management import CommandError, call_command

    os.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    call_command("createsuperuser", email=ADA, interactive=False, stdout=io.StringIO())
    assert users().objects.get(email_index=ADA.lower()).is_superuser
    for email, words in ((ADA.upper(), "already exists"), ("no address", "valid email")):
        with pytest.raises(CommandError, match=words):
            call_command("createsuperuser", email=email, interactive=False)


def tokens() -> None:
    """The table of users holds a token in place of the address."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT email FROM accounts_user")
        assert [cell.startswith("gAAAA") for (cell,) in cursor.fetchall()] == [True]


def authenticate() -> None:
    """The address, in any case, and the password are right; another one of either is not."""
    import asyncio

    from django.contrib import auth

    user = users().objects.get()
    assert auth.authenticate(username=ADA, password=PASSWORD) == user
    assert auth.authenticate(email=ADA.lower(), password=PASSWORD) == user
    assert asyncio.run(users().objects.aget_by_natural_key(ADA)) == user
    assert auth.authenticate(username=ADA, password="wrong") is None
    assert auth.authenticate(username="bob@example.org", password=PASSWORD) is None


def login() -> None:
    """The login views take an address of any length that a mail address has."""
    from django.urls import reverse

    long = f"{'l' * 60}@{'d' * 60}.example.org"
    users().objects.create_user(long, PASSWORD)
    client(long)
    assert client().post("/login/", {"username": long, "password": "wrong"}).status_code == 200
    browser = client()
    answer = browser.post("/admin/login/", {"username": ADA, "password": PASSWORD, "next": "/admin/"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert browser.get("/admin/").status_code == 200
    users().objects.get(email_index=long).delete()
    assert reverse("password_reset") == "/password_reset/"


def sign_up() -> None:
    """The form makes a user, who logs in; a second one with the address is an error of the form."""
    from accounts.forms import SignUpForm

    typed = {"email": "bob@example.org", "password1": PASSWORD, "password2": PASSWORD}
    SignUpForm(typed).save()
    client("BOB@example.org")
    again = SignUpForm(typed | {"email": "Bob@Example.org"})
    assert again.errors == {"email": ["User with this Email already exists."]}
    similar = SignUpForm(typed | {"email": "e@example.org", "password1": "e@example.org", "password2": "e@example.org"})
    assert {*similar.errors} == {"password2"}


def change_password() -> None:
    """A user changes the password, stays logged in, and logs in with it."""
    browser = client("bob@example.org")
    typed = {"old_password": PASSWORD, "new_password1": f"{PASSWORD} 2", "new_password2": f"{PASSWORD} 2"}
    assert browser.post("/password_change/", typed).status_code == 302
    assert browser.get("/password_change/").status_code == 200
    assert client().post("/login/", {"username": "bob@example.org", "password": f"{PASSWORD} 2"}).status_code == 302


def reset_password() -> None:
    """The mail goes to the stored address, in whatever case it was asked for, and its link sets a password."""
    from django.core import mail

    browser = client()
    for email in ("BOB@example.org", "nobody@example.org"):
        assert browser.post("/password_reset/", {"email": email}).status_code == 302
    [sent] = mail.outbox  # type: ignore[attr-defined]
    assert sent.to == ["bob@example.org"]
    [link] = re.findall(r"http://testserver(/reset/\S+)", sent.body)
    form = browser.get(link).headers["Location"]
    assert browser.post(form, {"new_password1": PASSWORD, "new_password2": PASSWORD}).status_code == 302
    client("bob@example.org")


def in_admin() -> None:
    """The admin lists, searches, adds and changes users, names a duplicate, and logs no address."""
    from django.contrib.admin.models import LogEntry

    browser = client(ADA)
    bob = users().objects.get(email_index="bob@example.org")
    pages = "/admin/accounts/user/"
    listed, found = (browser.get(pages, {"q": words}).content.decode() for words in ("", "BOB@example.org"))
    cell = 'class="field-address">{}'.format
    assert cell(ADA) in listed
    assert (cell("bob@example.org") in found, cell(ADA) in found) == (True, False)
    assert browser.get(f"{pages}?o=2").status_code == 200
    typed = {"email": "Bob@example.org", "password1": PASSWORD, "password2": PASSWORD}
    assert "User with this Email already exists." in browser.post(f"{pages}add/", typed).content.decode()
    added = browser.post(f"{pages}add/", typed | {"email": "eve@example.org"})
    assert added.status_code == 302, added.content.decode()
    client("eve@example.org")
    page = f"{pages}{bob.pk}/change/"
    assert "bob@example.org" in browser.get(page).content.decode()
    assert "User with this Email already exists." in browser.post(page, {"email": ADA.lower()}).content.decode()
    assert browser.post(page, {"email": "robert@example.org", "is_active": "on"}).status_code == 302
    client("Robert@example.org")
    words = " ".join(LogEntry.objects.values_list("object_repr", flat=True))
    assert "@" not in words
    assert "user" in words


def rotate() -> None:
    """Users log in while rows are under the previous key, and after a new key came in."""
    from keyring_core import get_keyring

    os.environ["ENCRYPTION_PREVIOUS_KEYS"] = os.environ["ENCRYPTION_KEY"]
    os.environ["ENCRYPTION_KEY"] = os.environ.pop("NEXT_KEY")
    get_keyring.reset()
    client("robert@example.org")
    client(ADA)
    from accounts.forms import SignUpForm

    typed = {"email": "robert@example.org", "password1": PASSWORD, "password2": PASSWORD}
    assert {*SignUpForm(typed).errors} == {"email"}


STEPS: tuple[Callable[[], None], ...] = (
    checks,
    createsuperuser,
    tokens,
    authenticate,
    login,
    sign_up,
    change_password,
    reset_password,
    in_admin,
    rotate,
)


def main() -> None:
    """Makes the tables, and does each step."""
    warnings.simplefilter("error")
    import django
    import pymysql

    pymysql.install_as_MySQLdb()
    django.setup()
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    call_command("migrate", run_syncdb=True, verbosity=0)
    setup_test_environment()
    failed: dict[str, str | None] = {}
    for step in STEPS:
        try:
            step()
            failed[step.__name__] = None
        except Exception:
            failed[step.__name__] = traceback.format_exc()
    json.dump(failed, sys.stdout)


if __name__ == "__main__":
    main()
