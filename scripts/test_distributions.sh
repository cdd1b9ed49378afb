#!/usr/bin/env bash
# Follows the README on bare systems: `make run`, then `make test`, in an empty clone of HEAD.
#
#   sudo scripts/test_distributions.sh [bookworm] [trixie]          default: both
#
# Each system is made by debootstrap, with git, make and the certificates as its only additions,
# and kept in .cache/distributions (300 MB each); a run works on a layer above it, which it
# removes. What the two commands print is kept beside it. Prints one line a claim, with times.
# Needs root, debootstrap, systemd-nspawn and a network; takes ten to fifteen minutes for each.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=$PWD/.cache/distributions
LOOK_WITHIN_S=60
RUN_TIMEOUT_S=600
TEST_TIMEOUT_S=3000
PAGE=http://127.0.0.1:8080
# shellcheck disable=SC2016  # apt's own placeholders
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian //p' | head -1)}
PASSED=0 FAILED=0 LAYER='' ROOT=''

say() { printf '# %s\n' "$*"; }
cannot() { say "not possible here: $*"; exit 77; }
ok() { PASSED=$((PASSED + 1)); printf 'ok - %s: %s\n' "$SUITE" "$*"; }
not_ok() { FAILED=$((FAILED + 1)); printf 'not ok - %s: %s\n' "$SUITE" "$*"; tail -n 25 "$LOG" | sed 's/^/#   /'; }

check_machine() {
    local program
    [ "$(id -u)" -eq 0 ] || cannot "this needs root, for debootstrap and systemd-nspawn"
    for program in debootstrap systemd-nspawn curl; do
        command -v "$program" >/dev/null || cannot "$program is missing: apt install debootstrap systemd-container curl"
    done
    [ -n "$MIRROR" ] || cannot "it is not known where Debian's packages are: MIRROR=…"
    if [ -z "${IN_PRIVATE_MOUNTS:-}" ]; then
        IN_PRIVATE_MOUNTS=1 exec unshare --mount --propagation private "scripts/${0##*/}" "$@"
    fi
}

make_base() {
    BASE=$CACHE/$SUITE
    [ ! -e "$BASE/.complete" ] || return 0
    say "making a Debian $SUITE in ${BASE#"$PWD"/}"
    rm -rf --one-file-system "$BASE"
    mkdir -p "$BASE"
    debootstrap --variant=minbase --include=ca-certificates,git,make "$SUITE" "$BASE" "$MIRROR" >"$BASE.log" ||
        { tail -5 "$BASE.log"; exit 1; }
    touch "$BASE/.complete"
}

make_layer() {
    LAYER=$(mktemp -d "$CACHE/run.XXXXXX")
    ROOT=$LAYER/root
    mkdir "$LAYER/changes" "$LAYER/work" "$ROOT"
    mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$LAYER/changes,workdir=$LAYER/work" "$ROOT"
    # How this system reaches its mirror and pip its index holds for the one inside, too.
    apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::(Check-|http|https|Retries)' >"$ROOT/etc/apt/apt.conf.d/90proof" || true
    cp -L /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/ca-certificates.crt"
    [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$ROOT/etc/pip.conf"
    git clone --quiet --no-hardlinks . "$ROOT/root/edge-detect"
}

# Mounts are private, and end with this script: a layer whose mount does not end is left.
remove_layer() {
    [ -n "$LAYER" ] || return 0
    ! mountpoint -q "$ROOT" || umount "$ROOT" || return 0
    rm -rf --one-file-system "${LAYER:?}"
    LAYER=''
}

# COMMAND... inside, as a user has it in the clone.
inside() {
    systemd-nspawn -q -D "$ROOT" --as-pid2 --register=no --keep-unit --resolv-conf=copy-host \
        --chdir=/root/edge-detect \
        --setenv=PIP_CERT=/etc/ssl/certs/ca-certificates.crt --setenv=LANG=C.UTF-8 "$@"
}

detected() { curl -sf --max-time 5 "$PAGE/api/state" | grep -qE '"detected": ?[1-9]'; }

follow_make_run() {
    local began=$SECONDS looked='' found='' maker
    LOG=$CACHE/$SUITE-run.log
    inside timeout --signal=INT "$RUN_TIMEOUT_S" make run >"$LOG" 2>&1 </dev/null &
    maker=$!
    while kill -0 "$maker" 2>/dev/null && [ $((SECONDS - began)) -lt "$RUN_TIMEOUT_S" ]; do
        if [ -z "$looked" ] && grep -q 'look at' "$LOG"; then looked=$((SECONDS - began)); fi
        if [ -n "$looked" ] && detected; then found=$((SECONDS - began)); break; fi
        sleep 0.5
    done
    if [ -n "$looked" ] && [ "$looked" -le "$LOOK_WITHIN_S" ]; then
        ok "make run prints where to look after $looked s"
    else
        not_ok "make run prints where to look within $LOOK_WITHIN_S s: ${looked:-never}"
    fi
    if [ -n "$found" ]; then ok "the page shows detections after $found s"; else not_ok "the page shows detections"; fi
    pkill -INT -P "$(pgrep -P "$maker" | head -1)" 2>/dev/null || true
    wait "$maker" || true
}

follow_make_test() {
    local began=$SECONDS
    LOG=$CACHE/$SUITE-test.log
    if inside timeout "$TEST_TIMEOUT_S" make test >"$LOG" 2>&1 </dev/null; then
        ok "make test, with its set-up, after $((SECONDS - began)) s: $(tail -1 "$LOG")"
    else
        not_ok "make test, after $((SECONDS - began)) s"
    fi
}

check_machine "$@"
trap remove_layer EXIT
trap 'exit 130' INT TERM
[ $# -gt 0 ] || set -- bookworm trixie
mkdir -p "$CACHE"
for SUITE in "$@"; do
    make_base
    make_layer
    follow_make_run
    follow_make_test
    remove_layer
done
printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
[ "$FAILED" -eq 0 ]
