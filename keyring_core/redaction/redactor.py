"""A redactor: returns text and values with every secret masked, and never raises. One is in force in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any, NoReturn, TypeVar

from keyring_core.errors import KeyringError
from keyring_core.loaded_keys import is_loaded, subscribe, writing
from keyring_core.redaction.effort import Effort, Limit, bounded, reduced, rest, unbounded
from keyring_core.redaction.encodings import Form, forms_of, forms_of_key, trimmed, unfit, unsqueeze
from keyring_core.redaction.pairs import find_pairs
from keyring_core.redaction.qgrams import GramMatcher, spans_of
from keyring_core.redaction.readings import Reading, readings, spells_bytes
from keyring_core.redaction.secret import Secret, revealed
from keyring_core.redaction.sensitive_names import Names, Walk
from keyring_core.redaction.shapes import LANDMARKS, find_commands, find_shapes
from keyring_core.redaction.spans import Span, mask

Given = TypeVar("Given")

_LABEL = re.compile(r"[A-Za-z0-9][\w .:/-]{0,59}", re.ASCII)
# A terminal's colour sequence, as it is or escaped.
_COLOUR = re.compile(r"(?:\x1b|\\x1b|\\u001b)\[[0-9;:]*[mK]")

# The matchers of `redacting` blocks, in their own context only.
block_matchers: ContextVar[tuple[GramMatcher, ...]] = ContextVar("keyring_core_redacting", default=())
_in_force: list[Redactor] = []


class Redacted(str):
    """Text that a redactor has masked already."""

    __slots__ = ()


class UnfitSecretError(KeyringError, ValueError):
    """A value that cannot be masked by its text. The message says why, and does not show it."""


class Redactor:
    """Masks registered values, values of sensitive names, and well-known shapes. Threads may share it without a lock.

    *secrets* are registered as by `add`; *names* are more sensitive names (their last whole words).
    Every redactor also knows the keys that this process has loaded.

    Examples:
        >>> Redactor(["Zx7-Qv19-f!"]).redact("Zx7-Qv19-f! and password=hunter22")
        '[REDACTED:secret] and password=[REDACTED:password]'
    """

    __slots__ = ("__weakref__", "_registry", "names")

    def __init__(self, secrets: Iterable[str | bytes | Secret] = (), *, names: Iterable[str] = ()) -> None:
        self._registry = Registry()
        self.names = Names(names)
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._registry)} values>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Redactor holds secrets: it can be neither pickled nor copied")

    def add(self, value: str | bytes | Secret, label: str | None = None) -> None:
        """Masks *value* from now on as ``[REDACTED:label]``, in every form in which it may be printed.

        Raises UnfitSecretError (a ValueError) for a value too short or too common to mask, ValueError for a label
        that is not plain words, and TypeError for anything but str, bytes or Secret.
        """
        value = revealed(value)
        reason = unfit(value)
        if reason is not None:
            raise UnfitSecretError(f"cannot mask this value by its text: {reason}")
        if label is not None and not _LABEL.fullmatch(label):
            raise ValueError("a label is up to 60 letters, digits, blanks and . : / _ -")
        self._registry.add(trimmed(value), label or "secret")

    def discard(self, value: str | bytes | Secret) -> None:
        """Forgets *value*; unknown values and loaded keys are left as they are."""
        self._registry.discard(trimmed(revealed(value)))

    def redact(self, text: str) -> str:
        """*text* with every secret masked; *text* itself if it holds none. Never raises."""
        try:
            return self._redact(text)
        except Exception as error:
            return f"[WITHHELD:{type(error).__name__}]"

    def redact_value(self, value: Any) -> Any:
        """*value* with every secret masked, in the same types. Changes nothing in place. Never raises.

        If an object's text shows a secret, the masked text takes its place.

        Examples:
            >>> get_redactor().redact_value({"db_password": "hunter22", "port": 5432})
            {'db_password': '[REDACTED:password]', 'port': 5432}
        """
        try:
            return Walk(self.names, self._leaf).value(value)
        except Exception as error:
            return f"[WITHHELD:{type(error).__name__}]"

    def redact_event(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """*event* with the values of sensitive names masked; *event* itself if there are none.

        May raise what the event's own objects raise: the caller withholds the event then.
        """
        return Walk(self.names).mapping(event) if self.names.touch(event) else event

    def redact_json(self, text: str) -> str:
        """*text*, a rendered line, with every secret masked; JSON stays JSON. Never raises."""
        try:
            masked = self._redact(text)
            if masked is text or not text.startswith("{") or _is_json(masked) or not _is_json(text):
                return masked
            # The match broke the JSON: each value is masked by itself.
            shown = json.dumps(self.redact_value(json.loads(text)))
            # What shows only together, as a name and its value, is searched once more.
            masked = self._redact(shown, unbounded)
            if masked is not shown and not _is_json(masked):
                raise ValueError("a secret stands across the structure")  # noqa: TRY301
            return masked
        except Exception as error:
            return f'{{"event": "withheld", "error": "{type(error).__name__}"}}'

    def redact_rendered(self, render: Callable[[Given], Any], given: Given, by_value: Callable[[Given], Given]) -> Any:
        """What *render* makes of *given*, with every secret masked; usually a text.

        If it holds a secret, *by_value* masks each value of *given* by itself, and that is rendered: in text without
        quotes nothing shows where a value ends, so a mask could reach into the next one. Raises what *render* raises.
        """
        shown = render(given)
        if not isinstance(shown, str):
            return self.redact_value(shown)
        return shown if self.redact_json(shown) is shown else self.redact_json(render(by_value(given)))

    def _find(self, flat: str, data: bytes, limit: Limit, left: Effort, depth: int = 0) -> list[Span]:
        """The secrets in *flat*, which has one character for each byte of *data* and may spell *left* characters."""
        gist = reduced(data)
        forms = self._registry.candidates(data)
        found = self._known(forms, data) if forms or block_matchers.get() else []
        found += find_shapes(flat, data, gist, forms, limit)
        found += find_pairs(flat, gist, self.names, limit)
        if "-" in flat:
            found += find_commands(flat, limit)
        if ("\x1b" in flat or ("[" in flat and "1b[" in flat)) and _COLOUR.search(flat):
            # The letter that ends a colour is not part of the next word; blanks in its place keep words apart.
            plain = _COLOUR.sub(lambda colour: " " * len(colour[0]), flat)
            found += find_shapes(plain, plain.encode("latin-1"), gist, (), limit)
            found += find_pairs(plain, gist, self.names, limit)
        if spells_bytes(flat, gist) and depth < 3:  # a text may spell one that spells another
            for reading in readings(flat):
                if left.step(len(reading.data)):
                    found += self._spelt(reading, limit, left, depth + 1)
                else:
                    start, end = reading.place(0, len(reading.data))
                    found.append(rest(flat[:end], start))
        return found

    def _spelt(self, reading: Reading, limit: Limit, left: Effort, depth: int) -> Iterator[Span]:
        """The secrets in the bytes of *reading*, also those that are no text, as spans of the text that spells them."""
        for span in self._find(reading.data.decode("latin-1"), reading.data, limit, left, depth):
            start, end = reading.place(span.start, span.end)
            yield span._replace(start=start, end=end)
        if reading.data.isascii():
            return  # text, which has been searched
        digits = reading.data.hex().encode()
        for span in self._known(self._registry.candidates(digits), digits):
            start, end = reading.place(span.start // 2, (span.end + 1) // 2)
            yield span._replace(start=start, end=end)

    def _known(self, forms: Collection[Form], data: bytes) -> list[Span]:
        """The spans in *data* of values: of those among *forms*, and of those that `redacting` masks here."""
        found = spans_of([form for form in forms if form not in LANDMARKS], data)
        for matcher in block_matchers.get():
            found += spans_of(matcher.candidates(data), data)
        return unsqueeze(found, data) if found else found

    def _redact(self, text: str, limit: Limit = bounded) -> str:
        data = text.encode("utf-8", "surrogatepass")
        # One character for each of its bytes.
        flat = text if text.isascii() else data.decode("latin-1")
        # It is searched in all that it spells, too: three levels of a short text, twice the length of a long one.
        spans = self._find(flat, data, limit, Effort(1024 + 2 * len(text)))
        if not spans:
            return text
        masked = mask(flat, spans)
        return masked if flat is text else masked.encode("latin-1").decode("utf-8", "replace")

    def _leaf(self, value: Any) -> Any:
        """A leaf of an event; its masked text if its text shows a secret."""
        if type(value) is str:
            return self._redact(value)
        shown = str(value) if isinstance(value, str | int) else safe_repr(value)
        masked = self._redact(shown)
        return value if masked == shown else masked


def get_redactor() -> Redactor:
    """The redactor of the last `configure_logging`, otherwise the default one, made on first use."""
    return _in_force[-1] if _in_force else _default()


def set_redactor(redactor: Redactor | None) -> None:
    """Puts *redactor* in force; None restores the default one."""
    _in_force[:] = [redactor] if redactor is not None else []


@cache
def _default() -> Redactor:
    return Redactor()


class Registry:
    """The values that one redactor masks in all their forms: its own, and every key that this process has loaded."""

    __slots__ = ("__weakref__", "_forms", "_matcher", "candidates")

    def __init__(self) -> None:
        self._forms: dict[str | bytes, list[Form]] = {}
        self._matcher = GramMatcher()
        # The values, and the landmarks of shapes, that may occur in a text in UTF-8.
        self.candidates = self._matcher.candidates
        for landmark in LANDMARKS:
            self._matcher.add(landmark)
        subscribe(self)

    def __len__(self) -> int:
        return len(self._forms)

    def add_key(self, raw: bytes, label: str) -> None:
        """Masks the 32-byte key *raw*, and parts of it, from now on; also if it was a value before."""
        with writing:
            self._forms.pop(raw, None)
            self.add(raw, label, forms_of_key)

    def add(self, value: str | bytes, label: str, forms: Callable[..., list[Form]] = forms_of) -> None:
        """Masks *value* in all its *forms* from now on. A value that is known already keeps its first label."""
        with writing:
            if value in self._forms:
                return
            known = self._forms[value] = forms(value, label)
            for form in known:
                self._matcher.add(form)

    def discard(self, value: str | bytes) -> None:
        """Forgets *value*; unknown values are ignored. Loaded keys stay until the process ends."""
        with writing:
            if is_loaded(value):
                return
            for form in self._forms.pop(value, ()):
                self._matcher.discard(form)


def safe_repr(value: Any, show: Callable[[Any], str] = repr) -> str:
    """``show(value)``, or a note that it raised."""
    try:
        return show(value)
    except Exception as error:
        return f"<{type(value).__name__}: {show.__name__} raised {type(error).__name__}>"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
