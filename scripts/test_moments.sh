#!/usr/bin/env bash
# Runs `make test` as it would run at other times and places, which a machine that has been up
# for days hides.
#
#   scripts/test_moments.sh [MOMENT...]     all of them without any; ARGS="…" goes to pytest
#
#   just-booted    CLOCK_MONOTONIC and CLOCK_BOOTTIME begin at two seconds (root, time namespaces)
#   other-year     the clock is years ahead
#   spring         summer time begins while the tests run
#   autumn         summer time ends while the tests run
#   kathmandu      a time zone a quarter of an hour off, and no locale
#   busy           two other programs keep two cores busy
#
# A moment that cannot be had here is named and left out; with CI set, that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
MOMENTS=(just-booted other-year spring autumn kathmandu busy)
UPTIME_AT_START_S=2

say() { printf '# %s\n' "$*"; }

# All that the command starts goes on from there; CLOCK_MONOTONIC stays as it is.
at_clock() {
    local clock
    clock=$(date -d "$1" +%s); shift
    python3 tests/support/wall_clock.py "$clock" "$@"
}

just_booted() {
    local back
    back=$(($(cut -d. -f1 /proc/uptime) - UPTIME_AT_START_S))
    unshare --time --monotonic "-$back" --boottime "-$back" -- "$@"
}

LOOPS=()

busy() {
    local status=0
    for _ in 1 2; do
        sh -c 'while :; do :; done' &
        LOOPS+=($!)
    done
    "$@" || status=$?
    end_loops
    return "$status"
}

# Also when the whole is interrupted, which a shell has its background jobs ignore.
end_loops() {
    [ ${#LOOPS[@]} -eq 0 ] || kill "${LOOPS[@]}" 2>/dev/null || true
    LOOPS=()
}
trap end_loops EXIT
trap 'exit 130' INT TERM

# at MOMENT COMMAND...
at() {
    local moment=$1; shift
    case $moment in
    just-booted) just_booted "$@" ;;
    other-year) at_clock '2031-06-15 12:00:00' "$@" ;;
    spring) TZ=Europe/Berlin at_clock '2030-03-31 01:58:00 CET' "$@" ;;
    autumn) TZ=Europe/Berlin at_clock '2030-10-27 02:58:00 CEST' "$@" ;;
    kathmandu) TZ=Asia/Kathmandu LC_ALL=C "$@" ;;
    busy) busy "$@" ;;
    esac
}

# Prints the time there, or why that moment cannot be had.
possible() {
    case $1 in
    spring | autumn | kathmandu)
        [ -e /usr/share/zoneinfo/Asia/Kathmandu ] || { echo "needs time zones: apt-get install tzdata"; return 1; } ;;
    esac
    at "$1" date
}

failed=()
summary=()
[ $# -gt 0 ] || set -- "${MOMENTS[@]}"
for moment in "$@"; do
    [[ " ${MOMENTS[*]} " == *" $moment "* ]] ||
        { say "unknown moment $moment; use one of: ${MOMENTS[*]}"; exit 64; }
    if ! reason=$(possible "$moment" 2>&1); then
        summary+=("$moment: not possible here: $reason")
        [ -z "${CI:-}" ] || failed+=("$moment")
        continue
    fi
    say "$moment: $reason"
    began=$(date +%s)
    result=passed
    at "$moment" make test || { result=FAILED; failed+=("$moment"); }
    summary+=("$moment: $result in $(($(date +%s) - began)) s")
done
printf '# %s\n' "${summary[@]}"
[ ${#failed[@]} -eq 0 ]
