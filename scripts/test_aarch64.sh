#!/usr/bin/env bash
# Tests the package for 64-bit Raspberry Pis on any x86-64 machine, emulated by QEMU.
#
#   sudo scripts/test_aarch64.sh [PACKAGE]
#
# It makes a Debian arm64 in .cache/aarch64-root, unpacks the arm64 package (built from this
# checkout unless one is given) into it, compiles the kernels there, detects in a frame of the bundled clip, and
# compares with what this machine finds. Needs root, debootstrap, qemu-user-static, a kernel that
# lets namespaces have their own binfmt_misc (Linux 6.7), and 2 GB. It is about twenty times
# slower than a Pi: a proof that everything fits, no measure of speed.
set -euo pipefail
cd "$(dirname "$0")/.."
PACKAGE=${1:-}
ROOT=$PWD/.cache/aarch64-root
# shellcheck disable=SC2016  # apt's own placeholders
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -1)}
QEMU=/usr/bin/qemu-aarch64-static
MODEL=ssdlite-mobilenet-v2-pedestrian
# An executable of 64-bit ARM, whatever its ABI byte: begins like this, and is handed to QEMU.
MAGIC='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

say() { printf '%s\n' "aarch64 test: $*" >&2; }
took() { say "$1 took $((SECONDS - STARTED)) s"; }

[ "$(id -u)" -eq 0 ] || { say "needs root, for debootstrap and chroot"; exit 77; }
[ -n "$MIRROR" ] || { say "say where Debian's packages are: MIRROR=…"; exit 72; }
command -v debootstrap >/dev/null || { say "needs debootstrap: apt install debootstrap"; exit 72; }
[ -x $QEMU ] || { say "needs QEMU: apt install qemu-user-static"; exit 72; }
[ -x .venv/bin/python ] || { say "needs the environment of the tests: make setup-test"; exit 72; }

# emulated SCRIPT: run by the shell in the root, in namespaces of its own, which the emulator is
# registered in and ends with.
# shellcheck disable=SC2016  # for the shell inside
emulated() {
    unshare --user --map-root-user --mount --pid --fork --kill-child /bin/bash -euc '
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
        printf ":aarch64:M::%s:%s:%s:F" "$1" "$2" "$3" >/proc/sys/fs/binfmt_misc/register
        # These few, and not the whole of /dev: nothing in there can do it harm.
        for device in null zero full random urandom; do
            [ -e "$4/dev/$device" ] || : >"$4/dev/$device"
            mount --bind "/dev/$device" "$4/dev/$device"
        done
        mount -t proc proc "$4/proc"
        exec timeout 1800 chroot "$4" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/nonexistent LANG=C.UTF-8 /bin/sh -euc "$5"' \
        emulated "$MAGIC" "$MASK" "$QEMU" "$ROOT" "$1"
}

if [ ! -e "$ROOT/.complete" ]; then
    STARTED=$SECONDS
    say "making a Debian bookworm for arm64 in ${ROOT#"$PWD"/}"
    rm -rf --one-file-system "$ROOT"
    mkdir -p "$ROOT"
    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 \
        bookworm "$ROOT" "$MIRROR" >"$ROOT.log" || { tail -5 "$ROOT.log" >&2; exit 1; }
    # Unpacked, not configured: that would run hundreds of emulated scripts, for nothing here.
    for package in "$ROOT"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$ROOT"; done
    rm -f "$ROOT"/var/cache/apt/archives/*.deb
    mkdir -p "$ROOT"/{dev,proc,tmp}
    touch "$ROOT/.complete"
    took "the Debian"
fi

if [ -z "$PACKAGE" ]; then
    STARTED=$SECONDS
    scripts/build_deb.sh --arch arm64
    PACKAGE=$(find dist -name 'edge-detect_*~deb12_arm64.deb' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
    took "building the package"
fi
say "unpacking $PACKAGE"
rm -rf "$ROOT/usr/lib/edge-detect" "$ROOT/usr/bin/edge-detect"
dpkg-deb -x "$PACKAGE" "$ROOT"
.venv/bin/python tests/aarch64/frame.py "$ROOT/tmp/street.png"

say "$(emulated 'uname -m') $(emulated 'edge-detect --version')"
STARTED=$SECONDS
emulated 'edge-detect warmup --quiet'
took "compiling the kernels"
STARTED=$SECONDS
emulated "edge-detect detect --json --model $MODEL /tmp/street.png" >"$ROOT/tmp/emulated.json"
took "one detection, from the start of the program"
.venv/bin/edge-detect detect --json --model $MODEL "$ROOT/tmp/street.png" >"$ROOT/tmp/here.json"
.venv/bin/python tests/aarch64/compare.py "$ROOT/tmp/here.json" "$ROOT/tmp/emulated.json"

if emulated 'edge-detect doctor --help >/dev/null 2>&1'; then
    STARTED=$SECONDS
    # A root without cameras and GStreamer is rightly found fault with: its words are shown.
    emulated 'edge-detect doctor || true'
    took "the doctor"
fi
say "passed"
