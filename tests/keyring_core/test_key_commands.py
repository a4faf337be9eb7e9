"""Commands that print a key: what is read, what is shown of a failure, and that none of them ever hangs."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from keyring_core import KeyConfigError, key_commands
from keyring_core.config import load_settings
from keyring_core.environment import KEY_VARIABLES
from keyring_core.key_commands import BY_HAND, MAX_SHOWN, run_key_command
from keyring_core.legacy import Legacy
from keyring_core.sources import FoundText, read_source
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text
from tests.processes import until

KEY = key_text("source")


def from_command(*argv: str) -> FoundText | None:
    return read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_COMMAND": shlex.join(argv)})


def printing(program: str) -> tuple[str, ...]:
    return sys.executable, "-S", "-c", program


def test_a_command_prints_the_key():
    """What the command prints is read as a key file is; its place is the variable's name."""
    found = from_command(*printing(f"print('# from the vault'); print({KEY!r})"))

    assert (found.text, found.where) == (KEY.encode(), "ENCRYPTION_KEY_COMMAND")
    assert found.source.may_differ()


def test_a_command_runs_without_a_shell(tmp_path):
    """No character of a command is a shell's: nothing is expanded, piped or redirected."""
    marker = tmp_path / "marker"
    program = "import sys; print('|'.join(sys.argv[1:]))"

    found = read_source(
        "ENCRYPTION_KEY",
        {"ENCRYPTION_KEY_COMMAND": f"{shlex.join(printing(program))} $HOME '*' ; touch {marker}"},
    )

    assert found.text.decode() == f"$HOME|*|;|touch|{marker}"
    assert not marker.exists()


def test_a_command_gets_no_input():
    """A command that would ask its user a question reads an end of file, whatever the service's own input holds."""
    read, write = os.pipe()
    ours = os.dup(0)
    os.write(write, b"typed by somebody")
    os.dup2(read, 0)
    try:
        found = from_command(*printing("import sys; print('read', len(sys.stdin.buffer.read1()))"))
    finally:
        os.dup2(ours, 0)
        for descriptor in (read, write, ours):
            os.close(descriptor)

    assert found.text == b"read 0"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (shlex.join(printing(f"import sys; print({KEY!r}); print({KEY!r}, file=sys.stderr); sys.exit(3)")), "code 3"),
        (shlex.join(printing("import os; os.kill(os.getpid(), 9)")), "was ended by signal 9"),
        (shlex.join(printing("print(' ')")), "printed nothing"),
        ("/no/such/program --key", "could not be started: No such file"),
        ("/dev/null", "could not be started: Permission denied"),
        (f"echo '{KEY}", "quotes that do not close"),
        ("''", "could not be started"),
        ("  ", "empty; name a command"),
        ("", "empty; name a command"),
    ],
    ids=["fails", "killed", "silent", "missing", "not executable", "quotes", "no name", "blanks", "empty"],
)
def test_a_command_that_gives_no_key_is_named(command, words, capfd):
    """The message names variable and fault; neither it nor the terminal shows the command or its output."""
    with pytest.raises(KeyConfigError, match=words) as caught:
        read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_COMMAND": command})

    assert str(caught.value).startswith("ENCRYPTION_KEY_COMMAND: ")
    assert not leaks(shown_by(caught.value), KEY)
    assert not leaks(shown_by(caught.value), command, "ENCRYPTION_KEY_COMMAND")
    assert capfd.readouterr() == ("", "")


def test_a_command_gets_the_environment(monkeypatch):
    """What a dotenv file says beside the command, such as the vault's address, reaches it, over the process's own."""
    monkeypatch.setenv("VAULT_ADDR", "of the process")
    program = "import os; print(os.environ['VAULT_ADDR'], 'PATH' in os.environ)"
    environ = {"ENCRYPTION_KEY_COMMAND": shlex.join(printing(program)), "VAULT_ADDR": "of the file"}

    assert read_source("ENCRYPTION_KEY", environ).text == b"of the file True"


def test_a_command_gets_no_other_key(monkeypatch):
    """Neither keys of the environment nor secrets that keys are made of: only what leads to other keys."""
    Legacy("djfernet", secret="$OLD_SECRET")
    holding = (*KEY_VARIABLES, "OLD_SECRET")
    environ = {"VAULT_TOKEN": "stays", "ENCRYPTION_STAGED_KEY_FILE": "stays"}
    for name in holding:
        monkeypatch.setenv(name, key_text("of the process"))
    command = shlex.join(printing("import os; print([*os.environ])"))

    shown = run_key_command(command, "ENCRYPTION_KEY_COMMAND", environ | dict.fromkeys(holding, KEY), 30).decode()

    assert [name for name in holding if f"'{name}'" in shown] == []
    assert [name for name in environ if f"'{name}'" not in shown] == []


def fault_of(*argv: str, seconds: float = 30) -> str:
    """The message of a command that gives no key, which shows nothing of KEY."""
    with pytest.raises(KeyConfigError) as caught:
        read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_COMMAND": shlex.join(argv)}, seconds)
    assert not leaks(shown_by(caught.value), KEY)
    return str(caught.value)


@pytest.mark.parametrize("stubborn", [False, True], ids=["", "ignores SIGTERM"])
def test_a_command_that_hangs_is_ended(stubborn):
    """A vault that does not answer stops the start with a message, not for ever; what it said so far is not shown."""
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    program = f"import signal, time; {ignore}print({KEY!r}, flush=True); time.sleep(3600)"

    assert "the command gave no answer within 0.5 seconds" in fault_of(*printing(program), seconds=0.5)


def left_behind(mark: str) -> list[int]:
    """The processes whose command line holds *mark*."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def gone(mark: str) -> bool:
    """Waits until those processes have ended: what a signal ended takes a moment to be reaped."""
    return until(lambda: not left_behind(mark), "the end of what a command started")


def leaving(mark: str, *, new_session: bool = False) -> str:
    """A program that starts a process, which holds its pipes open for an hour."""
    argv = [sys.executable, "-S", "-c", "import time; time.sleep(3600)", mark]
    return f"import subprocess; subprocess.Popen({argv!r}, start_new_session={new_session})"


def test_a_process_that_a_command_leaves_behind_is_not_waited_for(tmp_path):
    """A command that printed its key and ended is done, though somebody it started holds the pipe open."""
    mark = str(tmp_path)

    found = from_command(*printing(f"{leaving(mark)}; print({KEY!r})"))

    assert found.text == KEY.encode()
    assert gone(mark)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    """The whole process group ends, so nothing goes on asking a vault."""
    mark = str(tmp_path)

    message = fault_of(*printing(f"{leaving(mark)}; import time; time.sleep(3600)"), seconds=1)

    assert "no answer within 1 seconds" in message
    assert gone(mark)


def test_a_process_of_another_session_delays_nothing(tmp_path):
    """A daemon that left the group, such as the connection that ssh keeps, is neither waited for nor ended."""
    mark = str(tmp_path)

    found = from_command(*printing(f"{leaving(mark, new_session=True)}; print({KEY!r})"))

    assert found.text == KEY.encode()
    # A program that has just been started has no command line for a moment.
    (daemon,) = until(lambda: left_behind(mark), "the daemon")
    os.kill(daemon, signal.SIGKILL)


def test_an_interrupt_ends_the_command(tmp_path, monkeypatch):
    """Control-C while a vault is waited for leaves nothing behind."""
    mark = str(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(key_commands, "_read_some", interrupt)

    with pytest.raises(KeyboardInterrupt):
        from_command(*printing("import time; print('x', flush=True); time.sleep(3600)"), mark)

    assert gone(mark)


@pytest.mark.parametrize(
    ("stream", "seconds", "words"),
    [("stdout", 3600, "printed more than any list of keys"), ("stderr", 0.5, "no answer within 0.5 seconds")],
)
def test_a_command_that_never_stops_printing_is_ended(stream, seconds, words):
    """Memory stays bounded: a command whose output is too long for a list of keys is killed at once."""
    program = f"import sys\nwhile True: sys.{stream}.write('x' * 10000)"

    assert words in fault_of(*printing(program), seconds=seconds)


def test_much_output_does_not_block_a_command():
    """Both pipes are read at once: more than fits into them is no deadlock."""
    program = f"import sys; sys.stderr.write('x' * 300000); print('#' * 300000); print({KEY!r})"

    assert from_command(*printing(program)).text == KEY.encode()


def test_no_descriptor_stays_open():
    """Success and failure give every pipe back."""
    before = len(os.listdir("/proc/self/fd"))

    from_command(*printing(f"print({KEY!r})"))
    fault_of(*printing("raise SystemExit(1)"))
    fault_of(*printing("import time; time.sleep(3600)"), seconds=0.2)

    assert len(os.listdir("/proc/self/fd")) == before


# What is shown of a failure


def complaint_of(program: str) -> str:
    """What is shown of the stderr of a command that fails."""
    message = fault_of(*printing(f"{program}; import sys; sys.exit(2)"))
    before, _, said = message.partition(" and said: ")
    assert before == "ENCRYPTION_KEY_COMMAND: the command failed with exit code 2"
    return said.removesuffix(f". {BY_HAND}")


def saying(text: str | bytes) -> str:
    """A program that says *text* on stderr."""
    return f"import sys; sys.stderr.buffer.write({text.encode() if isinstance(text, str) else text!r})"


def test_a_failure_shows_what_the_command_complained_of():
    """An operator reads why, in one line."""
    assert complaint_of(saying("Error reading secret/app:\n\n  * permission denied\n")) == (
        "Error reading secret/app: | * permission denied"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x07\r\n\tb", "a\\x1b[31mred\\x07 | b"),
        ("ok\u202egnp.exe\u2028next\x85end", "ok\\u202egnp.exe | next | end"),
        (b"caf\xe9 \xff\xfe", "caf\\xe9 \\xff\\xfe"),
        ("nul\0byte", "nul\\x00byte"),
        ("Zugriff für Müller verweigert", "Zugriff für Müller verweigert"),
    ],
    ids=["terminal", "direction and line ends", "no UTF-8", "NUL", "letters stay"],
)
def test_a_complaint_moves_no_cursor_and_breaks_no_line(text, shown):
    """Control characters, line ends of every kind and what is no text stand there as escapes."""
    assert complaint_of(saying(text)) == shown


def test_a_complaint_is_redacted():
    """Passwords, vault tokens, keys: what the project's redactor knows by shape never stands in a message."""
    token = "hvs.CAESI" + "Jf83hZq2LmT9vXw4" * 3
    shown = complaint_of(saying(f"GET https://app:hunter2hunter2@vault/v1 with {token} and {key_text('elsewhere')}"))

    assert shown.startswith("GET https://app:[REDACTED")
    for secret in (token, "hunter2hunter2", key_text("elsewhere")):
        assert not leaks(shown, secret)


@pytest.mark.parametrize("printed", [KEY, f"first {KEY[:20]} then {KEY[20:]}", "correct-horse-battery-staple"])
def test_a_complaint_shows_nothing_that_was_printed(printed):
    """A script that traces itself (set -x) says on stderr what it prints: all of that is masked."""
    program = f"import sys; print({printed!r}); print('+ echo', {printed!r}, file=sys.stderr)"

    shown = complaint_of(program)

    assert shown.startswith("+ echo ")
    for word in printed.split():
        assert not leaks(shown, word)


def test_a_long_complaint_is_shown_by_its_end():
    """The message shows the last words, which say what failed, and stays short."""
    shown = complaint_of(saying("".join(f"line {n}\n" for n in range(500)) + "the reason"))

    assert shown.startswith("... ")
    assert shown.endswith("| line 499 | the reason")
    assert len(shown) == MAX_SHOWN + len("... ")


def test_a_complaint_without_measure_is_not_shown():
    """A text that is cut before it is redacted could show a piece of a secret, so none of it is shown."""
    message = fault_of(*printing(f"{saying('x')}; sys.stderr.write('x' * 200_000); sys.exit(2)"))

    assert "failed with exit code 2 and said more than can be shown. Run" in message


def test_a_command_that_succeeds_may_complain(capfd):
    """A warning on stderr of a command that prints its key goes nowhere."""
    assert from_command(*printing(f"{saying('deprecated')}; print({KEY!r})")).text == KEY.encode()
    assert capfd.readouterr() == ("", "")


def test_two_keys_for_one_variable_are_an_error():
    """The message names the variable, and that there are several."""
    program = f"print({KEY!r}); print({key_text('2')!r})"
    environ = {"ENCRYPTION_KEY_COMMAND": shlex.join(printing(program))}

    with pytest.raises(KeyConfigError) as caught:
        load_settings(environ)

    assert str(caught.value).startswith("ENCRYPTION_KEY_COMMAND: several keys, but one key is expected")
    assert not leaks(shown_by(caught.value), KEY)
