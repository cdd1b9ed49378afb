#!/usr/bin/env bash
# Builds the Debian package: dist/edge-detect_VERSION_ARCH.deb.
#
#   scripts/build_deb.sh                         for this machine's architecture, bookworm
#   scripts/build_deb.sh --arch arm64            for 64-bit Raspberry Pis, from any machine
#   scripts/build_deb.sh --suite trixie          for Debian 13 and its Raspberry Pi OS
#
# The package holds the Python libraries too (compiled for one Python: hence the suite), in the
# versions that the tests of this checkout passed with, so that it installs without a network
# and without pip. They lie in a virtual environment of the system's interpreter below
# /usr/lib/edge-detect: that sees picamera2 and GStreamer, and nothing else sees it.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

say() { printf '%s\n' "deb: $*" >&2; }
usage() { say "$1"; exit 64; }

ARCH=$(dpkg --print-architecture)
SUITE=bookworm
while [ $# -gt 0 ]; do
    case $1 in
    --arch) ARCH=${2:?--arch needs amd64 or arm64}; shift 2 ;;
    --suite) SUITE=${2:?--suite needs bookworm or trixie}; shift 2 ;;
    *) usage "unknown option $1" ;;
    esac
done
case $ARCH in
amd64) MACHINE=x86_64 ;;
arm64) MACHINE=aarch64 ;;
*) usage "no package for $ARCH: use amd64 or arm64" ;;
esac
case $SUITE in
bookworm) PYTHON=3.11 NEXT=3.12 REVISION=deb12 ;;
trixie) PYTHON=3.13 NEXT=3.14 REVISION=deb13 ;;
*) usage "no package for $SUITE: use bookworm or trixie" ;;
esac
for program in dh dpkg-buildpackage; do
    command -v $program >/dev/null || { say "needs $program: apt install debhelper dpkg-dev"; exit 72; }
done
[ -x .venv/bin/python ] || { say "needs the environment of the tests: make setup-test"; exit 72; }

RELEASE=$(.venv/bin/python -c 'import edge_detect; print(edge_detect.__version__)')
VERSION=$RELEASE-1~$REVISION
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
MAINTAINER="${DEBFULLNAME:-edge-detect} <${DEBEMAIL:-edge-detect@packages.invalid}>"
WORK=$PWD/build/deb-$SUITE-$ARCH
TREE=$WORK/tree
LIBRARY=$TREE/usr/lib/edge-detect
SITE=$LIBRARY/lib/python$PYTHON/site-packages

# One at a time in this folder.
mkdir -p build dist
exec 9>"$WORK.lock"
flock --timeout 900 9 || { say "another build goes on in ${WORK#"$PWD"/}"; exit 75; }
rm -rf "$WORK"
mkdir -p "$SITE" "$LIBRARY/bin" "$TREE/etc/edge-detect" "$TREE/usr/bin" \
    "$TREE/usr/lib/udev/rules.d" "$TREE/usr/share/doc/edge-detect/examples"

install_packages() {
    .venv/bin/python -m build --wheel --no-isolation --outdir "$WORK/wheel" . >"$WORK/build.log" 2>&1 ||
        { tail -5 "$WORK/build.log" >&2; return 1; }
    .venv/bin/python -m pip list --local --format=freeze --exclude-editable --exclude edge-detect \
        >"$WORK/versions.txt" 2>>"$WORK/build.log"
    local wheels=("$WORK"/wheel/*.whl) platforms=() tag
    for tag in manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_24 manylinux_2_17 manylinux2014; do
        platforms+=(--platform "${tag}_$MACHINE")
    done
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
        --target "$SITE" --only-binary :all: --implementation cp --python-version "$PYTHON" \
        "${platforms[@]}" --constraint "$WORK/versions.txt" "${wheels[0]}[service,picamera2]" \
        >>"$WORK/build.log" 2>&1 || { tail -20 "$WORK/build.log" >&2; return 1; }
    # Programs of the libraries, their own tests, and what prepares models for the processors of
    # telephones are of no use here.
    rm -rf "${SITE:?}/bin" "$SITE/numba/tests" "$SITE/llvmlite/tests" \
        "$SITE/ai_edge_litert/vendors" "$SITE/ai_edge_litert/tools/apply_plugin_main"
    find "$SITE/numpy" -depth -type d -name tests -exec rm -rf {} +
    # pip notes the folder that it took our wheel from.
    rm -f "$SITE"/edge_detect-*.dist-info/direct_url.json
}

make_environment() {
    printf '%s\n' 'home = /usr/bin' 'include-system-site-packages = true' "version = $PYTHON" \
        >"$LIBRARY/pyvenv.cfg"
    ln -s /usr/bin/python3 "$LIBRARY/bin/python3"
    ln -s python3 "$LIBRARY/bin/python"
    # -s: what a user has installed for himself is not ours. -P: nor is what lies here.
    printf '%s\n' '#!/bin/sh' 'exec /usr/lib/edge-detect/bin/python3 -sP -m edge_detect.app.cli "$@"' \
        >"$LIBRARY/bin/edge-detect"
    chmod 755 "$LIBRARY/bin/edge-detect"
    ln -s ../lib/edge-detect/bin/edge-detect "$TREE/usr/bin/edge-detect"
}

make_debian_folder() {
    local debian=$WORK/debian unit
    mkdir -p "$debian"
    cp deploy/deb/rules deploy/deb/edge-detect.* "$debian/"
    sed -e "s|@MAINTAINER@|$MAINTAINER|" \
        -e "s|@PYTHON_DEPENDS@|python3 (>= $PYTHON), python3 (<< $NEXT)|" \
        deploy/deb/control >"$debian/control"
    sed -i -e "s|@VERSION@|$RELEASE|" -e "s|@DATE@|$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)|" \
        "$debian/edge-detect.1"
    printf '%s\n' edge-detect.1 >"$debian/edge-detect.manpages"
    mv "$debian/edge-detect.1" "$WORK/"
    cat >"$debian/changelog" <<END
edge-detect ($VERSION) $SUITE; urgency=medium

  * Release $RELEASE: CHANGELOG.md says what is new.

 -- $MAINTAINER  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
    python3 scripts/package_copyright.py "$SITE" >"$debian/copyright"
    # The units name the program where deploy/install.sh puts it.
    for unit in edge-detect.service edge-detect@.service; do
        sed 's|/opt/edge-detect/bin/edge-detect|/usr/bin/edge-detect|g' "systemd/$unit" >"$debian/$unit"
    done
    # Bookworm's systemd warns of keys that it does not know.
    [ "$SUITE" = bookworm ] || for unit in edge-detect.service edge-detect@.service; do
        install -D -m 644 -t "$TREE/usr/lib/systemd/system/$unit.d" systemd/backoff.conf
    done
    cp CHANGELOG.md "$WORK/"
}

say "collecting the libraries for Python $PYTHON on $ARCH"
install_packages
make_environment
install -m 644 edge_detect/service/config/sample.toml "$TREE/etc/edge-detect/config.toml"
install -m 644 edge_detect/service/config/sample.toml "$TREE/usr/share/doc/edge-detect/examples/config.toml"
install -m 644 -t "$TREE/usr/lib/udev/rules.d" deploy/udev/*.rules
find "$TREE" -name __pycache__ -type d -prune -exec rm -rf {} +
# Wheels do not agree on who may read and run what.
chmod -R u=rwX,go=rX "$TREE"
find "$SITE" -type f ! -name '*.sh' -exec chmod a-x {} +
make_debian_folder

say "packing"
(cd "$WORK" && dpkg-buildpackage --build=binary --host-arch="$ARCH" --no-sign --no-check-builddeps >>build.log 2>&1) ||
    { tail -20 "$WORK/build.log" >&2; exit 1; }
PACKAGE=edge-detect_${VERSION}_$ARCH.deb
mv "build/$PACKAGE" dist/
rm -f "build/edge-detect_${VERSION}_$ARCH."{buildinfo,changes}
rm -rf "$TREE" "$WORK/debian/edge-detect"
say "dist/$PACKAGE  $(du -h "dist/$PACKAGE" | cut -f1)"
