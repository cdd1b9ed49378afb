#!/usr/bin/env bash
# Proves the Debian package, the Ansible role and the recipe of the container image.
#
#   sudo scripts/test_packages.sh [package | fleet | image] [--package FILE]      default: all three
#
# --package takes what scripts/build_deb.sh has built before, instead of building it first.
# On a bare Debian bookworm, kept in .cache/packages-proof; each part works on a layer above it,
# which it removes. `package` installs, runs, upgrades, removes and purges; `fleet` lets Ansible
# do it for one host, in the same booted system; `image` does what the Dockerfile says, for there
# is no container engine here. One line a claim. Where it cannot run, it says why and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=$PWD/.cache/packages-proof
BASE=$CACHE/bookworm
# shellcheck disable=SC2016  # apt's own placeholders
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian //p' | head -1)}
PACKAGE='' PARTS=()
PASSED=0 FAILED=0 LAYER='' ROOT='' NSPAWN='' LEADER=''

say() { printf '# %s\n' "$*"; }
cannot() { say "not proved here: $*"; exit 0; }
claim() { # TEXT COMMAND…
    local text=$1
    shift
    if "$@" >"$LAYER/claim.log" 2>&1; then
        PASSED=$((PASSED + 1)); printf 'ok - %s\n' "$text"
    else
        FAILED=$((FAILED + 1)); printf 'not ok - %s\n' "$text"; sed 's/^/#   /' "$LAYER/claim.log" | tail -25
        show_journal
    fi
}

parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --package) PACKAGE=${2:?--package needs a file}; shift ;;
        package | fleet | image) PARTS+=("$1") ;;
        *) say "unknown option $1"; exit 64 ;;
        esac
        shift
    done
    [ ${#PARTS[@]} -gt 0 ] || PARTS=(package fleet image)
}

check_machine() {
    local program
    [ "$(id -u)" -eq 0 ] || cannot "this needs root, to boot a system of its own"
    for program in debootstrap systemd-nspawn nsenter dpkg-buildpackage lintian; do
        command -v "$program" >/dev/null || cannot "$program is missing: scripts/setup.sh --deploy"
    done
    [ -n "$MIRROR" ] || cannot "it is not known where Debian's packages are: MIRROR=…"
    unshare --mount --net --pid --fork --uts --ipc true 2>/dev/null || cannot "namespaces are not allowed here"
    [ -x .venv/bin/python ] || cannot "the environment of the tests is missing: make setup-test"
}

make_base() {
    [ ! -e "$BASE/.complete" ] || return 0
    say "making a Debian bookworm in ${BASE#"$PWD"/}"
    rm -rf --one-file-system "$BASE"
    mkdir -p "$BASE"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$BASE" "$MIRROR" >"$BASE.log" ||
        { tail -5 "$BASE.log"; exit 1; }
    touch "$BASE/.complete"
}

make_layer() {
    leave_layer
    LAYER=$(mktemp -d "$THIS_RUN/layer.XXXXXX")
    ROOT=$LAYER/root
    mkdir "$LAYER/changes" "$LAYER/work" "$ROOT"
    mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$LAYER/changes,workdir=$LAYER/work" "$ROOT" 2>/dev/null ||
        { say "no overlays here: copying"; cp -a "$BASE/." "$ROOT/"; }
    # How this system reaches its mirror holds for the one inside, too.
    apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::(Check-|http|https|Retries)' >"$ROOT/etc/apt/apt.conf.d/90proof" || true
    cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/ca-certificates.crt"
}

# Ends what runs in it; what was mounted and written is left to `remove_run`.
leave_layer() {
    [ -z "$NSPAWN" ] || [ -z "${LEADER:-}" ] || cut_power
    NSPAWN=''
}

# From outside the namespace that all mounts were made in, and ended with: there is nothing here
# but plain folders, and whatever is none is left alone.
remove_run() {
    if grep -q " $THIS_RUN" /proc/self/mounts; then say "something is mounted below $THIS_RUN: left as it is"; return; fi
    rm -rf --one-file-system "${THIS_RUN:?}"
}

parse_options "$@"
check_machine
mkdir -p "$CACHE"
if [ -z "${THIS_RUN:-}" ]; then
    make_base
    THIS_RUN=$(mktemp -d "$CACHE/run.XXXXXX")
    trap remove_run EXIT
    THIS_RUN=$THIS_RUN unshare --mount --propagation private "scripts/${0##*/}" "$@"
    exit
fi
# shellcheck source=tests/systemd/container.sh
. tests/systemd/container.sh
# shellcheck source=tests/packages/claims.sh
. tests/packages/claims.sh
trap leave_layer EXIT
if [[ " ${PARTS[*]} " == *" package "* || " ${PARTS[*]} " == *" fleet "* ]]; then
    if [ -z "$PACKAGE" ]; then
        scripts/build_deb.sh
        PACKAGE=$(find dist -name 'edge-detect_*~deb12_'"$(dpkg --print-architecture)"'.deb' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
    fi
    make_layer
    prepare_system
fi
for part in "${PARTS[@]}"; do
    started=$SECONDS
    say "$part"
    "prove_$part"
    say "$part took $((SECONDS - started)) s"
done
say "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
