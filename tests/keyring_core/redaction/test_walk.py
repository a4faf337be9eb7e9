"""A walk over a value: mappings of libraries stay what they are, and a value's name says what it is."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import pytest

from keyring_core.redaction import Redactor, redact_processor
from tests.conftest import Named
from tests.keys import random_secret

SECRET = random_secret()


class Answering(dict[str, Any]):
    """It answers to every name."""

    def __init__(self, items: dict[str, Any], answer: str) -> None:
        super().__init__(items)
        self.answer = answer

    def __missing__(self, _: str) -> str:
        return self.answer


class CaseInsensitiveDict(MutableMapping[str, Any]):
    """As that of requests (requests/structures.py)."""

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        self._store: dict[str, Any] = {}
        self.update({} if data is None else data, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        self._store[key.lower()] = (key, value)

    def __getitem__(self, key: str) -> Any:
        return self._store[key.lower()][1]

    def __delitem__(self, key: str) -> None:
        del self._store[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return (cased for cased, _ in self._store.values())

    def __len__(self) -> int:
        return len(self._store)


def test_a_masked_mapping_keeps_its_type(named: Named) -> None:
    """A mapping with a masked value, or a masked key, is of the type that it was, and the original is unchanged."""
    for value in (
        OrderedDict(a=SECRET),
        defaultdict(list, a=SECRET),
        Counter({"a": SECRET}),  # type: ignore[dict-item]
        Answering({"a": SECRET}, "-"),
        UserDict(a=SECRET),
        ChainMap({"a": SECRET}),
        CaseInsensitiveDict(a=SECRET),
        types.MappingProxyType({"a": SECRET}),
    ):
        with named(type(value).__name__):
            shown = Redactor([SECRET]).redact_value(value)

            assert (type(shown), dict(shown), value["a"]) == (type(value), {"a": "[REDACTED:secret]"}, SECRET)

    assert type(Redactor([SECRET]).redact_value(OrderedDict({SECRET: 1}))) is OrderedDict


def test_a_masked_mapping_answers_as_before() -> None:
    """Its order, its attributes, and what it says to a name that it does not hold."""
    redactor = Redactor([SECRET])

    assert list(redactor.redact_value(OrderedDict(b=1, a=SECRET, c=2))) == ["b", "a", "c"]
    assert redactor.redact_value(defaultdict(list, a=SECRET))["new"] == []
    assert redactor.redact_value(Answering({"a": SECRET}, "-"))["new"] == "-"
    assert (
        redactor.redact_value(CaseInsensitiveDict(Authorization=SECRET))["AUTHORIZATION"] == "[REDACTED:authorization]"
    )


class Noting(dict[str, Any]):
    """Notes each write in a list that a copy shares."""

    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.notes: list[str] = []

    def __setitem__(self, key: str, value: Any) -> None:
        self.notes.append(key)
        super().__setitem__(key, value)


class Frozen(dict[str, Any]):
    """Its copy is itself."""

    def __copy__(self) -> Frozen:
        return self


class Uncopied(dict[str, Any]):
    """It refuses to be copied."""

    def __reduce_ex__(self, _: object) -> Any:
        raise TypeError("not copied")


class Converting(UserDict[str, Any]):
    """It does not keep what it is made of."""

    def __setitem__(self, key: str, item: Any) -> None:
        super().__setitem__(key, item if item == SECRET else "converted")


class Opened(Mapping[str, Any]):
    """It is made of a name, and its items are elsewhere."""

    def __init__(self, name: str) -> None:
        self._items = {"name": {"a": SECRET}}[name]

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def test_a_mapping_that_cannot_be_made_again_is_shown_as_a_dict(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    """No write runs code of its type or reaches the original, be it the environment."""
    monkeypatch.setenv("a", SECRET)
    noting = Noting(a=SECRET)
    for value in (noting, Frozen(a=SECRET), Uncopied(a=SECRET), Converting(a=SECRET), Opened("name"), os.environ):
        with named(type(value).__name__):
            shown = Redactor([SECRET]).redact_value(value)

            assert (type(shown), shown["a"], value["a"]) == (dict, "[REDACTED:secret]", SECRET)
    assert noting.notes == []


def test_a_digest_is_known_by_its_name(named: Named) -> None:
    """A value that looks like a key is kept under the name of a digest, as it is in text; under others it is masked."""
    digest = base64.b64encode(hashlib.sha256(b"7").digest()).decode()
    redactor = Redactor()
    for event in (
        {"checksum": digest},
        {"etag": f'W/"{digest}"'},
        {"sha256": [digest, digest, digest]},
        {"sha256": [digest, digest]},
        {"public_key": digest},
        {"headers": [("etag", digest)]},
        {"files": [{"name": "a", "digest": digest}]},
    ):
        with named(str(event)):
            assert redactor.redact_value(event) == event
            assert redact_processor(None, "info", event) == event
            assert digest in redactor.redact_json(json.dumps(event))

    for event in ({"note": digest}, {"checksum": {"note": digest}}, {"checksum": f"{digest} {SECRET}"}):
        with named(str(event)):
            assert digest not in repr(Redactor([SECRET]).redact_value(event))


def test_an_object_without_text_takes_no_event_along() -> None:
    """A value whose text cannot be made is masked by its repr, and the others stay as they are."""

    class Half:
        def __repr__(self) -> str:
            return SECRET

        def __str__(self) -> str:
            raise ValueError

    assert Redactor([SECRET]).redact_value({"a": Half(), "b": 1}) == {"a": "[REDACTED:secret]", "b": 1}


def test_a_loaded_key_is_masked_under_any_name() -> None:
    """Only what looks like a key is kept, and no value that is known."""
    key = base64.urlsafe_b64encode(hashlib.sha256(b"7").digest()).decode()

    assert key not in repr(Redactor([key]).redact_value({"checksum": key}))
