#!/usr/bin/env bash
# Tests the CSI camera with the real picamera2, on libcamera's virtual camera.
#
#   sudo scripts/test_picamera2_chroot.sh
#
# It makes a Debian trixie in .cache/picamera2-chroot, which has libcamera with that camera;
# installs picamera2 and this project's wheel into it; and compares the imitation in
# tests/fakes/picamera2 with the original. Needs root, debootstrap, a network and 2 GB; takes
# some minutes the first time and half a minute later. Mounts are private, and end with it.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD/.cache/picamera2-chroot
# The mirror that this system itself uses, where it is a Debian.
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -1)}
PICAMERA2=picamera2==0.3.38
IN=/opt/edge-detect

say() { printf '%s\n' "picamera2 test: $*" >&2; }

[ "$(id -u)" -eq 0 ] || { say "needs root, for debootstrap and chroot"; exit 77; }
[ -n "$MIRROR" ] || { say "say where Debian's packages are: MIRROR=…"; exit 72; }
command -v debootstrap >/dev/null || { say "needs debootstrap: apt install debootstrap"; exit 72; }
[ -x .venv/bin/python ] || { say "needs the environment of the tests: make setup-test"; exit 72; }
if [ -z "${IN_PRIVATE_MOUNTS:-}" ]; then
    IN_PRIVATE_MOUNTS=1 exec unshare --mount --propagation private "scripts/${0##*/}" "$@"
fi

if [ ! -e "$ROOT/.complete" ]; then
    say "making a Debian trixie in ${ROOT#"$PWD"/}"
    rm -rf --one-file-system "$ROOT"
    mkdir -p "$ROOT"
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,libcap-dev,libcamera-ipa,python3-dev,python3-libcamera,python3-pip,python3-prctl,python3-venv \
        trixie "$ROOT" "$MIRROR" >"$ROOT.log" || { tail -5 "$ROOT.log" >&2; exit 1; }
    touch "$ROOT/.complete"
fi
mount --bind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/ca-certificates.crt"

say "installing picamera2 and this project's wheel"
rm -rf --one-file-system "${ROOT:?}$IN"
mkdir -p "$ROOT$IN"
.venv/bin/python -m build --wheel --no-isolation --outdir "$ROOT$IN" . >"$ROOT.log" 2>&1 ||
    { tail -5 "$ROOT.log" >&2; exit 1; }
cp -r tests/fakes tests/chroot "$ROOT$IN/"
# Folders of packages on this machine are not in there.
unset PIP_FIND_LINKS
inside() { chroot "$ROOT" "$@"; }
[ -x "$ROOT/opt/venv/bin/python" ] || inside python3 -m venv --system-site-packages /opt/venv
inside /bin/sh -c "/opt/venv/bin/pip install --quiet --disable-pip-version-check $PICAMERA2 $IN/*.whl &&
    /opt/venv/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $IN/*.whl"
inside gcc -shared -fPIC -O1 -Wall -Wextra -Werror -o $IN/dma_heap.so $IN/fakes/dma_heap/dma_heap.c

# PYTHON PROGRAM in the chroot with stand-ins for what its kernel has not.
# The virtual camera of libcamera 0.4 never sets the status of its buffers; memory that begins
# as zeros makes it "success".
camera() {
    inside /usr/bin/env PYTHONPATH="$IN/chroot${EXTRA_PATH:+:$EXTRA_PATH}" LD_PRELOAD=$IN/dma_heap.so \
        GLIBC_TUNABLES=glibc.malloc.perturb=255:glibc.malloc.tcache_count=0 \
        timeout 300 /opt/venv/bin/python "$@"
}

say "comparing the imitation with the original"
EXTRA_PATH=$IN/fakes/picamera2 camera $IN/chroot/signatures.py >"$ROOT$IN/imitation.json"
camera $IN/chroot/signatures.py $IN/imitation.json >"$ROOT$IN/original.json"
diff "$ROOT$IN/imitation.json" "$ROOT$IN/original.json" >&2 || { say "they differ"; exit 1; }

say "capturing"
camera $IN/chroot/virtual_camera.py $IN/pictures /usr/share/libcamera/pipeline/virtual/virtual.yaml
say "passed"
