"""A report as text: what was found, what was done, what is left, and the next command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from keyring_core import KeyState, UndecryptableToken
from rotation.configuration.targets import scope_of
from rotation.model.counts import Counts, Problem
from rotation.model.next_steps import (
    DISCOVER,
    LIST_ROWS,
    NAME_CONTEXT,
    PLAIN,
    RUN,
    THIS_AGAIN,
    Invocation,
    Next,
    Repeats,
    Steps,
    demotion_steps,
    read_the_rest,
)
from rotation.model.report import WHOLE, Report, TargetReport, others_in_words, row_in_words, set_format
from rotation.model.target import Adopts, Format
from rotation.model.text import be, many, to_second
from rotation.output.census_tables import keys_table, legend, targets_table
from rotation.output.terminal import following
from rotation.planning.rules import why_not_adopted
from rotation.retirement.evidence import of_report
from rotation.retirement.reasons import reads_and_trial, refusals

SHOWN_PROBLEMS = 20


def render(report: Report, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other, with the first SHOWN_PROBLEMS problems."""
    yield from count_tables(report)
    yield from (Text(f"Note: {words}") for words in _left_out(report.left_out))
    room = SHOWN_PROBLEMS
    for target in report.targets:
        yield from (Text(f"Note: {warning}", "yellow") for warning in target.warnings)
        if target.retries:
            yield Text(f"{target.target.label}: tried again {many(target.retries, 'time')}, see the log", "yellow")
        if target.stopped:
            yield Text(f"{target.target.label}: {target.stopped}", "red")
        yield from samples(target)
        yield from _reindexed(target, dry_run=report.dry_run)
        # If a key is missing, every row has the same problem.
        shown = [] if target.lacks_key and target.stopped else target.counts.problems[:room]
        room -= len(shown)
        yield from _problems(target, shown)
    for part in verdict(report):
        yield from following(part, invocation) if isinstance(part, Steps) else [part]


def count_tables(report: Report) -> Iterator[RenderableType]:
    """Cells per target, and tokens per key."""
    yield targets_table(report)
    for target in report.targets:
        # A cell may hold several tokens.
        counts, name = target.counts, target.target.format
        if name is not Format.TOKEN:
            cells = many(counts.scanned - counts.empty, "cell")
            yield Text(f"{target.target.label}: {many(counts.embedded, 'token')} in {cells} (format {name})")
        if words := others_in_words(counts):
            yield Text(f"{target.target.label}: {words}")
        if target.target.others and counts.other_sets:
            under = ", ".join(f"{number:,} under {key_id}" for key_id, number in counts.other_sets.most_common())
            yield Text(f"{target.target.label}: tokens of other key sets, which their own targets rotate: {under}")
    yield ""
    yield keys_table(report)
    yield legend(report)
    yield ""


def _cell(target: TargetReport, key: tuple[object, ...]) -> str:
    """A cell in words: `user_credentials.api_key, id=812`."""
    return f"{target.target.label}, {row_in_words(target.key_names, key)}"


def samples(target: TargetReport) -> Iterator[Text]:
    """The number of cells that become tokens, and a description of some, without their content."""
    if target.counts.samples:
        number = target.counts.taken_over
        yield Text(f"{target.target.label}: {many(number, 'cell')} that {be(number)} no token, such as", "bold")
    for key, words in target.counts.samples:
        yield Text(f"  {_cell(target, key)}: {words}")


def _reindexed(target: TargetReport, *, dry_run: bool) -> Iterator[Text]:
    """The number of blind indexes that change by more than their key, so that a new normal form is seen to work."""
    if number := target.counts.reindexed:
        verb, cause = ("changes", "it is of") if dry_run else ("changed", "it was of")
        yield Text(
            f"{target.target.label}: the blind index of {many(number, 'row')} {verb}, and not only its key: "
            f"the normal form is another one, or {cause} another value",
            "bold",
        )


def _problems(target: TargetReport, shown: Sequence[Problem]) -> Iterator[Text]:
    total = target.counts.categories.total()
    if total:
        kinds = ", ".join(f"{number:,} {category}" for category, number in target.counts.categories.most_common())
        yield Text(f"{target.target.label}: {kinds}", "bold")
    if target.counts.formats and not target.stopped:
        cells = many(target.counts.formats.total(), "cell")
        advice = "" if target.target.adopts is not Adopts.NOTHING else f": {set_format(target.counts)}"
        yield Text(f"  {cells} with tokens in another form than its format{advice}")
    for key, category, detail in shown:
        yield Text(f"  {_cell(target, key)}: {category}, {detail}")
    if shown and total > len(shown):
        yield Text(f"  and {total - len(shown):,} more")


def _left_out(notes: Sequence[str]) -> Iterator[str]:
    """*notes*, each once; several targets that are not there, as a version of an application may lack, in one line."""
    absent = {words: words.partition(": left out: ")[0] for words in notes if ": left out: there is no " in words}
    several = len(absent) > 1
    if several:
        yield f"left out, since they are not there: {', '.join(dict.fromkeys(absent.values()))}"
    yield from (words for words in dict.fromkeys(notes) if not (several and words in absent))


def verdict(report: Report) -> Iterator[Text | Steps]:
    """The lines at the end of a screen, and the next steps between them."""
    if report.fault:
        yield Text(report.fault, "red")
    if report.uncovered:
        hold = f"{many(len(report.uncovered), 'column')} {'holds' if len(report.uncovered) == 1 else 'hold'}"
        yield Text(
            f"{hold} tokens and no target covers {'it' if len(report.uncovered) == 1 else 'them'}: "
            f"{', '.join(report.uncovered)}",
            "bold red",
        )
    for part in report.by_keys:
        if report.parts:
            yield Text(f"Key set {part.key_set}:" if part.key_set else "The environment's own keys:", "bold")
        yield from _verdict_of(part, has_uncovered=bool(report.uncovered))
    if any(target.interrupted for target in report.targets):
        yield Text("Interrupted: finished batches stay; rows that were not reached are not counted above.", "bold red")
        yield Steps(THIS_AGAIN)
    elif report.uncovered and report.complete:
        yield Steps(DISCOVER)


def _verdict_of(report: Report, *, has_uncovered: bool) -> Iterator[Text | Steps]:
    """The verdict on the targets of one key set."""
    if not report.targets:
        yield Text("The database has none of its columns, and all of them are optional.")
        return
    parts = [target.counts for target in report.targets]
    rotated, waiting = (sum(getattr(counts, name) for counts in parts) for name in ("rotated", "to_rotate"))
    if report.complete:
        yield from _complete(report, rotated, has_uncovered=has_uncovered)
        return
    if report.dry_run and waiting:
        yield Text(f"{_waiting(report, waiting)}. Nothing was written.", "bold yellow")
        for key in report.keys:
            # Swapped keys can be noticed before anything is written.
            tokens = report.under(key["id"])
            if KeyState(key["state"]).is_superseded and tokens and key["id"] not in report.newer:
                yield Text(f"  {many(tokens, 'token')} {key['id']} -> {report.primary}")
        if any(target.lacks_key or target.refuses_writes for target in report.targets):
            yield Steps(THIS_AGAIN.after("correct what is said above, then:"))
        elif not any(target.interrupted for target in report.targets):
            adopts = any(target.target.adopts is not Adopts.NOTHING for target in report.targets)
            run = Next(("adopt", "--yes") if adopts else ("run",), repeats=Repeats.ALL)
            first = _promote_first(report)
            yield Steps(first, run.after("or before that:")) if first else Steps(run)
    elif rotated:
        yield Text(f"{_done(report, rotated)}.", "bold green")
        if first := _promote_first(report):
            yield first
    yield from _demotions(report)
    if left := _left(parts):
        yield Text(f"Not complete: {left}. They stay byte for byte what they were.", "bold red")
        # A target that lacks a key has already printed what to do.
        if _left([target.counts for target in report.targets if not target.lacks_key]):
            keep = "; until then keep every older key" if any(map(_may_need_keys, parts)) else ""
            adopt = Next(("adopt",), "to encrypt the plaintext (it only reads at first):")
            takes = (target for target in report.targets if why_not_adopted(target.target) is None)
            plaintext = [adopt] if any(target.counts.plaintext for target in takes) else []
            # Tokens that no key opens may be bound to a context, which their target does not name.
            unnamed = [target.counts.categories for target in report.targets if target.target.context is None]
            bound = [NAME_CONTEXT] if any(each[UndecryptableToken.category] for each in unnamed) else []
            yield Steps(f"look at these rows{keep}", *bound, *plaintext)


def _unit(report: Report) -> str:
    """The unit of counting: a cell may hold several tokens, unless each is one."""
    return "token" if all(target.target.format is Format.TOKEN for target in report.targets) else "cell"


def _waiting(report: Report, waiting: int) -> str:
    """The tokens that a run would write, in words."""
    counts = [target.counts for target in report.targets]
    taken = sum(each.taken_over for each in counts)
    unbound = " or not bound yet" if any(each.unbound for each in counts) else ""
    indexed = " or have a blind index of another form" if any(each.reindexed for each in counts) else ""
    older = waiting - taken
    lacking = _without_index(report)
    verb = be(older) if _unit(report) == "token" else "with tokens"
    reasons = [f"{verb} under older keys{unbound}{indexed}"] if lacking < older else []
    reasons += [f"{'lacks' if older == 1 else 'lack'} a blind index"] if lacking else []
    words = [f"{many(older, _unit(report))} {' or '.join(reasons)}"] if older else []
    words += [f"{many(taken, 'cell')} {be(taken)} to become {'a token' if taken == 1 else 'tokens'}"] if taken else []
    return ", and ".join(words)


def _without_index(report: Report) -> int:
    """The tokens under the primary key beside which a blind index is missing, as in a column that was added."""
    previous = _superseded(report)
    lacking = 0
    for counts in (target.counts for target in report.targets if target.target.index):
        others = counts.taken_over + counts.unbound + counts.reindexed + sum(counts.under[each] for each in previous)
        lacking += max(0, counts.to_rotate - others)
    return lacking


def _done(report: Report, rotated: int) -> str:
    """The tokens that a run wrote, in words."""
    taken = sum(target.counts.taken_over for target in report.targets)
    older = rotated - taken
    words = [f"Encrypted {many(taken, 'cell')}"] if taken else []
    words += [f"{'rotated' if taken else 'Rotated'} {many(older, _unit(report))}"] if older else []
    return ", and ".join(words)


def _complete(report: Report, rotated: int, *, has_uncovered: bool) -> Iterator[Text | Steps]:
    done = f"{_done(report, rotated)}. " if rotated else ""
    columns = scope_of([target.target for target in report.targets])
    if any(target.hides_rows for target in report.targets):
        columns += ", of the rows that this user sees,"
    columns += f" of shard {report.shard}" if report.shard else ""
    others = sum(target.counts.others for target in report.targets)
    under = report.primary + (f", but for {many(others, 'token')} of keys that are not here" if others else "")
    words, color = ("The targets are complete", "yellow") if has_uncovered else ("Complete", "green")
    yield Text(f"{done}{words}: every token of {columns} is under the primary key {under}.", f"bold {color}")
    yield from _span(report)
    if suspects := sum(target.counts.suspects for target in report.targets):
        yield Text(f"{many(suspects, 'cell')} with room for a token in a form that is not looked for.", "bold yellow")
        yield Steps(LIST_ROWS.after("look at these rows; until then keep every older key:"))
    first, then = _after_a_takeover(report), _after_a_run(report, has_uncovered=has_uncovered)
    if first:
        yield Steps(first, *([then] if then else []))
    elif then:
        yield then


def _span(report: Report) -> Iterator[Text]:
    """From when to when rows were read, if they were not proved to be as they are all at one moment."""
    parts = [target for target in report.targets if target.proof in {None, WHOLE}]
    begun = [target.read_from for target in parts if target.read_from]
    ended = [target.read_to for target in parts if target.read_to]
    if begun and ended:
        whose = "" if len(parts) == len(report.targets) else f" of {scope_of([target.target for target in parts])}"
        between = f"between {to_second(min(begun))} and {to_second(max(ended))}"
        yield Text(f"Each row{whose} was read once, {between}; what a service wrote to it later was not seen.")


def _after_a_run(report: Report, *, has_uncovered: bool) -> Steps | None:
    """The next step with the keys, or with other shards."""
    if report.shard:
        return Steps(RUN, when="When all shards are done, check all rows:")
    if first := _promote_first(report):
        return first
    if has_uncovered:
        return None
    known = [of_report(report, key_id) for key_id in reversed(_superseded(report))]
    against = {evidence.key_id: refusals(evidence) for evidence in known}
    if unneeded := next((key_id for key_id, reasons in against.items() if not reasons), None):
        return read_the_rest(unneeded, report.key_set, salted=report.salted)
    for evidence in known:
        # Nothing stored needs it, and something else keeps it.
        if against[evidence.key_id] == [*reads_and_trial(evidence)]:
            reason, remedy = against[evidence.key_id][0]
            return Steps(remedy, when=f"{evidence.key_id} stays for {reason}.")
    return None


def _superseded(report: Report) -> list[str]:
    return [key["id"] for key in report.keys if KeyState(key["state"]).is_superseded]


def _promote_first(report: Report) -> Steps | None:
    """The step that makes the staged key encrypt, if there is one: until then a run moves tokens to the older key."""
    staged = next((key["id"] for key in report.keys if key["state"] == KeyState.STAGED), None)
    if staged is None:
        return None
    promote = Next(("keys", "promote"), keys=report.key_set)
    return Steps(promote, when=f"{staged} is staged. When every service has it:")


def _after_a_takeover(report: Report) -> str | None:
    """The setting to remove from the column types, once every cell is a token."""
    targets = [target.target for target in report.targets]
    if adopted := [target for target in targets if target.adopts is not Adopts.NOTHING]:
        if any(target.declared for target in adopted):
            return "remove accept_plaintext from the column types"
        return "if a service still takes plaintext in these columns, such as by accept_plaintext, let it stop that"
    if any(target.source for target in targets):
        return "remove `from` (in a model: legacy), and then the variable of its secret"
    return None


def _demotions(report: Report) -> Iterator[Text | Steps]:
    for key_id, promoted in report.newer.items():
        if tokens := report.under(key_id):
            yield Text(
                f"{many(tokens, 'token')} {be(tokens)} under {key_id}, promoted {promoted.words()}: later "
                f"than the primary key {report.primary}. They were left: {promoted.causes}.",
                "bold red",
            )
            yield demotion_steps(key_id, report.key_set, may_be_clock=promoted.is_close)


def _may_need_keys(counts: Counts) -> bool:
    """True if a cell that is left may hold a token; a short plaintext has no room for one."""
    unknown = counts.unreadable > counts.identified or counts.unsettled or counts.suspects or counts.given_up
    return bool(unknown or counts.nested or counts.inner or counts.other_sets)


def _left(parts: list[Counts]) -> str:
    names = ("unreadable", "plaintext", "unsettled", "nested")
    numbers = {name: sum(getattr(counts, name) for counts in parts) for name in names}
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
