"""Re-encrypts stored tokens under the newest key, while services keep writing, and proves when an old key can go.

Admins and schedulers run this package as `keyring-rotate`; a program calls `rotation.job`, `rotation.lifecycle` and
`rotation.checks` with a `rotation.context.Context`. Services import `keyring_core`, which knows nothing of this
package, and may announce their keys by `rotation.fleet`.

The loop of a run, for each target, which is one column of one table:

    while something is left:
        for each range of row keys:
            for each batch of rows in it:
                read the cells
                plan: which cells are under an older key, and their new tokens
                write each cell that still holds exactly what was read
                count what was found and what was written

A cell that a service rewrote in between keeps the service's value, and the next pass reads it again. A run can be
stopped at any moment and started again: no state but the cells themselves decides what is left.

The folders, from the top down:

    manage         a Django app, for `manage.py rotate_keys`
    cli            the commands: their options, signals and exit codes
    audit          verifies the ledger, a certificate and its signature, behind one door
    output         values in; text, JSON, metrics or a page out
    lifecycle      stage, promote, retire and restore a key
    checks         the scheduled checks: facts and a policy in, findings out
    retirement     the decision whether a key may go
    job            the loop: ranges, passes, pace, checkpoints; in threads or on many machines
    kept_files     the files that no output may replace
    fleet          for services: announces which keys an instance holds
    context        what a command works with: its inputs, key rings, connections, targets and ledger
    applications   what is known of applications, behind one door
    ledger         key dates, runs, counts and running services, in a small database
    discovery      the search for token columns that no target covers
    declared       the encrypted columns that an application's models declare
    stores         reads and swaps the cells of a database; a folder for each kind of database
    world          what a command finds around it: its process, environment, files and key rings
    configuration  rotation.toml: targets, key sets, policy
    planning       decides for each cell whether it is rewritten, and with what
    model          the values that all of these share: targets, batches, counts, reports

Three rules of thumb:

    Imports run downward. A file that needs something from above is in the wrong folder, or takes it as an argument.
    What decides does no I/O: planning, retirement and each check take values and return values.
    Each decision is made in one function, and whatever needs it calls that function.

To read the code, begin with `job/ranges.py`, where a batch is read, planned, written and counted; then go down to
`planning` and `stores`, or up to `job/runs.py`. docs/explanation/architecture.md answers "Where is ...?".
"""
