#!/usr/bin/env bash
# Proves the service in a real systemd: installed, watched, broken and unplugged.
#
#   sudo scripts/test_systemd.sh [--keep]
#
# It boots a Debian bookworm with systemd-nspawn, installs this checkout with deploy/install.sh
# as a user does, and makes tests/systemd/claims.sh true or not, one line each. The Debian is kept
# in .cache/systemd-proof (1.3 GB), so that the first time takes some minutes longer; each run
# works on a layer above it, which it removes (--keep leaves it, and the container's journal).
# Where it cannot run, it says why and succeeds; with CI set it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=$PWD/.cache/systemd-proof
BASE=$CACHE/bookworm
KEEP=''
[ "${1:-}" != --keep ] || KEEP=yes
# The mirror that this system itself uses, where it is a Debian.
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian //p' | head -1)}
# All but what the installer is to fetch itself, so that this is shown, too.
READY_MADE=(
    python3-gi python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0
    gstreamer1.0-plugins-{base,good,bad}
)

say() { printf '# %s\n' "$*"; }
# A proof that is left out passes for a user, and fails where CI is set.
cannot() { say "not proved here: $*"; [ -z "${CI:-}" ]; exit; }

check_machine() {
    local program
    [ "$(id -u)" -eq 0 ] || cannot "this needs root, to boot a system of its own"
    for program in debootstrap systemd-nspawn nsenter ffmpeg gcc; do
        command -v "$program" >/dev/null || cannot "$program is missing: scripts/setup.sh --deploy"
    done
    [ -n "$MIRROR" ] || cannot "it is not known where Debian's packages are: MIRROR=…"
    unshare --mount --net --pid --fork --uts --ipc true 2>/dev/null || cannot "namespaces are not allowed here"
    [ -x .venv/bin/python ] || cannot "the environment of the tests is missing: make setup-test"
    if [ -z "${IN_PRIVATE_MOUNTS:-}" ]; then
        IN_PRIVATE_MOUNTS=1 exec unshare --mount --propagation private "scripts/${0##*/}" "$@"
    fi
}

make_base() {
    [ ! -e "$BASE/.complete" ] || return 0
    say "making a Debian bookworm in ${BASE#"$PWD"/}"
    rm -rf --one-file-system "$BASE"
    mkdir -p "$BASE"
    debootstrap --variant=minbase --include=ca-certificates,dbus,iproute2,libnss-systemd,python3,systemd,systemd-sysv,udev \
        bookworm "$BASE" "$MIRROR" >"$CACHE/bookworm.log" || { tail -5 "$CACHE/bookworm.log"; exit 1; }
    # How this system reaches its mirror holds for the one inside, too.
    apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::(Check-|http|https|Retries)' >"$BASE/etc/apt/apt.conf.d/90proof" || true
    cp -L /etc/resolv.conf "$BASE/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$BASE/etc/ssl/certs/ca-certificates.crt"
    chroot "$BASE" /bin/sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends ${READY_MADE[*]} && apt-get clean" >>"$CACHE/bookworm.log" 2>&1 ||
        { tail -5 "$CACHE/bookworm.log"; exit 1; }
    # Journals that outlive a power cut, and a name that is not this machine's.
    mkdir -p "$BASE/var/log/journal"
    echo proof >"$BASE/etc/hostname"
    touch "$BASE/.complete"
}

# Wheels come from wherever this machine's pip has them.
make_wheelhouse() {
    local stamp
    stamp=$CACHE/wheels/$(sha256sum pyproject.toml | cut -c1-16)
    [ ! -e "$stamp" ] || return 0
    say "fetching wheels"
    rm -rf "$CACHE/wheels"
    mkdir -p "$CACHE/wheels"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --dest "$CACHE/wheels" \
        '.[service]' 'hatchling>=1.27' 2>"$CACHE/wheels.log" || { tail -5 "$CACHE/wheels.log"; exit 1; }
    rm -f "$CACHE"/wheels/edge_detect-*
    touch "$stamp"
}

# A layer above the Debian: what happens in it leaves the Debian as it was.
make_layer() {
    LAYER=$(mktemp -d "$CACHE/run.XXXXXX")
    ROOT=$LAYER/root
    mkdir "$LAYER/changes" "$LAYER/work" "$ROOT"
    mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$LAYER/changes,workdir=$LAYER/work" "$ROOT" 2>/dev/null ||
        { say "no overlays here: copying"; cp -a "$BASE/." "$ROOT/"; }
    mkdir -p "$ROOT/proof" "$ROOT/root/checkout"
    cp -r "$CACHE/wheels" "$ROOT/proof/wheels"
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --ignore-failed-read -c 2>/dev/null |
        tar -x -C "$ROOT/root/checkout"
}

cleanup() {
    [ -z "${NSPAWN:-}" ] || { kill -9 "$NSPAWN" 2>/dev/null && wait "$NSPAWN" 2>/dev/null; } || true
    # Of this file system alone, whatever may still be mounted there.
    [ -z "${LAYER:-}" ] || [ -n "$KEEP" ] || { umount "$ROOT" 2>/dev/null; rm -rf --one-file-system "${LAYER:?}"; } || true
}

mkdir -p "$CACHE"
check_machine "$@"
make_base
make_wheelhouse
trap cleanup EXIT
make_layer
# shellcheck source=tests/systemd/container.sh
. tests/systemd/container.sh
# shellcheck source=tests/systemd/claims.sh
. tests/systemd/claims.sh
