"""docs/reference/django-fields.md holds what the fields do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("django")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "django-fields.md").read_text()


def test_every_check_is_explained(shop: Any) -> None:
    """The page has a row for the id of each check, and no others."""
    from keyring_core.integrations.django import admin_checks, checks

    sources = inspect.getsource(checks) + inspect.getsource(admin_checks)
    raised = set(re.findall(r'\bmessage\(\s*"(\w+)"', sources))

    assert raised == set(re.findall(r"^\| keyring_core\.(\w+) \|", PAGE, re.MULTILINE))
    assert len(raised) == 11


def test_every_option_is_explained(shop: Any) -> None:
    """Each option of the fields stands in the page's tables or its section on the index."""
    from keyring_core.integrations.django import BlindIndexField
    from keyring_core.integrations.django.fields import EncryptedField

    for field in (EncryptedField, BlindIndexField):
        for name, parameter in inspect.signature(field.__init__).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert f"`{name}`" in PAGE, name


def test_the_model_of_the_page_works(shop: Any, keys: None) -> None:
    """The model that the page shows can be declared, passes every check, and finds its rows."""
    from django.test.utils import isolate_apps

    (program,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class Account(" in block)
    scope: dict[str, Any] = {"__name__": "tests.integrations.django_project.shop.page"}
    with isolate_apps("tests.integrations.django_project.shop"):
        exec(inspect.cleandoc("\n" + program), scope)

    model = scope["Account"]
    assert model.check() == []
    assert model(email="a").email_index == model(email="a").email_index != model(email="b").email_index
    assert model._meta.get_field("api_key").cells.context == "accounts.api_key"


def test_the_error_of_the_page_is_as_it_is(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a cell that does not open reads as the page shows it, but for its numbers."""
    from keyring_core import UndecryptableToken
    from tests.conftest import OLD
    from tests.integrations.conftest import use_keys

    (shown,) = re.findall(r"^accounts\.api_key, id=.*$", PAGE, re.MULTILINE)
    shop.Account.objects.create(api_key="x")
    use_keys(monkeypatch, OLD)

    with pytest.raises(UndecryptableToken) as raised:
        shop.Account.objects.get()

    words = re.escape(shown).replace("812", r"\d+").replace("5f0c1a9e", "[0-9a-f]{8}")
    assert re.fullmatch(words, str(raised.value))
