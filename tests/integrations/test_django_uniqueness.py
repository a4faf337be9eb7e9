"""keyring_core/integrations/django/index_field.py: a duplicate is an error of the encrypted field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import NEW, OLD
from tests.integrations.conftest import table_of, use_keys

pytestmark = pytest.mark.xdist_group("django")

TAKEN = {"email": ["Member with this Email already exists."]}


def columns(**options: Any) -> dict[str, Any]:
    """The fields of a model with an e-mail address, whose index has *options*."""
    from django.db import models

    from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

    return {
        "team": models.IntegerField(default=1),
        "active": models.BooleanField(default=True),
        "email": EncryptedTextField(null=True, blank=True),
        "email_index": BlindIndexField("email", normalize="casefold", **options),
    }


def meta_of(kind: str) -> dict[str, Any]:
    """The ways to say that e-mail addresses are unique; the last two, within a team."""
    from django.db.models import Q, UniqueConstraint

    constraints = {
        "UniqueConstraint": UniqueConstraint(fields=["email_index"], name="c"),
        "code": UniqueConstraint(
            fields=["email_index"],
            condition=Q(active=True),
            name="c",
            violation_error_code="unique",
            violation_error_message=TAKEN["email"][0],
        ),
        "several": UniqueConstraint(fields=["team", "email_index"], name="c"),
    }
    if kind in constraints:
        return {"constraints": [constraints[kind]]}
    return {"unique_together": [("team", "email_index")]} if kind == "unique_together" else {}


def of_form(model: Any, instance: Any = None, **typed: Any) -> dict[str, list[str]]:
    """The errors of a form without the index, in which *typed* stands."""
    from django.forms import modelform_factory

    form = modelform_factory(model, fields=["team", "active", "email"])({"team": 1, **typed}, instance=instance)
    return {name: list(errors) for name, errors in form.errors.items()}


def of_full_clean(instance: Any) -> dict[str, list[str]]:
    """The errors of the model itself."""
    from django.core.exceptions import ValidationError

    try:
        instance.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


@pytest.mark.parametrize("kind", ["unique", "UniqueConstraint", "code", "several", "unique_together"])
def test_a_duplicate_is_an_error_of_the_encrypted_field(
    shop: Any, db: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forms and full_clean name the field for a new row and an edit, whatever the key, and leave the row itself out."""
    if kind == "code" and db.kind == "mariadb":
        return  # It has no constraint of some rows alone.
    words = "Member with this Team and Email already exists."
    taken = {"email": [words]} if kind in ("several", "unique_together") else TAKEN
    with table_of("Member", **columns(unique=kind == "unique"), meta=meta_of(kind)) as model:
        use_keys(monkeypatch, OLD)
        row = model.objects.create(email="a@b.c")
        use_keys(monkeypatch, NEW, OLD)
        other = model.objects.create(email="d@e.f")

        assert of_form(model, email="A@b.c", active="on") == taken
        assert of_form(model, other, email="A@b.c", active="on") == taken
        assert of_full_clean(model(email="A@b.c")) == taken
        other.email = "A@b.c"
        assert of_full_clean(other) == taken
        assert of_form(model, row, email="A@b.c", active="on") == of_full_clean(row) == {}
        assert of_form(model, email="new@b.c", active="on") == of_full_clean(model(email="new@b.c")) == {}
        assert of_form(model, email="") == {}
        if kind in ("several", "unique_together"):
            assert of_form(model, email="A@b.c", team=2) == {}
        if kind == "code":
            assert of_form(model, email="A@b.c") == {}


def test_the_words_are_the_applications(shop: Any, db: Any) -> None:
    """An error message that the index was declared with is that of the form."""
    with table_of("Member", **columns(unique=True, error_messages={"unique": "Log in instead."})) as model:
        model.objects.create(email="a@b.c")

        assert of_form(model, email="a@b.c") == {"email": ["Log in instead."]}


def test_what_a_form_leaves_out_is_not_checked(shop: Any, db: Any) -> None:
    """A form without the encrypted field, and one in which it has another fault, say nothing of duplicates."""
    from django.forms import modelform_factory

    from keyring_core import get_keyring

    with table_of("Member", **columns(unique=True)) as model:
        model.objects.create(email="a@b.c")
        form = modelform_factory(model, fields=["team"])({"team": 1}, instance=model(email="a@b.c"))

        assert form.is_valid()
        assert {*of_form(model, email=get_keyring().encrypt("a@b.c"))} == {"email"}
        model(email="a@b.c").full_clean(exclude=["email"])


def test_a_value_that_cannot_be_stored_is_an_error_of_its_field(shop: Any, db: Any) -> None:
    """full_clean names the field of a token, and of a text that is no date; save() raises."""
    from keyring_core import AlreadyEncryptedError, get_keyring
    from keyring_core.integrations.django import BlindIndexField, EncryptedDateField

    with table_of("Member", **columns(unique=True)) as model:
        token = model(email=get_keyring().encrypt("a@b.c"))

        assert {*of_full_clean(token)} == {"email"}
        assert token.email_index is None
        with pytest.raises(AlreadyEncryptedError):
            token.save()
    with table_of("Born", born=EncryptedDateField(), born_index=BlindIndexField("born", unique=True)) as model:
        assert {*of_full_clean(model(born="no date"))} == {"born"}


def test_queries(shop: Any, db: Any) -> None:
    """A unique index costs one query; one that is not unique, none."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = {}
    for unique in (True, False):
        with table_of("Member", **columns(unique=unique)) as model:
            with CaptureQueriesContext(connection) as queries:
                of_form(model, email="a@b.c")
                in_form = len(queries)
                of_full_clean(model(email="a@b.c"))
            counts[unique] = in_form, len(queries) - in_form

    assert counts == {True: (1, 1), False: (0, 0)}


def test_an_applications_own_checks_stay(shop: Any, db: Any) -> None:
    """A model's own validate_unique runs, a child's, too, and its error is shown."""
    from django.core.exceptions import ValidationError

    def validate_unique(self: Any, exclude: Any = None) -> None:
        if self.team == 13:
            raise ValidationError({"team": "No such team."})
        super(type(self), self).validate_unique(exclude)

    fields = columns(unique=True) | {"validate_unique": validate_unique}
    with table_of("Member", **fields) as model:
        model.objects.create(email="a@b.c")

        assert of_form(model, email="x", team=13) == {"team": ["No such team."]}
        assert of_form(model, email="a@b.c") == TAKEN


def test_a_race_is_left_to_the_database(shop: Any, db: Any) -> None:
    """A row that was stored after the form was checked makes save() raise IntegrityError."""
    from django.db import IntegrityError, transaction
    from django.forms import modelform_factory

    with table_of("Member", **columns(unique=True)) as model:
        form = modelform_factory(model, fields=["email"])({"email": "a@b.c"})
        assert form.is_valid()
        model.objects.create(email="A@b.c")

        with pytest.raises(IntegrityError), transaction.atomic():
            form.save()


def test_a_proxy_is_checked(shop: Any, db: Any) -> None:
    """A proxy finds a duplicate in its model's table."""
    from django.core.exceptions import ValidationError

    class Meta:
        proxy = True
        app_label = "shop"

    from django.test.utils import isolate_apps

    shop.Lead.objects.create(mail="a@b.c")
    with isolate_apps("tests.integrations.django_project.shop"):
        child = type("Hot", (shop.Lead,), {"__module__": __name__, "Meta": Meta})

    with pytest.raises(ValidationError) as raised:
        child(mail="a@b.c").full_clean()
    assert {*raised.value.message_dict} == {"mail"}


def test_rest_framework_with_the_serializer_of_the_page(shop: Any, db: Any) -> None:
    """The serializer of the reference page finds a duplicate, leaves the row itself out, and refuses a token."""
    import re
    from pathlib import Path

    from keyring_core import get_keyring

    page = (Path(__file__).parents[2] / "docs" / "reference" / "django-fields.md").read_text()
    (program,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "AccountSerializer" in block
    )
    with table_of("Member", **columns(unique=True)) as model:
        scope: dict[str, Any] = {"Account": model}
        exec(program, scope)
        serializer = scope["AccountSerializer"]
        row = model.objects.create(email="a@b.c")

        assert not serializer(data={"email": "A@b.c"}).is_valid()
        assert not serializer(data={"email": get_keyring().encrypt("new@b.c")}).is_valid()
        assert serializer(row, data={"email": "A@b.c"}).is_valid()
        assert serializer(data={"email": "new@b.c"}).is_valid()
