"""rotation.toml and what it comes to."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keyring_core.integrations.values import decimal_form
from keyring_core.legacy import Legacy
from rotation.configuration.config_file import read_config
from rotation.configuration.sections import TargetEntry
from rotation.configuration.targets import make_targets, refuse_rivals, without_repeats
from rotation.context import entries_of_apps
from rotation.model.failures import UsageError
from rotation.model.target import Index, Target
from tests.conftest import Cli, Named

ENTRY = """[[target]]
url = "sqlite:///app.db"
table = "creds"
columns = ["token"]
"""


def load(folder: Path, text: str | bytes, **environ: str) -> list[Target]:
    """The targets of a rotation.toml of that *text*."""
    path = folder / "rotation.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_config(path, entries_of_apps).targets(environ)


def test_an_entry_is_a_target_for_each_column(tmp_path: Path) -> None:
    """A target is one column; the table's name is its name unless it has one."""
    first, second = load(tmp_path, ENTRY.replace('["token"]', '["token", "refresh"]'))

    assert (first.label, second.label) == ("creds.token", "creds.refresh")
    assert {first.name, second.name} == {"creds"}


def test_all_settings_are_taken(tmp_path: Path) -> None:
    """Key columns, condition, context and name come through."""
    settings = 'name = "n"\nkey_columns = ["a", "b"]\nwhere = "x = 1"\ncontext = "c"\n'
    (target,) = load(tmp_path, ENTRY + settings)

    assert (target.name, target.key_columns, target.where, target.context) == ("n", ("a", "b"), "x = 1", "c")


def test_the_same_column_twice_is_one_target(tmp_path: Path) -> None:
    """C10: what is listed twice is rotated once, and keeps its place."""
    more = ENTRY.replace("creds", "more")

    targets = load(tmp_path, ENTRY + more + ENTRY + ENTRY.replace('["token"]', '["token", "token"]'))

    assert [target.label for target in targets] == ["creds.token", "more.token"]


@pytest.mark.parametrize("first", ["", 'context = "a"\n'], ids=["unbound", "bound"])
def test_one_column_has_one_context(tmp_path: Path, first: str) -> None:
    """Two entries that would take each other's tokens for unreadable are refused; under different conditions not."""
    with pytest.raises(UsageError, match=r"creds\.token is named twice, with different contexts"):
        load(tmp_path, ENTRY + first + ENTRY + 'context = "b"\n')

    assert len(load(tmp_path, ENTRY + first + ENTRY + 'context = "b"\nwhere = "id = 1"\n')) == 2


def test_columns_of_other_places_stay_apart() -> None:
    """C10: the same name in another database, or under another condition, is another target."""
    targets = [
        Target(url, "creds", "token", "creds", (), where)
        for url in ("sqlite:///a.db", "sqlite:///b.db")
        for where in (None, "id = 1")
    ]

    assert without_repeats(targets * 2) == targets


@pytest.mark.parametrize("text", ["", "# nothing\n", "target = []\n"])
def test_no_target_is_an_error(tmp_path: Path, text: str) -> None:
    """C10: a file that names no target is no success; the message shows an entry."""
    with pytest.raises(UsageError, match=r"names no target, so there is nothing to rotate[\s\S]*\[\[target\]\]"):
        load(tmp_path, text)


@pytest.mark.parametrize("url", ["$DATABASE_URL", "${DATABASE_URL}"])
def test_a_url_may_be_a_variable(tmp_path: Path, url: str) -> None:
    """`$NAME` is read from the environment, as a whole; no other text is expanded."""
    (target,) = load(tmp_path, ENTRY.replace("sqlite:///app.db", url), DATABASE_URL="sqlite:///$x.db")

    assert target.given == "sqlite:///$x.db"


@pytest.mark.parametrize("environ", [{}, {"DATABASE_URL": ""}], ids=["not set", "empty"])
def test_a_variable_without_a_value_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    """C05: a missing url is reported by its variable."""
    with pytest.raises(UsageError, match=r"target creds: its url is \$DATABASE_URL, and that variable is not set"):
        load(tmp_path, ENTRY.replace("sqlite:///app.db", "$DATABASE_URL"), **environ)


PASSWORD = "vT7qLm2xZr9KwP4s"

BAD = {
    "unknown setting": (
        ENTRY + f'passwd = "{PASSWORD}"\n',
        "rotation.toml, [[target]] 1: unknown setting `passwd`; there are url, table, columns",
    ),
    "url is a number": (
        ENTRY.replace('"sqlite:///app.db"', "7"),
        '`url` must be a text in quotes, such as "$DATABASE_URL"',
    ),
    "columns are text": (ENTRY.replace('["token"]', f'"{PASSWORD}"'), '`columns` must be a list, such as ["api_key"]'),
    "no url": (ENTRY.replace('url = "sqlite:///app.db"\n', ""), '`url` is missing; add url = "$DATABASE_URL"'),
    "url is blank": (ENTRY.replace("sqlite:///app.db", "  "), "the url is empty"),
    "no columns": (ENTRY.replace('"token"', ""), "at least one column"),
    "a column without a name": (ENTRY.replace('"token"', '""'), "at least one column"),
    "a table without a name": (ENTRY.replace('"creds"', '""'), "needs a table"),
    "a blank condition": (ENTRY + 'where = " "\n', "where is empty"),
    "a companion of two columns": (
        ENTRY.replace('"token"', '"token", "other"') + 'set = { hash = "primary-key-id" }\n',
        "hash cannot change with token and with other",
    ),
    "not TOML": (f'url = "postgresql://u:{PASSWORD}@h/d\n', "the text in this line has no closing quote"),
    "not UTF-8": (b'[[target]]\nurl = "\xff"\n', "not TOML"),
    "a key twice": (ENTRY + 'table = "x"\n', "line 5, column 12): this is there twice"),
}


def test_a_bad_file_is_refused_by_its_fault(tmp_path: Path, named: Named) -> None:
    """C05: the fault is named, and no value of the file is shown."""
    for name, (text, told) in BAD.items():
        with named(name):
            with pytest.raises(UsageError) as refused:
                load(tmp_path, text)

            assert told in str(refused.value)
            assert not any(PASSWORD[start : start + 8] in str(refused.value) for start in range(9))
            assert refused.value.__context__ is None


@pytest.mark.parametrize("what", ["missing", "directory"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    """The message has the path of a missing file, and how to name another."""
    path = tmp_path / "rotation.toml"
    if what == "directory":
        path.mkdir()

    with pytest.raises(UsageError, match=r"rotation\.toml: .*--config or ROTATION_CONFIG"):
        read_config(path, entries_of_apps).targets({})


def test_a_target_shows_no_password() -> None:
    """C05: a url may hold one, so it is in no repr."""
    (target,) = make_targets(
        TargetEntry(url=f"postgresql://u:{PASSWORD}@h/d", table="creds", columns=("token",)), environ={}
    )

    assert PASSWORD[:8] not in repr(target)


SECRET = PASSWORD[::-1]
FROM = 'from = { package = "sqlalchemy-utils", engine = "fernet", secret = "$OLD" }\n'
INDEX = 'index = { column = "token_index", context = "creds.token" }\n'
BAD_BESIDE = {
    "an unknown package": (FROM.replace("sqlalchemy-utils", "sqlalchemy-util"), "from: no such package; did you mean"),
    "no package": ('from = { secret = "$OLD" }\n', "from: `package` is missing; add package = "),
    "no secret": (
        'from = { package = "advanced-alchemy" }\n',
        "from: `secret` is missing; add secret = ",
    ),
    "nothing in from": ("from = {}\n", "from: `package` is missing; add package = "),
    "an unknown option": (FROM.replace("engine", "engin"), "from: unknown setting `engin`; did you mean `engine`?"),
    "an option of another package": (
        FROM.replace("engine =", "hkdf = false, engine ="),
        "from: sqlalchemy-utils: it has no",
    ),
    "a secret in place of a name": (FROM.replace("$OLD", SECRET), "from: secret"),
    "a secret in a list": (FROM.replace('"$OLD"', f'["$OLD", "{SECRET}"]'), "from: secret"),
    "a number as secret": (FROM.replace('"$OLD"', "5"), "from: "),
    "from with a format": (FROM + 'format = "embedded"\n', "from and format exclude each other"),
    "from as text": (f'from = "{SECRET}"\n', "`from` must be a table, such as { package = "),
    "nothing in index": ("index = {}\n", 'index: `column` is missing; add column = "email_index"'),
    "an index without context": (
        'index = { column = "i" }\n',
        '`context` is missing; add context = "users.email"',
    ),
    "an index with more": (
        INDEX.replace(" }", ', key = "x" }'),
        "index: unknown setting `key`; there are column, context",
    ),
    "an index as text": ('index = "i"\n', "`index` must be a table, such as { column = "),
    "an index with a bad context": (INDEX.replace("creds.token", ""), "context"),
    "an index of its own column": (INDEX.replace("token_index", "token"), "index names the column of the tokens"),
    "an index in a key": (INDEX + 'key_columns = ["token_index"]\n', "index names token_index, which is a key column"),
    "an index in set": (INDEX + 'set = { token_index = "primary-key-id" }\n', "or one of set"),
    "an index with a format": (INDEX + 'format = "base64"\n', "index and format exclude each other"),
    "others with bare tokens": ('others = "leave"\n', "others needs a format: embedded, base64 or hex"),
    "others with from": (FROM + 'others = "leave"\n', "others and from exclude each other"),
    "others with an index": (INDEX + 'others = "leave"\n', "others and index exclude each other"),
    "others with another word": ('format = "hex"\nothers = "keep"\n', "`others` is one of leave"),
}


def test_a_bad_source_or_index_is_refused_by_its_fault(tmp_path: Path, named: Named) -> None:
    """The target and the fault are named, and nothing of a secret that stands in the file is shown."""
    for name, (more, told) in BAD_BESIDE.items():
        with named(name):
            with pytest.raises(UsageError) as refused:
                load(tmp_path, ENTRY + more)

            assert told in str(refused.value)
            assert not any(SECRET[start : start + 6] in str(refused.value) for start in range(len(SECRET) - 5))
            assert refused.value.__context__ is None


def test_a_source_and_an_index_are_taken(tmp_path: Path) -> None:
    """Of the same cells with other sources a second entry is refused; no secret is needed to read the file."""
    (target,) = load(tmp_path, ENTRY + FROM + INDEX)

    assert (target.source, target.index) == (
        Legacy("sqlalchemy-utils", engine="fernet", secret="$OLD"),
        Index("token_index", "creds.token"),
    )
    assert target.takes_over
    assert not replace(target, source=None).takes_over
    assert pickle.loads(pickle.dumps(target)) == target
    assert load(tmp_path, ENTRY + FROM + INDEX + ENTRY + FROM + INDEX) == [target]
    for other in (FROM + INDEX.replace("creds.token", "creds.other"), FROM.replace("$OLD", "$NEW") + INDEX, FROM, ""):
        with pytest.raises(UsageError, match=r"creds\.token is named twice"):
            load(tmp_path, ENTRY + FROM + INDEX + ENTRY + other)


def test_an_index_is_of_one_column(tmp_path: Path) -> None:
    """Two columns in one entry, or in two: one index would be overwritten by the other, again and again."""
    with pytest.raises(UsageError, match="index is of one column; give each of token, refresh"):
        load(tmp_path, ENTRY.replace('"token"', '"token", "refresh"') + INDEX)
    with pytest.raises(UsageError, match="index: token_index cannot change with token and with refresh"):
        load(tmp_path, ENTRY + INDEX + ENTRY.replace('"token"', '"refresh"') + INDEX)
    with pytest.raises(UsageError, match="set: token_index cannot change with token and with refresh"):
        load(
            tmp_path,
            ENTRY + INDEX + ENTRY.replace('"token"', '"refresh"') + 'set = { token_index = "primary-key-id" }\n',
        )


def normalized(spelling: str) -> str:
    """The setting `index` with that normal form."""
    return INDEX.replace(" }", f", normalize = '{spelling}' }}")


def test_a_normal_form_is_a_function(tmp_path: Path) -> None:
    """By a short name, or by its module, which is looked for in the folder of rotation.toml first."""
    (tmp_path / "forms_of_a_shop.py").write_text("def plain(text):\n    return text.strip()\n")
    functions: dict[str, Callable[[str], str] | None] = {}
    for spelling in ("casefold", "lower", "forms_of_a_shop:plain"):
        [target] = load(tmp_path, ENTRY + normalized(spelling))
        assert target.index
        functions[spelling] = target.index.normalize

    assert (functions["casefold"], functions["lower"]) == (str.casefold, str.lower)
    assert (plain := functions["forms_of_a_shop:plain"])
    assert plain(" A ") == "A"


BAD_FORMS = {
    "no such name": ("upper", "target creds: index: normalize 'upper': give a function of a text, casefold or lower"),
    "empty": ("", "target creds: index: normalize '': give a function"),
    "no module": (":plain", "target creds: index: normalize ':plain': give a function"),
    "no function": ("bad_forms:", "target creds: index: normalize 'bad_forms:': give a function"),
    "a value": ("bad_forms:number", "target creds: index: normalize 'bad_forms:number': give a function"),
    "a missing module": (
        "forms_that_are_not:f",
        "target creds: index: there is no module forms_that_are_not; it is lo",
    ),
    "a failing module": ("failing_forms:f", "target creds: index: importing it fails: ValueError: no settings"),
}


def test_a_normal_form_that_is_no_function_is_an_error_of_usage(tmp_path: Path, cli: Cli, named: Named) -> None:
    """With exit code 2, and 3 of `check`: the target and the fault, without a traceback."""
    (tmp_path / "bad_forms.py").write_text("number = 7\n")
    (tmp_path / "failing_forms.py").write_text("raise ValueError('no settings')\n")
    for name, (spelling, words) in BAD_FORMS.items():
        with named(name):
            with pytest.raises(UsageError) as refused:
                load(tmp_path, ENTRY + normalized(spelling))
            ran, checked = (cli(each, "--config", str(tmp_path / "rotation.toml")) for each in ("run", "check"))

            assert words in str(refused.value)
            assert (refused.value.__cause__, refused.value.__context__) == (None, None)
            assert (ran.code, checked.code) == (2, 3)
            assert words in " ".join(ran.err.split())
            assert "Traceback" not in ran.err + checked.err


def test_one_index_has_one_normal_form(tmp_path: Path) -> None:
    """Two entries, or an entry and a model, that say different ones are refused."""
    folded = ENTRY + normalized("casefold")

    assert len(load(tmp_path, folded + folded)) == 1
    for other in (ENTRY + INDEX, ENTRY + normalized("lower")):
        with pytest.raises(UsageError, match=r"creds\.token is named twice"):
            load(tmp_path, folded + other)


def test_equal_forms_of_values_are_one(tmp_path: Path) -> None:
    """Two columns of a model may have equal forms, each its own object."""
    [target] = load(tmp_path, ENTRY + INDEX)

    def of_decimals(places: int) -> Target:
        return replace(target, index=Index("token_index", "creds.token", decimal_form(places).normal))

    assert of_decimals(2).index != of_decimals(2).index
    refuse_rivals([of_decimals(2), of_decimals(2)])
    assert len(without_repeats([of_decimals(2), of_decimals(2)])) == 1
    with pytest.raises(UsageError, match=r"creds\.token is named twice"):
        refuse_rivals([of_decimals(2), of_decimals(3)])


LEAVE = 'format = "base64"\nothers = "leave"\n'


@pytest.mark.parametrize("name", ["embedded", "base64", "hex"])
def test_a_target_may_leave_the_tokens_of_others(tmp_path: Path, name: str) -> None:
    """With any format in which a cell may hold several tokens; without the setting none are left."""
    (target,) = load(tmp_path, ENTRY + LEAVE.replace("base64", name))
    (plain,) = load(tmp_path, ENTRY + f'format = "{name}"\n')

    assert (target.others, plain.others) == ("leave", None)


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        pytest.param(LEAVE + 'keys = "a"', LEAVE + 'keys = "b"', True, id="two key sets"),
        pytest.param(LEAVE, LEAVE.replace("base64", "embedded") + 'keys = "b"', True, id="and two formats"),
        pytest.param(LEAVE + 'keys = "a"', 'format = "base64"\nkeys = "b"', False, id="one of them leaves"),
        pytest.param('format = "base64"\nkeys = "a"', LEAVE + 'keys = "b"', False, id="the other one leaves"),
        pytest.param('format = "hex"\nkeys = "a"', 'format = "hex"\nkeys = "b"', False, id="two key sets, none leaves"),
        pytest.param(LEAVE, LEAVE.replace("base64", "hex"), False, id="two formats of one key set"),
        pytest.param(LEAVE, 'format = "base64"', False, id="one key set in two ways"),
    ],
)
def test_two_targets_share_cells_if_both_leave_others(tmp_path: Path, first: str, second: str, fits: bool) -> None:
    """Each finds the tokens of the other set, and leaves them; all other pairs would find them unreadable."""
    keys = "".join(f'[keys.{name}]\nprimary = {{ secret = "${name.upper()}" }}\n' for name in "ab")
    text = f"{ENTRY}{first}\n{ENTRY}{second}\n{keys}"

    if fits:
        assert len(load(tmp_path, text)) == 2
        return
    with pytest.raises(UsageError, match=r"creds\.token is named twice, with different .* others or indexes"):
        load(tmp_path, text)
