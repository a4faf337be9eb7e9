"""smtplib, ftplib, poplib, imaplib and xmlrpc: what they print while debugging, and what servers say in errors."""

from __future__ import annotations

import ftplib
import imaplib
import poplib
import smtplib
import xmlrpc.client
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import answering, asked
from tests.keyring_core.redaction.libraries.web import http as answer

cases = Tables(__name__)


def talked(world: World, replies: str, talk: Callable[[int], Any]) -> Any:
    """A talk with a server of another protocol, whose *replies* are all sent at once."""
    text = replies.format(world).replace("\n", "\r\n").encode()
    with answering(text, at_once=True) as port:
        return talk(port)


def talking(made: Callable[[], Any], act: Callable[[Any, World], Any], replies: str, debug: int) -> Way:
    """What a client of another protocol does, once it is connected."""

    def talk(world: World, port: int) -> Any:
        client = made()
        client.set_debuglevel(debug)
        client.connect("127.0.0.1", port)
        return act(client, world)

    return lambda world: talked(world, replies, lambda port: talk(world, port))


def smtp(act: Callable[[smtplib.SMTP, World], Any], replies: str, *, debug: bool = False) -> Way:
    return talking(smtplib.SMTP, act, replies, debug)


PLAIN, LOGIN = (f"220 h\n250-h\n250-SIZE\n250 AUTH {kind}\n" for kind in ("PLAIN", "LOGIN"))


def mail(world: World) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@h", "b@h", "Your new account"
    message.set_content(f"Your password: {world.unknown}\n")
    return message


cases.logs(
    "smtplib",
    {
        "plain": smtp(lambda client, w: client.login("bob", w.plaintext), PLAIN + "235 ok\n", debug=True),
        "login": smtp(
            lambda client, w: client.login("bob", w.plaintext), LOGIN + "334 eA==\n334 eA==\n235 ok\n", debug=True
        ),
        "command": smtp(lambda client, w: client.docmd("AUTH", f"PLAIN {w.key}"), "220 h\n235 ok\n", debug=True),
        "message": smtp(
            lambda client, w: client.send_message(mail(w)), "220 h\n250 h\n250 o\n250 o\n354 go\n250 ok\n", debug=True
        ),
        "reply": smtp(lambda client, w: client.login("bob", "x"), PLAIN + "535 password={0.unknown}\n", debug=True),
    },
    setup="stdio",
)

cases.errors(
    "smtplib",
    {
        "refused": smtp(lambda client, w: client.login("bob", "x"), PLAIN + "535 no: password={0.unknown}\n535 no\n"),
        "recipient": smtp(
            lambda client, w: client.sendmail("a@h", f"bob+{w.plaintext}@h", "x"),
            "220 h\n250 h\n250 ok\n550 no\n250 ok\n",
        ),
        "sender": smtp(
            lambda client, w: client.sendmail(f"{w.plaintext}@h", "b@h", "x"), "220 h\n250 h\n550 no\n250 ok\n"
        ),
        "data": smtp(
            lambda client, w: client.sendmail("a@h", "b@h", "x"),
            "220 h\n250 h\n250 o\n250 o\n554 token={0.unknown}\n250 o\n",
        ),
        "hello": smtp(lambda client, w: client.ehlo_or_helo_if_needed(), "220 h\n500 x\n504 {0.plaintext}\n"),
        "command": smtp(lambda client, w: client.putcmd(f"NOOP {w.plaintext}\n"), "220 h\n"),
        "port": lambda w: smtplib.SMTP(f"h:{w.plaintext}"),
    },
)


def ftp(act: Callable[[ftplib.FTP, World], Any], replies: str, debug: int = 0) -> Way:
    return talking(ftplib.FTP, act, replies, debug)


def pop(act: Callable[[poplib.POP3, World], Any], replies: str, debug: int = 0) -> Way:
    def talk(world: World, port: int) -> Any:
        client = poplib.POP3("127.0.0.1", port)
        client.set_debuglevel(debug)
        return act(client, world)

    return lambda world: talked(world, replies, lambda port: talk(world, port))


cases.logs(
    "ftplib",
    {
        "account": ftp(lambda client, w: client.sendcmd(f"ACCT {w.plaintext}"), "220 h\n230 ok\n", debug=2),
        "site": ftp(lambda client, w: client.sendcmd(f"SITE PSWD x password={w.unknown}"), "220 h\n200 ok\n", debug=2),
        "reply": ftp(lambda client, w: client.login("bob", "x"), "220 h\n331 x\n530 token={0.unknown}\n", debug=1),
        "pop_user": pop(lambda client, w: client.pass_(w.plaintext), "+OK\n+OK\n", debug=2),
    },
    setup="stdio",
)

cases.errors(
    "ftplib",
    {
        "refused": ftp(lambda client, w: client.login("bob", "x"), "220 h\n331 x\n530 password={0.unknown}\n"),
        "reply": ftp(lambda client, w: client.pwd(), "220 h\n{0.plaintext}\n"),
        "welcome": ftp(lambda client, w: None, "530 {0.plaintext}\n"),
        "passive": ftp(lambda client, w: client.makepasv(), "220 h\n227 {0.plaintext}\n"),
        "pop_refused": pop(lambda client, w: client.user("bob"), "+OK\n-ERR token={0.unknown}\n"),
        "imap_refused": lambda w: talked(
            w, "* BYE password={0.unknown}\n", lambda port: imaplib.IMAP4("127.0.0.1", port)
        ),
        "imap_literal": lambda w: talked(w, "* {0.plaintext}\n", lambda port: imaplib.IMAP4("127.0.0.1", port)),
    },
)


def fault(text: str) -> bytes:
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(1, text))
    return answer("Content-Type: text/xml", body)


def call(url: str, *arguments: Any, verbose: bool = False) -> Any:
    with xmlrpc.client.ServerProxy(url, verbose=verbose, allow_none=True) as server:
        return server.login(*arguments)


cases.errors(
    "xmlrpc",
    {
        "fault": asked(lambda _, url: call(url), lambda w: fault(f"wrong password: {w.unknown}9")),
        "fault_registered": asked(lambda _, url: call(url), lambda w: fault(f"cannot open {w.password}")),
        "protocol": asked(
            lambda w, url: call(url.replace("//", f"//bob:{w.plaintext}@")),
            lambda w: answer(f"X-Api-Key: {w.unknown}", status=f"403 {w.plaintext}"),
        ),
        "argument": lambda w: xmlrpc.client.dumps((type(w.plaintext, (), {"__slots__": ()})(),)),
    },
)

cases.logs(
    "xmlrpc",
    {
        "body_registered": asked(lambda w, url: call(url, w.plaintext, verbose=True)),
        "answer": asked(lambda _, url: call(url, verbose=True), lambda w: fault(f"token={w.unknown}")),
        "header": asked(
            lambda _, url: call(url, verbose=True), lambda w: answer(f"Set-Cookie: sid={w.unknown}", status="403 no")
        ),
    },
    setup="stdio",
)
