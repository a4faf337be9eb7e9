"""A batch gives for each text what the single token's parser gives."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyring_core import MalformedToken, bulk
from keyring_core.bulk import Refused, alike, pick, put, read_tokens, write_tokens
from keyring_core.tokens import TokenText, parse_token
from tests.conftest import Named
from tests.keyring_core.test_tokens import LONG_SECRET, SECRET, TOKEN, UNPADDED, issue, near_tokens, raw_tokens, respelt

ONE_PAD = issue("x" * 20)
SOUND = [TOKEN, ONE_PAD, UNPADDED, issue("another")]
odd = st.sampled_from("=A-+/_ \né\udce9\0%")
one_off = st.builds(
    lambda base, at, put: base[:at] + put + base[at + 1 :], st.sampled_from(SOUND), st.integers(-3, 140), odd
)
texts = st.one_of(
    st.sampled_from(SOUND),
    one_off,
    near_tokens,
    raw_tokens,
    st.text(max_size=20),
    st.sampled_from(SOUND).map(str.encode),
    st.sampled_from(SOUND).map(lambda text: memoryview(text.encode())),
    one_off.map(lambda text: text.encode("utf-8", "surrogatepass")),
)


def single(text: TokenText) -> object:
    """What the single token's parser says."""
    try:
        return tuple(parse_token(text))
    except MalformedToken as error:
        return str(error)


def read(batch: Sequence[TokenText]) -> list[object]:
    """What a batch says, in its order; each place once."""
    said: list[tuple[int, object]] = []
    for part in read_tokens(batch):
        if isinstance(part, Refused):
            said.append((part.place, str(part.error)))
        else:
            said.extend(zip(part.places, part.tokens(), strict=True))
    assert sorted(place for place, _ in said) == list(range(len(batch)))
    return [item for _, item in sorted(said, key=lambda each: each[0])]


def test_the_sound_tokens_have_every_padding() -> None:
    """The texts that these tests start from end in none, one and two padding characters."""
    assert [text.count("=") for text in SOUND] == [2, 1, 0, 2]


@given(st.lists(texts, max_size=8))
@example([TOKEN[:-2] + "=A", TOKEN[:-2] + "A="])
@example([TOKEN[:-1] + "A", TOKEN])
@example([UNPADDED, UNPADDED[:-1] + "="])
@example([UNPADDED[:-1] + "=", UNPADDED])
@example([UNPADDED[:-2] + "=="])
@example([TOKEN[:50] + "=" + TOKEN[51:], TOKEN])
@example([UNPADDED[:76], UNPADDED[:76]])
@example([TOKEN[:-2] + "AA" + "=" * 8])
@example([UNPADDED[:60] + "====" + UNPADDED[64:], UNPADDED])
@example([UNPADDED + "%%%%"])
@example([f"{TOKEN}    ", respelt(TOKEN), TOKEN.replace("-", "+").replace("_", "/")])
@settings(settings.get_profile("slow"))
def test_every_verdict_is_the_single_tokens(batch: list[TokenText]) -> None:
    """Whatever stands beside it, a text gives the parts, or the error and its words, that it gives alone."""
    assert read(batch) == [single(text) for text in batch]


def test_what_is_no_text_is_a_type_error(named: Named) -> None:
    """A caller's mistake is a TypeError, as in the single token's parser."""
    for beside in ([], [TOKEN], ["x" * len(TOKEN)]):
        for wrong in (None, 5, ["text"]):
            words = f"a token is str or bytes, not {type(wrong).__name__}"
            with named(beside, wrong), pytest.raises(TypeError, match=words):
                read([*beside, wrong])  # type: ignore[list-item]


def test_an_error_drags_no_frames_along() -> None:
    """A refused cell's error keeps no traceback, and so no other cell, alive."""
    [refused] = read_tokens(["junk"])

    assert isinstance(refused, Refused)
    assert (refused.error.__traceback__, refused.error.__context__) == (None, None)


@given(st.integers(1, 100).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
def test_texts_are_those_of_the_standard_library(tokens: list[bytes]) -> None:
    """Each text is the URL-safe base64 of its own bytes, in canonical form, whatever its neighbours are."""
    assert write_tokens(tokens) == [base64.urlsafe_b64encode(token).decode() for token in tokens]


@pytest.mark.parametrize("stripe_bytes", [1, 10, 10**6])
@given(lengths=st.lists(st.integers(0, 9)))
def test_alike_gives_each_place_once(stripe_bytes: int, lengths: list[int]) -> None:
    """Each part is of one length and within the bound, and nothing is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BATCH_BYTES", stripe_bytes)
        parts = [list(part) for part in alike(lengths)]

    assert sorted(place for part in parts for place in part) == list(range(len(lengths)))
    for part in parts:
        assert len({lengths[place] for place in part}) == 1
        assert len(part) == 1 or sum(lengths[place] for place in part) <= max(stripe_bytes, len(part))


@given(lengths=st.lists(st.integers(0, 2)))
def test_what_is_picked_is_put_back(lengths: list[int]) -> None:
    """`put` undoes `pick`, for any places that `alike` gives."""
    items, copied = [object() for _ in lengths], [object() for _ in lengths]
    for places in alike(lengths):
        put(copied, places, pick(items, places))

    assert copied == items


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_part_of_a_stripe_keeps_its_tokens(chosen: list[bool]) -> None:
    """Each token of the part has the place and the bytes that it had."""
    [whole] = read_tokens([issue(SECRET, at=number) for number in range(len(chosen))])
    assert not isinstance(whole, Refused)
    numbers = [number for number, take in enumerate(chosen) if take]

    part = whole.only(numbers)

    assert part.places == numbers
    assert not numbers or list(part.tokens()) == [list(whole.tokens())[number] for number in numbers]


def test_memory_is_bounded_by_stripes() -> None:
    """A batch of any size is read batch by batch: no more than one is held."""
    batch = [issue(LONG_SECRET)] * 5000

    sizes = [len(part.data) for part in read_tokens(batch) if not isinstance(part, Refused)]

    assert len(sizes) > 10
    assert max(sizes) <= bulk.BATCH_BYTES
