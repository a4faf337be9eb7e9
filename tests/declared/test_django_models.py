"""`django =` in rotation.toml: the columns and the databases of a real project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.declared.django_project import COLUMNS, ROOT, Project, settings_of

pytestmark = pytest.mark.database

ENTRY = '[[target]]\ndjango = "project.settings"\n'


def test_rotation_toml_may_name_the_project(project: Project, tmp_path: Path) -> None:
    """Then keyring-rotate finds the same columns, wherever it is started, and leaves the clock's zone alone."""
    project.rotate_with()
    (project.folder / "rotation.toml").write_text(ENTRY)
    config = project.folder / "rotation.toml"
    project.environ |= {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": ""}

    ran = project.keyring_rotate("run", "--json", "--config", str(config), cwd=tmp_path)
    text = project.keyring_rotate("status", "--config", str(config), cwd=tmp_path)

    assert ran.code == 0, ran.err
    assert {f"{each['name']}.{each['column']}" for each in ran.document["targets"]} == set(COLUMNS)
    assert text.code == 0
    assert "the 13 columns named in rotation.toml" in text.out


def test_discover_lists_the_fields_and_the_entry(project: Project) -> None:
    """Its databases are those of the settings; the entry covers every field."""
    before = project.keyring_rotate("discover", "--django", "project.settings", "--json")
    (project.folder / "rotation.toml").write_text(before.document["targets"])
    after = project.keyring_rotate("discover", "--django", "project.settings", "--json")

    assert (before.code, after.code) == (1, 0), before.err + after.err
    assert before.document["targets"] == ENTRY
    assert {f"{each['table']}.{each['column']}" for each in before.document["declared"]} == set(COLUMNS)
    assert {each["covered"] for each in after.document["declared"]} == {True}
    assert len(before.document["databases"]) == 2


def test_check_names_the_fields_without_a_target(project: Project) -> None:
    """For an admin who lists targets by hand."""
    database = project.databases["default"]["NAME"]
    (project.folder / "rotation.toml").write_text(
        f'django = "project.settings"\n[[target]]\nurl = "sqlite:///{database}"\ntable = "shop_account"\n'
        'columns = ["api_key", "Memo"]\n'
    )

    ran = project.keyring_rotate("check", "--json")

    found = {each["subject"] for each in ran.document["findings"] if each["check"] == "declared_columns"}
    assert found == set(COLUMNS[2:])


SETTINGS_FAULTS = {
    "another engine": (
        {"ENGINE": "django.db.backends.dummy"},
        "DATABASES, default: its ENGINE is django.db.backends.dummy",
    ),
    "in memory": ({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, "in the memory of one process"),
    "no table": (
        {"ENGINE": "django.db.backends.sqlite3", "NAME": "empty.db"},
        "there is no table shop_historicalaccount",
    ),
}


def test_a_database_that_cannot_be_rotated_is_an_error(tmp_path: Path) -> None:
    """By its name; the database that the application writes a model to has to have its table."""
    project = Project(tmp_path / "app", {}).write()
    (project.folder / "empty.db").touch()
    (project.folder / "rotation.toml").write_text(ENTRY)
    for settings, said in SETTINGS_FAULTS.values():
        project.databases = {"default": settings, "crm": settings}

        ran = project.keyring_rotate("run")

        assert (ran.code, said in ran.err) == (2, True), ran.err
        assert "Traceback" not in ran.err


def test_settings_that_fail_are_an_error_of_usage(tmp_path: Path) -> None:
    """It names the project, and class and message of the error."""
    project = Project(tmp_path / "app", {}).write()
    (project.folder / "project" / "settings.py").write_text('raise RuntimeError("no vault")')
    (project.folder / "rotation.toml").write_text(ENTRY)

    ran = project.keyring_rotate("status")

    assert ran.code == 2
    assert ran.err == "Error: django project.settings: importing it fails: RuntimeError: no vault\n"


def test_a_password_is_in_no_output(project: Project) -> None:
    """Neither of a run nor of an error of a database that does not answer."""
    (project.folder / "rotation.toml").write_text(ENTRY)
    unreachable = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "USER": "u", "HOST": "127.0.0.1", "PORT": 1}
    project.databases = {"default": unreachable | {"PASSWORD": "correct-horse-9"}, "crm": project.databases["crm"]}

    for words in (["run", "--json"], ["discover"]):
        ran = project.keyring_rotate(*words)

        assert ran.code == 3, ran.err
        assert "127.0.0.1" in ran.out + ran.err
        assert "correct-horse" not in ran.out + ran.err


def test_each_model_is_looked_for_where_routers_allow_it(project: Project) -> None:
    """In its own database it has to be; a replica, and a second alias of a database, are no further ones."""
    default = project.databases["default"]
    (project.folder / "spare.db").touch()
    project.databases = {
        **project.databases,
        "again": default,
        "replica": settings_of("sqlite:///replica.db") | {"TEST": {"MIRROR": "default"}},
        "spare": settings_of(f"sqlite:///{project.folder}/spare.db"),
    }
    project.rotate_with()
    code = """
from rotation.declared.django_models import columns_of_this_project
found = [[each.label, Path(each.url).name, each.optional] for each in columns_of_this_project()]
"""

    found, ran = project.python(code), project.manage("rotate_keys", "--json")

    assert sorted(each[1:] for each in found if each[0] == "shop_company.vat") == [
        ["crm.db", True],
        ["default.db", False],
        ["spare.db", True],
    ]
    assert [each[1:] for each in found if each[0] == "shop_lead.phone"] == [["crm.db", False]]
    assert ran.code == 0, ran.err
    assert len(ran.document["left_out"]) == len(COLUMNS) - 1


def test_a_schema_in_the_name_of_a_table_is_that_of_the_target() -> None:
    """Projects write it with the quotes that Django itself puts around a name."""
    from rotation.declared.django_models import _unquoted

    assert [_unquoted(name) for name in ('crm"."lead', '"crm"."lead"', "lead")] == ["crm.lead", "crm.lead", "lead"]


def test_an_index_keeps_the_normal_form_of_its_field(project: Project) -> None:
    """The model says it: after a rotation a lookup by another spelling finds the row, under the new key alone."""
    project.python('Account.objects.create(owner="o", note="NoTe")\nfound = None')
    project.rotate_with()

    ran = project.manage("rotate_keys", "--json")
    project.environ["ENCRYPTION_PREVIOUS_KEYS"] = ""

    assert (ran.code, {each["reindexed"] for each in ran.document["targets"]}) == (0, {0})
    assert project.python('found = Account.objects.filter(note_index="nOtE").count()') == 1
