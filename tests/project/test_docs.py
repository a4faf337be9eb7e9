"""The documents hold what the code does."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import keyring_core
from keyring_core import Keyring, environment
from keyring_core.config import get_keyring, keyring_status
from tests.conftest import Named
from tests.keys import key_text, mistyped

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
KEYS = "\n".join(
    page.read_text() for page in [DOCS / "explanation" / "keys.md", *sorted((DOCS / "how-to" / "keys").glob("*.md"))]
)


def test_every_variable_is_explained(named: Named) -> None:
    """Every variable stands in .env.sample, and on the page of variables by itself or by its form."""
    sample, page = (ROOT / ".env.sample").read_text(), (DOCS / "reference" / "environment.md").read_text()

    for name in environment.VARIABLES:
        with named(name):
            assert re.search(rf"^(# )?{name}=", sample, re.MULTILINE)
            assert f"| `{name}` |" in page or re.fullmatch(r"\w+(_FILE|_COMMAND)", name)


def test_the_sample_says_that_a_key_is_never_committed() -> None:
    """.env.sample says so, holds no key, and .env itself is ignored by git."""
    sample = (ROOT / ".env.sample").read_text()

    assert "Never commit a key" in sample
    assert not re.search(r"[A-Za-z0-9_-]{43}=", sample)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.database
def test_every_command_and_option_is_explained() -> None:
    """Every command and option stands on the page of commands."""
    from rotation.cli.main import cli

    page = (DOCS / "reference" / "cli.md").read_text()
    groups = {name: group.commands for name, group in cli.commands.items() if hasattr(group, "commands")}
    commands = {name: command for name, command in cli.commands.items() if name not in groups}
    commands |= {f"{group} {name}": command for group, them in groups.items() for name, command in them.items()}
    for name, command in commands.items():
        assert f"\n## {name}\n" in page, name
        for option in (opt for parameter in command.params for opt in parameter.opts if opt.startswith("--")):
            assert re.search(rf"^\| `[^`]*{option}\b", page, re.MULTILINE), option


def test_every_exit_code_is_explained(named: Named) -> None:
    """Every exit code has its row."""
    for code in (0, 1, 2, 3):
        with named(code):
            assert re.search(rf"^\| {code} \|", (DOCS / "reference" / "exit-codes.md").read_text(), re.MULTILINE)


@pytest.mark.database
def test_every_setting_is_explained() -> None:
    """Every setting stands on the page of rotation.toml."""
    from rotation.configuration.sections import SECTIONS
    from rotation.configuration.settings import section_settings

    page = (DOCS / "reference" / "configuration.md").read_text()
    for name in (name for kinds in SECTIONS.values() for name in section_settings(*kinds)):
        assert f"| `{name}` |" in page


def test_tokens_under_two_keys_that_sign_alike_can_be_repaired() -> None:
    """K26: the function in the page on keys finds the right key of each token, or leaves the token to a human."""
    blocks = re.findall(r"```python\n(.*?)```", KEYS, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(next(block for block in blocks if "def repaired" in block), "keys.md", "exec"), names)
    right, new = key_text("right"), key_text("new")
    alike = [right, mistyped(right)]
    # Enough for the wrong key to give nonsense now and then.
    texts = [f"sk-live-{number}" for number in range(1000)]
    tokens = [Keyring(alike[number % 2]).encrypt(text) for number, text in enumerate(texts)]

    repaired = [names["repaired"](token, new, alike) for token in tokens]

    opened = [token and Keyring(new).decrypt(token) for token in repaired]
    assert all(found in (None, text) for found, text in zip(opened, texts, strict=True))
    assert repaired.count(None) <= 2
    assert next(names["repaired"](token, new, alike) == token for token in repaired if token)
    assert names["repaired"](Keyring(key_text("elsewhere")).encrypt("x"), new, alike) is None


GUARANTEES = "\n".join((DOCS / "explanation" / f"{name}.md").read_text() for name in ("guarantees", "proof"))


def test_every_event_and_case_is_promised_or_named_as_not_promised() -> None:
    """No event R01 to R35 and no case D01 to D40 is passed over in silence."""
    expected = {f"R{number:02}" for number in range(1, 36)} | {f"D{number:02}" for number in range(1, 41)}

    assert expected - _marks(GUARANTEES) == set()


def test_every_promise_has_a_test_that_names_it(named: Named) -> None:
    """The files that a row of the guarantees names are there, and name each of its events."""
    for row in re.findall(r"^\| [DR]\d\d.*$", GUARANTEES, re.MULTILINE):
        with named(row[2:20]):
            cells = row.strip("| ").split("|")
            shown = [_shown_by(name) for name in re.findall(r"`([\w./]+)`", cells[-1])]
            marks = set().union(*(_marks(path.read_text()) for paths in shown for path in paths))

            assert all(shown), "a file is missing"
            assert _marks(cells[0]) <= marks


def _marks(text: str) -> set[str]:
    """The events and cases in *text*: `R07` and `D01 to D04`."""
    found = set()
    for kind, first, last in re.findall(r"\b([DR])(\d\d)(?: to [DR](\d\d))?\b", text):
        found |= {f"{kind}{number:02}" for number in range(int(first), int(last or first) + 1)}
    return found


def _shown_by(name: str) -> list[Path]:
    """The files of a test, a folder or a benchmark."""
    path = ROOT / name if "/" in name else ROOT / "tests" / "stores" / name
    return sorted(path.glob("**/*.py")) if path.is_dir() else [path] * path.exists()


def key_commands() -> list[str]:
    """The commands that the documents and the sample give for printing a key."""
    text = KEYS + (ROOT / ".env.sample").read_text()
    return re.findall(r"^(?:# )?ENCRYPTION_\w+_COMMAND=(.*)$", text, re.MULTILINE)


def test_every_key_command_works_without_a_shell() -> None:
    """A line that is to be copied needs nothing that only a shell does, and no quoting beyond what we split."""
    programs = {shlex.split(command)[0] for command in key_commands()}

    assert programs == {"vault", "aws", "gcloud", "op", "pass", "sops", "age", "systemd-creds"}
    for command in key_commands():
        assert not set("|;&<>$`*~") & set(command), command


def test_the_status_in_the_documents_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/explanation/keys.md shows every field of keyring_status, in its order, and no other."""
    shown = re.search(r"```json\n(.*?)```", KEYS, re.DOTALL)
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("status"))
    get_keyring.reset()
    try:
        status = keyring_status()
    finally:
        get_keyring.reset()

    assert shown
    assert list(json.loads(shown[1])) == list(status)


def test_the_places_of_the_token_format_are_there() -> None:
    """The threat model names files and functions that a new format has to change; each of them exists."""
    table = re.findall(
        r"^\| `([\w/]+\.py)` \| (.*?) \|", (DOCS / "explanation" / "threat-model.md").read_text(), re.MULTILINE
    )

    assert len(table) == 14
    for file, names in table:
        source = (ROOT / file).read_text()
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b(def|class) {name}\b|^ *{name}\b( =|:)|import .*\b{name}\b", source, re.MULTILINE), (
                name
            )


def test_no_other_file_knows_the_token_format() -> None:
    """What imports the parts of a token, or spells how one begins, stands in that table."""
    named = set(
        re.findall(r"^\| `([\w/]+\.py)` \|", (DOCS / "explanation" / "threat-model.md").read_text(), re.MULTILINE)
    )
    knows = re.compile(r"""import .*\b(decode_token|parse_token|timestamp_of|iv_of|Token)\b|["']gAAAA""")

    files = [path for folder in ("keyring_core", "rotation") for path in sorted((ROOT / folder).rglob("*.py"))]

    assert {str(path.relative_to(ROOT)) for path in files if knows.search(path.read_text())} <= named


def test_every_link_leads_somewhere() -> None:
    """Relative links in the documents name files that exist, and headings that stand there."""
    links = [(path, link) for path in PAGES for link in re.findall(r"\]\(([^):]+)\)", path.read_text())]

    assert links
    assert [f"{_name(path)}: {link}" for path, link in links if not _leads_somewhere(path, link)] == []


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _leads_somewhere(page: Path, link: str) -> bool:
    file, _, heading = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not heading or heading in _anchors(target.read_text()))


def test_every_file_of_the_code_that_is_named_exists(named: Named) -> None:
    """A document names files and modules of today; the changelog may name those of earlier days."""
    for path in [page for page in PAGES if page.name != "CHANGELOG.md"]:
        with named(_name(path)):
            text = path.read_text()
            files = set(
                re.findall(r"`((?:keyring_core|rotation|benchmarks|tests|scripts|deploy|docs)/[\w./]+)[`:]", text)
            )
            found = re.findall(r"\b((?:rotation|benchmarks)(?:\.[a-z_]+)+)\b(?!/)", text)
            modules = {name for name in found if not name.startswith("rotation.toml")}
            events = {"rotation.announced"}

            assert {file for file in files if not (ROOT / file).exists()} == set()
            assert {module for module in modules - events if not _is_module(module)} == set()


def _is_module(name: str) -> bool:
    """Whether *name* is a module or a folder of the code, or a name in one."""
    path = ROOT.joinpath(*name.split("."))
    parent = path.parent
    return path.is_dir() or any(each.with_suffix(".py").is_file() for each in (path, parent, parent / "__init__"))


def test_a_page_can_be_read_in_a_sitting(named: Named) -> None:
    """It has at most 250 lines; a page of reference, and the targets of an application written out, may have more."""
    for path in PAGES:
        with named(_name(path)):
            text = path.read_text().partition("\n## The same, written out\n")[0]
            assert len(text.splitlines()) <= 250 or path.is_relative_to(DOCS / "reference")


def test_one_sentence_a_line(named: Named) -> None:
    """Prose has one sentence a line, so that a change shows what it changed; a bold lead-in goes with its sentence."""
    for path in PAGES:
        with named(_name(path)):
            text = re.sub(r"`[^`\n]+`|\([^)]*\)", "X", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
            lines = [
                re.sub(r"^ *(- |\d+\. )?(\*\*.*?\*\*)?", "", line) for line in text.splitlines() if line[:1] not in "|#"
            ]

            assert not [line for line in lines if re.search(r"[a-z)\]X]\. [A-Z[]", line)]


def _anchors(text: str) -> set[str]:
    """The headings as links name them: `What services notice` is `what-services-notice`."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.database
def test_the_table_of_public_names_is_true() -> None:
    """docs/reference/api.md: each import works, and each public name has a row."""
    page = (DOCS / "reference" / "api.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `([\w.]+)` \|$", page, re.MULTILINE)
    signed = re.findall(r"^::: ([\w.]+)\n(?:    options:\n      members: \[(.*)\])?", page, re.MULTILINE)
    modules = [(path, members) for path, members in signed if ROOT.joinpath(*path.split(".")).is_dir()]

    assert [row for row in rows if not hasattr(importlib.import_module(row[1]), row[0])] == []
    assert {name for name, module in rows if module == "keyring_core"} == set(keyring_core.__all__)
    assert {path.rpartition(".")[2] for path, _ in signed} - {name for name, _ in rows} == {
        *("errors", "redaction", "sqlalchemy", "django")
    }
    assert {(name, path) for path, members in modules for name in members.split(", ")} - set(rows) == set()


@pytest.mark.database
def test_every_finding_is_explained() -> None:
    """docs/reference/checks.md has a row and a section for each check: its message and its remedy word for word."""
    from rotation.checks.verdict import list_checks
    from rotation.configuration.policy import Policy

    checks = (DOCS / "reference" / "checks.md").read_text()
    for check in list_checks(Policy()):
        assert f"\n| [`{check.check}`](#{check.check}) | " in checks
        _, _, section = checks.partition(f"\n### {check.check}\n")
        section = section.partition("\n### ")[0]
        assert check.title in section, check.check
        assert check.remedy in section, check.check
