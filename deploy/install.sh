#!/bin/sh
# Sets up keyring-rotate for systemd: a user, folders, key files to fill in, the program, the units and their timers.
# Typed again, it updates the program and the units, and leaves keys and settings as they are.
set -eu
# The user keyring has to read the program, whatever root's own umask is.
umask 022

usage() {
    cat <<'TEXT'
Usage: deploy/install.sh [--dry-run] [--metrics] [--wheel FILE] [--prefix DIR]

  --dry-run     print what would be done, and do nothing
  --metrics     the check writes /var/lib/keyring/keyring.prom, too, for the node exporter
  --wheel FILE  install this wheel; default: the checkout that this script is in
  --prefix DIR  for packagers: put the files below DIR, and leave out the user, owners, the program and systemctl

Installs into /opt/keyring (the program), /etc/keyring (settings and keys), /var/lib/keyring (the ledger) and
/etc/systemd/system. Run it as root.
TEXT
}

refuse() {
    echo "Error: $1. deploy/install.sh --help lists the options." >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here") prefix='' dry='' metrics=''
while [ $# -gt 0 ]; do
    # --wheel=FILE is the same as --wheel FILE.
    case $1 in --wheel=* | --prefix=*)
        word=$1 && shift
        set -- "${word%%=*}" "${word#*=}" "$@"
        ;;
    esac
    case $1 in
        --dry-run) dry=1 ;;
        --metrics) metrics=1 ;;
        --wheel)
            source=${2:-}
            [ "$source" ] || refuse "--wheel needs a file"
            [ -f "$source" ] || refuse "--wheel: there is no file $source"
            shift
            ;;
        --prefix)
            prefix=${2:-}
            [ "$prefix" ] || refuse "--prefix needs a folder"
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) refuse "no option $1" ;;
    esac
    shift
done
if [ -z "$dry$prefix" ] && [ "$(id -u)" != 0 ]; then
    echo "Error: only root can install units and a user. Type: sudo deploy/install.sh" >&2
    exit 2
fi

etc=$prefix/etc/keyring state=$prefix/var/lib/keyring units=$prefix/etc/systemd/system opt=/opt/keyring

do_it() {
    if [ "$dry" ]; then echo "$*"; else "$@"; fi
}

# A folder or a file of MODE that belongs to OWNER. Below a prefix nobody but its caller owns anything.
place() {
    owner=$1 && shift
    if [ "$prefix" ]; then do_it install "$@"; else do_it install -o "$owner" -g "$owner" "$@"; fi
}

# A file to fill in: the admin's own from then on.
begin() {
    if [ ! -e "$3" ]; then place root -m "$1" "$2" "$3"; fi
}

make_user() {
    if ! id keyring >/dev/null 2>&1; then
        do_it useradd --system --user-group --no-create-home --home-dir /var/lib/keyring --shell /usr/sbin/nologin keyring
    fi
}

make_program() {
    if [ ! -x "$opt/bin/pip" ]; then do_it python3 -m venv "$opt"; fi
    do_it "$opt/bin/pip" install --quiet "${source}[rotate,postgres,mysql]"
    # The version may be that of the last time: a checkout's code is new all the same.
    do_it "$opt/bin/pip" install --quiet --force-reinstall --no-deps "$source"
    # A ledger that root makes, by a command typed by hand, would be one that the timers cannot write.
    do_it runuser -u keyring -- "$opt/bin/keyring-rotate" ledger init --url sqlite:////var/lib/keyring/ledger.db
}

make_files() {
    place root -d -m 0755 "$etc" "$units"
    place keyring -d -m 0755 "$state"
    begin 0644 "$here/etc/rotation.toml" "$etc/rotation.toml"
    begin 0600 "$here/etc/environment" "$etc/environment"
    # systemd reads these as root, and hands them to the service alone.
    for name in encryption_key encryption_previous_keys encryption_staged_key encryption_suspended_keys; do
        begin 0600 /dev/null "$etc/$name"
    done
    for unit in keyring@.service keyring@check.timer keyring@run.timer; do
        place root -m 0644 "$here/systemd/$unit" "$units/$unit"
    done
    if [ "$metrics" ]; then
        place root -d -m 0755 "$units/keyring@check.service.d"
        place root -m 0644 "$here/systemd/keyring@check.service.d/metrics.conf" "$units/keyring@check.service.d/metrics.conf"
    fi
}

# A timer without a key would report each night what everybody knows.
start_timers() {
    do_it systemctl daemon-reload
    if [ -s "$etc/encryption_key" ] && grep -q '^\[\[' "$etc/rotation.toml"; then
        do_it systemctl enable --now keyring@check.timer keyring@run.timer
        if [ -z "$dry" ]; then echo "Done: both timers run."; fi
        echo "Next: systemctl start keyring@check && journalctl -u keyring@check"
    else
        echo "Next: fill in $etc/rotation.toml, $etc/environment and all keys of your services: $etc/encryption_key," \
            "and $etc/encryption_{previous_keys,staged_key,suspended_keys} (empty if there is none). Then type this again."
    fi
}

if [ -z "$prefix" ]; then make_user; fi
make_files
if [ "$prefix" ]; then
    echo "Next: let the package make the user, the program and the ledger, as deploy/install.sh --dry-run prints."
else
    make_program
    start_timers
fi
