#!/usr/bin/env bash
# Installs what this project needs, and nothing twice: a second run takes a second.
#
#   scripts/setup.sh                    what `make run` needs: .venv with the package, kernels compiled
#   scripts/setup.sh --test             and what the tests and linters need
#   scripts/setup.sh --deploy           what the tests of installers need, .venv-ansible among it
#   scripts/setup.sh --convert          .venv-convert: TensorFlow, and an OpenCV that reads Darknet
#   scripts/setup.sh --tflite-runtime   .venv-tflite-runtime: the older runtime with numpy < 2
#
# The environments use the system's interpreter: picamera2 and GStreamer exist only there.
# What apt-get and pip print goes to .cache/setup.log, and to the terminal only if they fail.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-/usr/bin/python3}

# The RTSP server: its bindings are packages of the system only.
GSTREAMER=(
    python3-gi python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0
    gstreamer1.0-plugins-{base,good,bad}
)

LOG=.cache/setup.log
TEMPORARY=$(mktemp -d)
trap 'rm -rf "$TEMPORARY"' EXIT
trap interrupted INT TERM

say() { printf '%s\n' "setup: $*" >&2; }

# Packages of the system are not left half installed.
interrupted() {
    say "interrupted; the next run goes on from here"
    [ -z "$(jobs -pr)" ] || { say "waiting for apt-get to end what it has begun"; wait; }
    exit 130
}

# One at a time in this folder. No command inherits the lock: a service that apt-get starts
# would keep it.
take_lock() {
    mkdir -p "${LOG%/*}" 2>/dev/null || true
    [ -w "${LOG%/*}" ] || { say "cannot write to ${LOG%/*}: see whose it is"; exit 73; }
    exec 9>"${LOG%/*}/setup.lock"
    flock --nonblock 9 || {
        say "another set-up is at work here; waiting for it"
        flock --timeout 1800 9 || { say "it has not finished after 30 minutes"; exit 75; }
    }
}

# quietly WHAT COMMAND...: shows what a command printed only if it fails.
quietly() {
    local what=$1 status=0 output; shift
    output=$(mktemp "$TEMPORARY/output.XXXXXX")
    "$@" >"$output" 2>&1 9>&- || status=$?
    { printf '## %s\n' "$what"; cat "$output"; } >>"$LOG"
    if [ "$status" -ne 0 ]; then
        tail -n 25 "$output" >&2
        say "$what failed (exit status $status); all that was printed is in $LOG"
    fi
    return "$status"
}

need_apt() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { say "needs ${missing[*]}: install them as root with apt-get"; exit 72; }
        sudo=(sudo)
    fi
    say "installing packages: ${missing[*]}"
    if [ -z "${APT_UPDATED:-}" ]; then
        quietly "apt-get update" "${sudo[@]}" apt-get update -q
        APT_UPDATED=yes
    fi
    quietly "apt-get install" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# make_venv DIR NAME OPTIONS -- PIP ARGUMENTS: installs again only when pyproject.toml, this
# script or the interpreter changed since, or the last time was interrupted. Compared by content:
# the clock of a Pi may have been wrong at any time.
make_venv() {
    local venv=$1 made=$1/.made stamp=$1/.installed-$2; shift 2
    local options=() state python
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    python=$("$PYTHON" --version)
    state=$({ cat pyproject.toml scripts/setup.sh; echo "$python"; } | sha256sum)
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && return
    if [ ! -e "$made" ] || [ "$(cat "$made")" != "$python" ]; then
        say "creating $venv with $python"
        quietly "creating $venv" "$PYTHON" -m venv --clear "${options[@]}" "$venv" || return
        printf '%s\n' "$python" >"$made"
    fi
    say "installing Python packages into $venv"
    rm -f "$stamp"
    quietly "pip install" "$venv/bin/python" -m pip install --disable-pip-version-check "$@" || return
    printf '%s\n' "$state" >"$stamp"
}

setup_run() {
    need_apt python3-venv ca-certificates
    # The two do not need each other, and wait for the network and the disk in turn.
    need_apt "${GSTREAMER[@]}" &
    local apt=$!
    local status=0
    make_venv .venv run --system-site-packages -- --editable '.[service]' || status=$?
    wait "$apt"
    [ "$status" -eq 0 ] || exit "$status"
    # A Pi takes a minute to compile the kernels; in service it must never have to.
    # On standard error it says so where there is something to compile.
    .venv/bin/edge-detect warmup >/dev/null 9>&-
}

take_lock
case ${1:-} in
'')
    setup_run ;;
--test)
    need_apt ffmpeg chromium gcc libc6-dev e2fsprogs util-linux openssl \
        gstreamer1.0-tools gstreamer1.0-plugins-ugly glib-networking \
        mosquitto mosquitto-clients prometheus
    make_venv .venv test --system-site-packages -- --editable '.[dev]' ;;
--convert)
    make_venv .venv-convert convert -- --editable '.[convert,test]' 'opencv-python-headless>=4.14,<5'
    say "fetching the packages that models are made from"
    quietly "fetching packages" .venv-convert/bin/python scripts/fetch_packages.py ;;
--deploy)
    need_apt systemd-container debootstrap shellcheck lintian dpkg-dev debhelper yamllint man-db \
        qemu-user-static
    make_venv .venv-ansible deploy -- ansible-core ansible-lint ;;
--tflite-runtime)
    if "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
        say "tflite-runtime has no packages for $("$PYTHON" --version); its tests run on Python 3.11"
        exit 0
    fi
    make_venv .venv-tflite-runtime tflite -- --editable '.[tflite-runtime,test]' ;;
*)
    say "unknown option $1"; exit 64 ;;
esac
