"""Keys of other key sets that are stored as tokens under a key: without it, nothing opens them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from keyring_core import Key, KeyConfigError, Keyring
from keyring_core.errors import InvalidToken, UndecryptableToken
from rotation.context import Context
from rotation.model.failures import StoreError
from rotation.model.next_steps import RUN, Steps
from rotation.retirement import AGAIN, Refusal
from rotation.stores.key_cells import token_in


def wrapped_under(context: Context, keyring: Keyring, key: Key) -> list[Refusal]:
    """A refusal for each cell with a key that is under *key*, one of *keyring*, or that cannot be read.

    A search would not find a cell in a database that no target is in. Raises StoppedError.
    """
    return list(_refusals(context, keyring, key))


def _refusals(context: Context, keyring: Keyring, key: Key) -> Iterator[Refusal]:
    keys = context.keys
    for cell in keys.cells_under(context.inputs.read_environ()):
        fault = None
        try:
            found = token_in(cell, wait=context.streams.wait, links=context.links)
            # A token that no key here opens is under another key. Whatever does not read as a token may be one that
            # the application reads in a way of its own.
            with suppress(UndecryptableToken):
                if found and keyring.key_for(found.content) == key:
                    remedy = Steps(
                        RUN, when=f'If no [[target]] has that column with keys = "{keys.name}", add it. Then:'
                    )
                    yield Refusal(f"{found.words}: {cell.place} is a token under it", remedy)
        except InvalidToken as error:
            fault = f"{cell.place}: {found.words if found else ''}: {error}."
        except (KeyConfigError, StoreError) as error:
            # A reason is one line.
            fault = str(error).replace("\n", " ")
        if fault:
            yield Refusal(
                f"{fault} It was not seen whether that token needs the key",
                Steps(f"correct that, {AGAIN}", f"if the application needs no key of it: --force {key.id}"),
            )
