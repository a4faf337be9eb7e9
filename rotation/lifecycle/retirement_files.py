"""The files that a retirement writes: the certificate, and the archive of retired keys.

The certificate, a JSON document, says what was counted and searched, and what was not. The archive is a key file for
old backups: ENCRYPTION_PREVIOUS_KEYS_FILE can name it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from keyring_core import Key, KeyConfigError
from rotation.discovery.result import Remark, by_database
from rotation.ledger.chain import SIGNATURE
from rotation.ledger.clock import utc_now
from rotation.ledger.session import Session
from rotation.lifecycle.archived_keys import archived_keys, first_line
from rotation.lifecycle.key_file_edits import key_file_items
from rotation.lifecycle.signatures import CertificateSignature, Signer, signature_of
from rotation.model.counts import CellCounts
from rotation.model.failures import UsageError
from rotation.model.key_use import in_words
from rotation.model.next_steps import Refusal
from rotation.model.report import Report, TargetReport, others_in_words
from rotation.model.text import release
from rotation.retirement.evidence import Evidence
from rotation.world.atomic_file import read_whole, replace_whole
from rotation.world.outputs import Holds, Kind, replaced

_OWN = re.compile(rb"^# [0-9a-f]{8}, retired ", re.MULTILINE)
"""The line above a key that `archive_key` added; no service's key file has one."""


@dataclass(kw_only=True)
class _CertifiedColumn:
    name: Annotated[str, "The target's name."]
    database: Annotated[str, "The database, without a password."]
    table: Annotated[str, "The table."]
    column: Annotated[str, "The column."]
    where: Annotated[str | None, "The condition on the rows."]
    context: Annotated[str | None, "What its tokens are bound to."]
    rows: Annotated[int, "Rows that were counted."]
    read_from: Annotated[str | None, "When the count began, in ISO 8601."]
    read_to: Annotated[str | None, "When it ended; each row is as it was when it was read, between the two."]


@dataclass(kw_only=True)
class CertifiedTarget(CellCounts, _CertifiedColumn):
    """What was counted in one column."""

    @classmethod
    def of(cls, target: TargetReport) -> CertifiedTarget:
        """The part on one target."""
        place = {name: getattr(target.id, name) for name in ("database", "table", "column", "where", "context")}
        return cls(name=target.target.name, **place, rows=_rows(target), **target.span(), **target.counts.by_name())


class CertifiedSearch(msgspec.Struct, forbid_unknown_fields=True):
    """A database whose other columns were searched."""

    database: Annotated[str, "The database, without a password."]
    tables: Annotated[int, "How many of its tables were searched."]


class CertifiedReads(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What services announced of their reads with the key; without a ledger they were not asked."""

    asked: Annotated[list[str], "The running services whose reads are known up to a time after `since`."]
    since: Annotated[
        str | None, "The end of the last complete run, otherwise when the primary key took over; null: not known."
    ]
    last: Annotated[list[str], "The last reads with the key: which instance, how many tokens, and when."]
    suspended: Annotated[str | None, "Since when the key had been suspended; null: it was not, or it is not known."]


class Certificate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The certificate of a retirement: what `keys retire --certificate` writes."""

    certificate: Annotated[Literal[1], "The version of this form."] = 1
    key: Annotated[str, "The id of the key that was retired."]
    service: Annotated[str, "Whose key it was."]
    retired: Annotated[str, "When it was retired, in ISO 8601."]
    primary: Annotated[str, "The id of the primary key."]
    promoted: Annotated[str | None, "When the primary key was promoted."]
    promoted_after: Annotated[str | None, "If nobody recorded that: the earliest time that it can have been."]
    promoted_before: Annotated[str | None, "If nobody recorded that: the latest time that it can have been."]
    tool: Annotated[str, "The program and its version."]
    forced: Annotated[bool, "True if refusals were overridden."]
    overridden: Annotated[list[str], "The reasons that were overridden."]
    unchecked: Annotated[list[str], "What could not be checked."]
    not_looked_at: Annotated[list[str], "What was not read, by name: out of reach, or left out by the policy."]
    unopened: Annotated[
        list[str],
        "Columns without a target that were read, with tokens that no key opens: another application's, or bound ones.",
    ]
    gone: Annotated[list[str], "Databases and tables that were dropped before they were searched."]
    proved_unchanged: Annotated[
        list[str], "Tables that were not read again: every row was read within the hour, and none has changed since."
    ]
    ignored: Annotated[list[str], "The columns that rotation.toml ignores, and why."]
    others: Annotated[list[str], 'Columns with tokens of keys that are not here, which `others = "leave"` left.']
    instances: Annotated[list[str], "The running services that were asked."]
    reads: Annotated[CertifiedReads | msgspec.UnsetType, "Who read with the key; not in older certificates."] = (
        msgspec.UNSET
    )
    rows: Annotated[int, "Rows that were counted."]
    cells: Annotated[int, "Cells that hold something, as `run` counts them: without NULLs."]
    targets: Annotated[list[CertifiedTarget], "What was counted, column by column."]
    searched: Annotated[list[CertifiedSearch], "The databases whose other columns were searched."]
    archive: Annotated[str | msgspec.UnsetType, "The file that keeps the key, if one was named."] = msgspec.UNSET
    by: Annotated[str | msgspec.UnsetType, "Who ran the command, as they or the system call them: a note."] = (
        msgspec.UNSET
    )
    ledger: Annotated[
        str | msgspec.UnsetType, "The ledger that issued it: the digest of that ledger's first event."
    ] = msgspec.UNSET
    event: Annotated[int | msgspec.UnsetType, "The number of its event in that ledger."] = msgspec.UNSET
    head: Annotated[str | msgspec.UnsetType, "The digest of the event before that, and so of all before."] = (
        msgspec.UNSET
    )
    signature: Annotated[CertificateSignature | msgspec.UnsetType, "The signature, if it was signed."] = msgspec.UNSET


def certificate(
    evidence: Evidence, census: Report, session: Session, overridden: Sequence[Refusal], unchecked: Sequence[str]
) -> Certificate:
    """The proof, for a later audit; for a forced retirement, the reasons that were overridden."""
    search, use, (earliest, latest, _) = evidence.search, evidence.use, evidence.promoted or (None, None, False)
    is_known = evidence.promoted is not None and evidence.promoted.exact
    return Certificate(
        key=evidence.key_id,
        service=session.service,
        retired=session.date().astimezone(UTC).isoformat(timespec="seconds"),
        primary=evidence.primary,
        # The time, or for a key that was found primary its two bounds.
        promoted=_iso(latest) if is_known else None,
        promoted_after=None if is_known else _iso(earliest),
        promoted_before=None if is_known else _iso(latest),
        tool=f"keyring-core {release()}",
        forced=bool(overridden),
        overridden=[refusal.reason for refusal in overridden],
        unchecked=list(unchecked),
        not_looked_at=_lines(search.beyond) if search else [],
        unopened=_lines(search.unopened) if search else [],
        gone=_lines(search.gone) if search else [],
        proved_unchanged=[f"{one.database}: {one.subject}: {one.words}" for one in search.unchanged] if search else [],
        ignored=[f"{one.database}: {one.subject}: {one.words}" for one in search.ignored] if search else [],
        others=[
            f"{target.id.words}: {words}" for target in census.targets if (words := others_in_words(target.counts))
        ],
        instances=[f"{one.service} on {one.instance}" for one in evidence.fleet],
        reads=CertifiedReads(
            asked=list(use.asked),
            since=_iso(use.since),
            last=[in_words([one]) for one in use.read],
            suspended=_iso(use.suspended) if use.is_suspended else None,
        ),
        rows=_rows_of(census),
        cells=sum(target.counts.scanned for target in census.targets),
        targets=[CertifiedTarget.of(target) for target in census.targets],
        searched=[CertifiedSearch(name, tables) for name, tables in search.databases.items()] if search else [],
        by=session.by or msgspec.UNSET,
    )


def _lines(remarks: Sequence[Remark]) -> list[str]:
    return [f"{name}: {one}" for name, those in by_database(remarks).items() for one in those]


def _rows_of(census: Report) -> int:
    """The number of rows that were counted; the columns of one table share its rows."""
    cells: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for part in census.targets:
        cells[part.target.url, part.target.table][part.target.column] += _rows(part)
    return sum(max(columns.values()) for columns in cells.values())


def _rows(target: TargetReport) -> int:
    return target.counts.scanned + target.counts.null


def keep_files(  # noqa: PLR0913 - what a retirement leaves
    session: Session,
    made: Certificate,
    keys: Sequence[Key],
    *,
    proof: Path | None,
    archive: Path | None,
    signer: Signer | None,
) -> Certificate:
    """Issues the certificate *made*, and writes it to *proof*, and the *keys* to *archive*, if these are named.

    It gets its place in the chain of the ledger, which keeps it, and is signed if there is a *signer*.

    The ledger is first, so that it knows every certificate that there is. Raises LedgerError, and as `replace_whole`.
    """
    sign = signer.sign if signer else None
    document = msgspec.to_builtins(made, enc_hook=str.__str__)
    if kept := session.attempt(lambda ledger: ledger.keep_certificate(document, sign)):
        document = kept
    elif sign:
        document[SIGNATURE] = sign(document)
    # Its place in the chain of the ledger.
    added = {name: document[name] for name in ("ledger", "event", "head") if name in document}
    issued = msgspec.structs.replace(made, **added, signature=signature_of(document) if signer else msgspec.UNSET)
    if proof:
        text = json.dumps(msgspec.to_builtins(issued, enc_hook=str.__str__), indent=2)
        replace_whole(read_whole(proof), f"{text}\n".encode())
    if archive:
        for key in keys:
            archive_key(archive, key, utc_now())
    return issued


def certificate_of(key_id: str) -> Kind:
    """The kind of a certificate of *key_id*: it replaces one of the same key, which may be the only proof."""
    return replaced(f"certificate of {key_id}", rf'\s*\{{\s*"certificate": ?\d+,\s*"key": ?"{key_id}"'.encode())


def _iso(when: datetime | None) -> str | None:
    return when.astimezone(UTC).isoformat(timespec="seconds") if when else None


def check_archived(key: Key) -> None:
    """Raises UsageError if no archive can keep *key*: it stands for a secret of which each row makes its own key."""
    if key.salt_column:
        raise UsageError(
            f"--archive: {key.id} stands for a secret of which each row makes its own key, and an archive holds keys. "
            "Keep that secret where you keep your backups' keys, and give --no-archive."
        )


def archive_key(path: Path, key: Key, now: datetime) -> None:
    """Adds *key* to the archive at *path*, if it is not in it yet. Errors as `replace_whole`."""
    old = read_whole(path)
    if key.reveal() in key_file_items(old.data):
        return
    gap = b"" if not old.data or old.data.endswith(b"\n") else b"\n"
    line = f"# {key.id}, retired {now:%Y-%m-%d %H:%M} UTC\n{key.reveal()}\n"
    replace_whole(old, old.data + gap + line.encode())


def _archive_fault(data: bytes) -> str | None:
    try:
        keys = archived_keys(data)
    except KeyConfigError as error:
        return f"is no archive of keys: {first_line(error)}"
    return "holds keys, and none that was retired: it may be a service's" if keys and not _OWN.search(data) else None


ARCHIVE = Kind(_archive_fault, adds_to=Holds.RETIRED_KEYS)
