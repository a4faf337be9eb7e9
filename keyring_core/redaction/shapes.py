"""Finds secrets by the text around them: private keys, URL passwords, headers, database errors, command lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from keyring_core.redaction.credentials import find_credentials
from keyring_core.redaction.effort import READ, Effort, Limit, bounded, lower, reduced, rest
from keyring_core.redaction.encodings import Form
from keyring_core.redaction.patterns import ANY_CASE, REPR, Enclosed, Fields, Shape, by_gate, compiled, hidden, secret
from keyring_core.redaction.sensitive_values import PLACEHOLDER, is_ordinary
from keyring_core.redaction.spans import Span

_KEY_BODY = r"private key(?: block)?-----"
_ROW_END = r"(?=\.?\s{0,64}(?:\\n|\n|\(background|\"|'|$))"
# Behind the statistics of a statement, to the end of the parameters; otherwise of the line, as where SQLAlchemy has cut
# a value.
_ENGINE = rf" ?[^\]\n]{{0,120}}\] (?!\[SQL parameters hidden)(?P<hide>{REPR}|[(\[{{][^\n]++)"
_NO_PORT = r"(?!\d{1,5}(?:[^\w@]|$))"
_NO_PLACEHOLDER = rf"(?!(?:{PLACEHOLDER})@(?!\S{{0,256}}@))"
# A user's name or password as SQLAlchemy writes them in a URL.
_RENDERED = r"[\w.~%+ -]{1,256}"
_BREAK = r"(?:\s|\\{1,7}[nr])"
_BLANKS = r"(?:\s|\\{1,7}[nrt]){1,16}"
# After "Authorization: Bearer", in a sentence about it.
_SPOKEN_OF = (
    r"(?:auth|authentication|authorization|credentials?|expected|expired|header|invalid|is|missing|must|needed|not|only"
    r"|realm|required|scheme|should|tokens?|was)(?![\w-])"
)

_SCHEMES = "bearer|basic|negotiate|ntlm|api-?key|key|token|dpop|aws|ssws|bot|splunk|geniekey|sharedkey"
# name=value or name="value", whose quotes are escaped in JSON.
_FIELD = r"[\w-]{1,40}=(?:\\{0,7}\"[^\"\\\r\n]{0,1000}\\{0,7}\"|[^\s,\"'\\]{1,1000}+)"

# Matched in any case. Each gate is long enough to be found together with known values.
_SHAPES = by_gate(
    Shape(
        "-----begin ",
        rf"-----begin [a-z0-9 ]{{0,40}}{_KEY_BODY}"
        rf"(?:(?:(?!-----)[\s\S]){{1,20000}}-----end [a-z0-9 ]{{0,40}}{_KEY_BODY}"
        # Cut off, but without the backslashes that escape a quote behind it.
        r"|(?:[a-z0-9+/=\s]|\\++(?![\"'])){0,20000}+)",
        "private-key",
    ),
    Shape(
        "authorization",
        r"authorization[\"'\\]{0,8}(?:\s?[:=,]\s?|\s(?=[\"'])|(?<=<authorization)\s)[b\"'\\\[(]{0,10}(?:"
        rf"(?:{_SCHEMES})\s+(?!{_SPOKEN_OF})(?P<token>[^\s\"'\\,;]{{4,}}+)"
        rf"|(?:[a-z]{{2,20}}|[a-z]{{2,4}}4?-hmac-sha256)\s+(?!realm=)(?P<fields>{_FIELD}(?:,\s{{0,2}}{_FIELD}){{0,30}}+)"
        r"|(?!digest|hmac|aws4)(?P<plain>(?=[^\s\"']{0,80}[0-9])[^\s\"'\\,;]{8,}))",
        "authorization",
    ),
    Shape("hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<hide>[\w/-]{16,})", "slack-hook"),
    Shape("/webhooks/", r"/webhooks/[0-9]{17,20}/(?P<hide>[\w-]{60,})", "discord-hook"),
    Shape(
        "private-lines: ",
        rf"private-lines: [0-9]{{1,4}}{_BREAK}{{1,8}}"
        rf"(?P<hide>[a-z0-9+/=]{{1,80}}(?:{_BREAK}{{1,8}}[a-z0-9+/=]{{1,80}}){{0,200}})(?={_BREAK}{{1,8}}private-mac)",
        "private-key",
    ),
    Shape("signature=", r"signature=(?P<hide>[0-9a-f%]{32,})", "signature"),
    Shape("[generated in ", rf"\[generated in{_ENGINE}", "parameters"),
    Shape("[cached since ", rf"\[cached since{_ENGINE}", "parameters"),
    Shape("[caching disabled ", rf"\[caching disabled{_ENGINE}", "parameters"),
    Shape("does not support caching ", rf"does not support caching{_ENGINE}", "parameters"),
    Shape("[insertmanyvalues ", rf"\[insertmanyvalues{_ENGINE}", "parameters"),
    # CREATE USER u IDENTIFIED BY 'value', with the words that MySQL and MariaDB allow in between.
    Shape(
        "identified",
        rf"identified{_BLANKS}(?:by|(?:with|via){_BLANKS}[\w'\"`\\]{{1,80}}{_BLANKS}(?:by|as|using)){_BLANKS}"
        rf"(?:password(?:{_BLANKS}|\(\s?))?(?P<quote>\\{{0,7}}[\"'])(?P<hide>[^\n]{{1,1000}}?)(?:(?<!\\)(?P=quote)|$)",
        "password",
        numbers=True,
    ),
)
# What stands between a gate and an end. SQLAlchemy shows its parameters; PostgreSQL and MySQL show the row that they
# refused.
_ENCLOSED = {
    shape.gate: shape
    for shape in (
        Enclosed("[parameters: ", rf"\]{_ROW_END}", "parameters", whole=rf"{REPR}(?=\])"),
        Enclosed("failing row contains (", rf"\){_ROW_END}", "row"),
        Enclosed("conflicts with existing key (", rf"\){_ROW_END}", "row"),
        Enclosed("duplicate entry '", r"' for key", "row", 5000, in_line=True),
    )
}
# Their gates are short: a text without "@" needs no search for them.
_LOGINS = (
    # Up to the last "@": a password that should have been percent-encoded may hold "@" and "/"; a port does not.
    # SQLAlchemy encodes everything but blanks. Placeholders, dots and stars are no password.
    Shape(
        "://",
        rf"://[^\s/?#@:\"<>\[]{{0,100}}:{_NO_PORT}{_NO_PLACEHOLDER}"
        rf"(?P<hide>(?=[^\s\"<>@]{{1,256}}+@)[^\s\"<>]{{1,256}}|(?! ){_RENDERED})@",
        "password",
        numbers=True,
    ),
    Shape("://", rf"://[\w.~%+-]{{1,100}} {_RENDERED}:(?P<hide>(?! ){_RENDERED})@[^\s/?#@]{{1,256}}/", "password"),
    Shape("://", r"://(?P<hide>(?=[\w-]{0,80}[0-9])[\w-]{20,}+)@", "token"),
)
_SQLPLUS = Shape("sqlplus", r"sqlplus (?:-[a-z] )?[a-z]\w{0,30}/(?P<hide>[^\s\"'@/\\]{1,64}+)@", "password")
# The private members of a JWK, if it has a member "kty".
_KTY_LEFT = reduced(b"kty")
_JWK = Shape("kty", r"\\{0,7}[\"'](?:d|p|q|dp|dq|qi|k)\\{0,7}[\"']\s?:\s?\\{0,7}[\"'](?P<hide>[\w-]{20,}+)", "key")
# The signature in Azure's URLs, if the text holds "=".
_SIGNATURE = Shape("sig=", r"(?<=[?&;])sig=(?P<hide>[\w%+/=-]{16,})", "signature")
# PostgreSQL's "Key (cell)=(value) already exists", if what `reduced` leaves of a text can hold its first word.
_KEY_LEFT = reduced(b"key")
_ROW = Enclosed(
    ")=(", r"\)(?= (?:already exists|is not present|is still|conflicts with))", "row", 1000, in_line=True, cut=False
)

# SQLAlchemy's other words before parameters, if what `reduced` leaves of a text can hold them.
_SHORT_WORDS = [
    (reduced(gate.encode()), Shape(gate, rf"\[{gate[1:]}{_ENGINE}", "parameters")) for gate in ("[raw sql", "[no key")
]

# user:password@host without a scheme, as in command lines and clients' messages.
_ENDS_WORDS = r"\s\"'`<>()\[\]{},;|\\"
_LOGIN_PART = rf"[^/@{_ENDS_WORDS}]{{0,256}}+"
# After "=" as in --dsn=user:password@host. Up to the last "@", before a name or an address; not a digest or a version,
# as in "tag@sha256:5f0c" and "package@v1.2".
_LOGIN = (
    rf"(?<![^{_ENDS_WORDS}])(?:[\w.-]{{1,64}}+=)?(?P<user>[a-z_][\w.+-]{{0,63}}+):"
    rf"(?P<hide>{_LOGIN_PART}(?:@(?=[^/{_ENDS_WORDS}]{{0,256}}@){_LOGIN_PART}){{0,8}}+)"
    r"@(?!v?\d+(?:\.\d+){0,2}(?![\w.])|sha\d+:)[a-z0-9\[]"
)
# An address follows these: "mail:bob7@example.com".
_ADDRESSED = frozenset(
    """
    account acct author bcc by cc contact email from id login mail mailto member npm owner principal recipient
    reply-to sender sip sips to uid upn user username xmpp
    """.split()  # noqa: SIM905 - as in encodings.py
)
_MAILBOX = r"[a-z]+(?:[._+-][a-z]+)*[._+-]?\d{0,4}"

# Passwords in command lines, where a short option takes them: mysql -pX, curl -u user:X.
# An option behind a blank or, in a list of arguments, behind a quote. Its hyphen is first, since C looks for that.
_OPTION = r"""-(?<=[ "']-)(?:[a-zA-Z]{0,5}?(?P<letter>[paPwUub])|-(?P<word>(?:proxy-)?user))"""
# Between two arguments: a blank in a shell; in a list of arguments ', ' or ", ", also in JSON.
_NEXT = r"""(?: {1,4}|\\{0,7}["'], ?\\{0,7}["'])"""
# Not another option, a variable or a redirection. A quoted value may hold blanks.
_ARGUMENT = r"""(?:\\{0,7}["'](?P<quoted>[^"'\r\n\\]{1,256}+)|(?P<bare>[^\s"'\\`$<>|;&(){}=*-][^\s"'\\`|;&]*+))"""
_USER = r"""(?:\\{0,7}["'])?[^\s"'\\:%$/]{1,64}+"""
# After a user's name; with blanks if both are quoted.
_OF_USER = r"""(?P<of_user>[^\s"'\\`$<>{}:/][^\s"'\\]*+(?: [^\s"'\\]++(?=["']))?)"""
# The programs, the option by which each takes a password, and the password behind the option.
_PROGRAMS = (
    (r"(?:mysql|mariadb)[a-z-]{0,12}", "p", _ARGUMENT),
    ("sshpass(?=.{1,6}-p)", "p", f"(?:{_NEXT})?{_ARGUMENT}"),
    ("(?:docker|podman|nerdctl|buildah|skopeo|registry|az) login|mongo[a-z]{0,10}|cqlsh", "p", f"{_NEXT}{_ARGUMENT}"),
    ("(?:redis|valkey|keydb)-cli", "a", f"{_NEXT}{_ARGUMENT}"),
    ("ldap[a-z]{3,8}", "w", f"{_NEXT}{_ARGUMENT}"),
    ("sqlcmd|bcp|ipmitool", "P", f"{_NEXT}{_ARGUMENT}"),
    ("curl|etcdctl", "u", f"(?:{_NEXT}|=)?{_USER}:{_OF_USER}"),
    ("smbclient|rpcclient", "U", f"{_NEXT}{_USER}%{_OF_USER}"),
    ("htpasswd", "b", rf"[a-zA-Z]{{0,4}}(?:{_NEXT}[\w./-]{{1,100}})?{_NEXT}[\w.-]{{1,64}}{_NEXT}{_ARGUMENT}"),
)
# "--name mysql" and "status mysql" run no such program.
_ANY_PROGRAM = (
    r"(?<![\w.-])(?<!name )(?<!status )(?:" + "|".join(f"({name})" for name, _, _ in _PROGRAMS) + r")(?=\\{0,7}[\"' ])"
)
# Neither a mask, a placeholder nor a port is one: docker run -p 80:80.
_NO_PASSWORD = rf"\[REDACTED:[\s\S]*|{PLACEHOLDER}|[\d.]*:?\d+:\d+(?:/\w+)?"

# The gates that are long enough to be looked for together with known values.
LANDMARKS = {Form(gate, gate): gate for gate in (*_SHAPES, *_ENCLOSED)}


def find_shapes(text: str, data: bytes, gist: str, forms: Collection[Form], limit: Limit = bounded) -> list[Span]:
    """The spans of shapes in *text*.

    *data* is *text* as bytes of the same length, *gist* what `reduced` leaves of it. *forms* may occur in it; landmarks
    among them are gates.
    """
    spans = find_credentials(text, data, limit)
    effort = limit(len(text))
    fields = Fields(text)
    for form in forms:
        gate = LANDMARKS.get(form)
        if gate in _ENCLOSED:
            spans += _enclosed(_ENCLOSED[gate], text, lower(text), effort, fields)
        elif gate is not None:
            spans += _matches(_SHAPES[gate], text, lower(text), effort, fields)
    if ("&" in text or "?" in text) and _SIGNATURE.gate in text:
        spans += _matches((_SIGNATURE,), text, text, effort, fields)
    if ")" in text and _KEY_LEFT in gist:
        spans += _enclosed(_ROW, text, text, effort, fields)
    if "[" in text:
        for left, shape in _SHORT_WORDS:
            if left in gist and shape.gate in text:
                spans += _matches((shape,), text, text, effort, fields)
    if _KTY_LEFT in gist and _JWK.gate in text:
        for found in compiled(_JWK.pattern).finditer(text):
            spans += hidden(found, _JWK)
    if "@" in text:
        spans += _matches(_LOGINS, text, text, effort, fields)
        spans += _logins(text, effort)
        if "sqlplus" in text:
            spans += _matches((_SQLPLUS,), text, text, effort, fields)
    return spans


def find_commands(text: str, limit: Limit = bounded) -> Iterator[Span]:
    """The passwords in the command lines of *text*."""
    if not compiled(r"""-(?<=[ "']-)[a-zA-Z-]""").search(text):
        return
    done = 0
    effort = limit(len(text))
    fields = Fields(text)
    for program in compiled(_ANY_PROGRAM).finditer(text):
        # Its options are near, in the same command.
        start, end = program.end(), program.end() + 300
        other_command = compiled(r"[\r\n|;&]").search(text, start, end)
        end = end if other_command is None else other_command.start()
        _, letter, password = _PROGRAMS[(program.lastindex or 1) - 1]
        for option in compiled(_OPTION).finditer(text, max(start, done), end):
            if not effort.step(READ):
                yield rest(text, option.start())
                return
            if ("u" if option["word"] else option["letter"]) != letter:
                continue
            found = fields.match(compiled(password), option.end(), option.end())
            if found is not None and not compiled(_NO_PASSWORD).fullmatch(found[found.lastgroup or 0]):
                done = found.end()
                yield Span(*found.span(found.lastgroup or 0), "password")
                break


def _places(gate: str, low: str) -> Iterator[int]:
    place = low.find(gate)
    while place >= 0:
        yield place
        place = low.find(gate, place + 1)


def _matches(shapes: Iterable[Shape], text: str, low: str, effort: Effort, fields: Fields) -> Iterator[Span]:
    """The secrets of *shapes*, which share a gate. Skips gates inside a match: a secret holds no other one."""
    done = 0
    for place in _places(next(iter(shapes)).gate, low):
        if place < done:
            continue
        if not effort.step(READ):
            yield rest(text, place)
            return
        for shape in shapes:
            found = fields.match(compiled(shape.pattern, ANY_CASE), place, place + len(shape.gate))
            if found is not None:
                done = max(done, found.end())
                yield from hidden(found, shape)


def _enclosed(shape: Enclosed, text: str, low: str, effort: Effort, fields: Fields) -> Iterator[Span]:
    """The secrets between the gate of *shape* and its end. *text* is searched for ends only once."""
    done = end = 0
    for place in _places(shape.gate, low):
        if place < done:
            continue
        if not effort.step(READ):
            yield rest(text, place)
            return
        start = place + len(shape.gate)
        if shape.whole and (read := fields.match(compiled(shape.whole), start, place)):
            done = read.end()
            yield from secret(text, start, done, shape.label)
            continue
        if end <= start:
            found = compiled(shape.end, ANY_CASE).search(text, start + 1)
            end = len(text) + shape.longest if found is None else found.start()
        last = min(max(start, fields.end(place)), start + shape.longest)
        line = text.find("\n", start, min(end, last))
        if end <= last and (line < 0 or not shape.in_line):
            done = end
        elif shape.cut:
            # The end was cut off: all up to the end of the line, or of the field, is the secret.
            done = last if line < 0 else line
        else:
            continue
        yield from secret(text, start, done, shape.label)


def _logins(text: str, effort: Effort) -> Iterator[Span]:
    """The passwords in *text* between a user's name and a host."""
    for found in compiled(_LOGIN, ANY_CASE).finditer(text):
        if not effort.step(READ):
            yield rest(text, found.start())
            return
        value, user = found["hide"], found["user"].lower()
        if compiled(PLACEHOLDER).fullmatch(value) or is_ordinary(value, "password"):
            continue
        if user == "mailto" and "?" in value:
            continue
        if user not in _ADDRESSED or not compiled(_MAILBOX, ANY_CASE).fullmatch(value):
            yield Span(*found.span("hide"), "password")
