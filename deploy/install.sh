#!/usr/bin/env bash
# Installs edge-detect as a service, upgrades it, and takes it away again.
#
#   sudo deploy/install.sh                    from the checkout that this file lies in
#   sudo deploy/install.sh --wheel FILE       from a wheel that was built elsewhere
#   sudo deploy/install.sh --uninstall        keeps configuration and recordings; with --purge not
#   sudo deploy/install.sh --no-start         starts and restarts nothing: for images, and at night
#   deploy/install.sh --dry-run               says what it would do
#
# For 64-bit Raspberry Pi OS and Debian (12, 13) and Ubuntu 24.04; others with --force. A second
# run changes nothing. An upgrade is made beside the version that is running, and undone if it
# does not become ready. Options for pip come from its own configuration and PIP_… variables.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHECKOUT=$(dirname "$HERE")

BASE=/opt/edge-detect
CONFIG=/etc/edge-detect
UNITS=/usr/local/lib/systemd/system
RULES=/etc/udev/rules.d/60-edge-detect.rules
COMMAND=/usr/local/bin/edge-detect
SERVICE=edge-detect.service
# What the environment and its packages take, and what pip needs to unpack them.
NEEDED_MB=1500
# Starting is limited by the units (TimeoutStartSec); this is for what hangs.
READY_S=320
# A service that ends so soon after it said READY was not.
SETTLE_S=8
# What takes longer is stopped; a model takes up to 20 s.
TUNE_S=120
PACKAGES=(
    python3-venv ca-certificates
    python3-gi python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0
    gstreamer1.0-plugins-{base,good,bad}
)
GROUPS_OF_DEVICES=(video render plugdev)

say() { printf 'install: %s\n' "$*"; }
fail() { # STATUS FACT [ACTION]
    printf 'install: %s\n' "$2" >&2
    [ -z "${3:-}" ] || printf '  hint: %s\n' "$3" >&2
    exit "$1"
}
# act "what" COMMAND…: says it, and does it unless this is a dry run.
act() {
    say "$1"
    shift
    [ -n "$DRY" ] || "$@"
}
has_package() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
systemd_runs() { [ -d /run/systemd/system ]; }

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

parse_options() {
    WHEEL='' DRY='' FORCE='' UNINSTALL='' PURGE='' START=yes
    while [ $# -gt 0 ]; do
        case $1 in
        --wheel) WHEEL=${2:?--wheel needs a file}; shift ;;
        --dry-run) DRY=yes ;;
        --force) FORCE=yes ;;
        --no-start) START='' ;;
        --uninstall) UNINSTALL=yes ;;
        --purge) UNINSTALL=yes PURGE=yes ;;
        -h | --help) usage; exit 0 ;;
        *) fail 64 "unknown option $1" "deploy/install.sh --help lists them" ;;
        esac
        shift
    done
    [ -z "$WHEEL" ] || [ -r "$WHEEL" ] || fail 66 "there is no wheel $WHEEL"
}

check_system() {
    local id='' version='' name=''
    # shellcheck disable=SC1091  # a file of the system
    { read -r id; read -r version; read -r name; } < <(. /etc/os-release && printf '%s\n' "${ID:-}" "${VERSION_ID:-}" "${PRETTY_NAME:-this system}")
    case $id:$version in
    debian:12 | debian:13 | raspbian:12 | raspbian:13 | ubuntu:24.04) ;;
    *)
        [ -n "$FORCE" ] || fail 72 "$name is not one of Raspberry Pi OS or Debian 12 and 13, Ubuntu 24.04" \
            "--force installs all the same; Python 3.11 to 3.13 and systemd 252 or later are needed"
        say "$name is not known to work; going on because of --force" ;;
    esac
    case $(uname -m):$(getconf LONG_BIT) in
    x86_64:64 | aarch64:64) ;;
    *) fail 72 "this is a $(uname -m) system with $(getconf LONG_BIT)-bit programs" "install the 64-bit system" ;;
    esac
    say "on $name, $(uname -m)"
    if [ -z "$DRY" ] && [ "$(id -u)" -ne 0 ]; then fail 77 "this needs root" "sudo $0"; fi
    ! has_package edge-detect || fail 69 "edge-detect is installed as a Debian package" \
        "upgrade that one, or remove it first: apt remove edge-detect"
}

only_one_at_a_time() {
    [ -z "$DRY" ] || return 0
    exec 9>/run/edge-detect-install.lock
    flock --nonblock 9 || fail 75 "another installation is going on" "wait for it"
}

install_packages() {
    local package missing=()
    for package in "${PACKAGES[@]}"; do has_package "$package" || missing+=("$package"); done
    if ! has_package python3-picamera2 && apt-cache show python3-picamera2 >/dev/null 2>&1; then
        missing+=(python3-picamera2)
    fi
    [ ${#missing[@]} -gt 0 ] || { say "system packages are there"; return; }
    act "installing ${missing[*]}" apt_install "${missing[@]}"
}

apt_install() {
    # Lists that are too old to be used make apt fail below, with its own words.
    apt-get update -qq || say "the lists of packages could not be renewed; going on with the old ones"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || fail 69 "apt could not install $*"
}

make_groups() {
    local group
    for group in "${GROUPS_OF_DEVICES[@]}"; do
        getent group "$group" >/dev/null || act "making the group $group" groupadd --system "$group"
    done
}

check_python() {
    local version
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        fail 72 "there is no /usr/bin/python3" "apt install python3"
    case $version in
    3.11 | 3.12 | 3.13) ;;
    *) fail 72 "the system's Python is $version, and 3.11 to 3.13 are supported" ;;
    esac
}

build_wheel() {
    [ -z "$WHEEL" ] || return 0
    [ -r "$CHECKOUT/pyproject.toml" ] || fail 66 "this file does not lie in a checkout of edge-detect" "--wheel FILE"
    SCRATCH=$(mktemp -d)
    say "building the wheel from $CHECKOUT"
    /usr/bin/python3 -m venv "$SCRATCH/venv"
    "$SCRATCH/venv/bin/pip" wheel --quiet --disable-pip-version-check --no-deps \
        --wheel-dir "$SCRATCH" "$CHECKOUT" || fail 69 "the wheel could not be built"
    WHEEL=$(echo "$SCRATCH"/*.whl)
}

# Sets VENV: a folder that is named by version and content, so that the same version built anew
# is another one, and the same content is not installed twice.
name_version() {
    local version digest
    version=$(basename "$WHEEL" | cut -d- -f2)
    digest=$({ cat "$WHEEL" "$CHECKOUT"/systemd/*.* "$HERE"/udev/*.rules; echo "$EXTRAS"; } | sha256sum | cut -c1-8)
    VENV=$BASE/venv-$version-$digest
}

check_room() {
    local free_mb
    mkdir -p "$BASE"
    free_mb=$(($(df --output=avail --block-size=1M "$BASE" | tail -1)))
    [ "$free_mb" -ge $NEEDED_MB ] || fail 74 "$BASE has $free_mb MB left, and $NEEDED_MB MB are needed" "make room"
}

install_version() {
    if [ -e "$VENV/.complete" ]; then say "$(basename "$VENV") is installed"; return; fi
    check_room
    # What a power cut has left half done.
    rm -rf "$VENV"
    say "installing $(basename "$VENV") (takes some minutes)"
    /usr/bin/python3 -m venv --system-site-packages "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check "${WHEEL}[$EXTRAS]" ||
        { rm -rf "$VENV"; fail 69 "pip could not install it" "its own words are above"; }
    mkdir -p "$VENV/share/edge-detect"
    cp "$CHECKOUT"/systemd/*.* "$HERE"/udev/60-edge-detect.rules "$VENV/share/edge-detect/"
    say "compiling the kernels (a minute on a Pi)"
    # Into the version's own folders, which the service reads and nobody else writes. Any
    # directory that is set for the one who installs would not be seen by the service.
    env -u NUMBA_CACHE_DIR -u CACHE_DIRECTORY "$VENV/bin/edge-detect" warmup --quiet
    tune
    sync
    touch "$VENV/.complete"
}

# Writes $CONFIG/tuned.json, which all units and users read; nothing depends on it.
tune() {
    if systemd_runs && [ -n "$(running_units)" ]; then
        # Beside a model that runs already, one thread looks best.
        say "numbers of threads are not measured while cameras run; to do it:"
        say "  systemctl stop edge-detect; edge-detect tune; systemctl start edge-detect"
        return
    fi
    say "measuring how many threads are best on this board (up to a minute)"
    env -u EDGE_DETECT_TUNED -u EDGE_DETECT_RUNTIME -u STATE_DIRECTORY \
        timeout $TUNE_S "$VENV/bin/edge-detect" tune >/dev/null ||
        say "that was not found out, and the usual number is taken; later: sudo edge-detect tune"
}

point_to() { # LINK TARGET, at once: there is no moment without
    [ "$(readlink "$1" 2>/dev/null)" != "$2" ] || return 0
    ln -sfn "$2" "$1.new"
    mv -T "$1.new" "$1"
}

# Makes a version the one that is started: its programs, units and rules.
switch_to() {
    local share=$1/share/edge-detect drop_in file
    point_to $BASE/current "$(basename "$1")"
    point_to $BASE/bin current/bin
    mkdir -p $UNITS "$(dirname $COMMAND)"
    # Somebody's own program of this name stays.
    if [ -L $COMMAND ] || [ ! -e $COMMAND ]; then point_to $COMMAND $BASE/bin/edge-detect; fi
    for file in edge-detect.service edge-detect@.service; do
        cmp -s "$share/$file" "$UNITS/$file" || install -m 644 -t $UNITS "$share/$file"
    done
    for drop_in in "$UNITS/edge-detect.service.d" "$UNITS/edge-detect@.service.d"; do
        rm -f "$drop_in/backoff.conf"
        if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 254 ]; then
            install -D -m 644 -t "$drop_in" "$share/backoff.conf"
        fi
    done
    if ! cmp -s "$share/60-edge-detect.rules" $RULES; then
        install -D -m 644 "$share/60-edge-detect.rules" $RULES
        if systemd_runs && [ -S /run/udev/control ]; then
            udevadm control --reload
            udevadm trigger --subsystem-match=usb --subsystem-match=apex --subsystem-match=video4linux --subsystem-match=misc
        fi
    fi
    sync
    ! systemd_runs || systemctl daemon-reload
}

write_config() {
    if [ -e $CONFIG/config.toml ]; then say "$CONFIG/config.toml is left as it is"; return; fi
    act "writing the sample configuration to $CONFIG/config.toml" sample_config
}

sample_config() {
    mkdir -p $CONFIG
    "$VENV/bin/edge-detect" config init $CONFIG/config.toml >/dev/null
}

# The units that are to run: the service, and those of single cameras that were started.
running_units() {
    systemctl list-units --plain --no-legend --state=active,activating,reloading \
        $SERVICE 'edge-detect@*.service' | awk '{ print $1 }'
}

config_of() {
    local name=${1#edge-detect@}
    [ "$1" = $SERVICE ] && name=config
    echo "$CONFIG/${name%.service}.toml"
}

main_pid() { systemctl show --property=MainPID --value "$1"; }

runs_this_version() {
    local pid
    pid=$(main_pid "$1")
    [ "$pid" -gt 0 ] && tr '\0' '\n' <"/proc/$pid/cmdline" | head -1 | grep -q "^$VENV/"
}

becomes_ready() {
    local pid
    timeout $READY_S systemctl restart "$1" || return 1
    pid=$(main_pid "$1")
    sleep $SETTLE_S
    systemctl is-active --quiet "$1" && [ "$(main_pid "$1")" = "$pid" ]
}

# VERSION UNIT: what is wrong with the unit's configuration, if anything, as that version sees it
# with the variables and credentials that the running service has.
check_config() {
    local environment=()
    mapfile -t -d '' environment <"/proc/$(main_pid "$2")/environ" || true
    env -i "${environment[@]}" "$1/bin/edge-detect" config check "$(config_of "$2")" 2>&1
}

# Restarts a unit that ran with another version. Returns 1 if the version is to blame.
upgrade_unit() {
    local unit=$1 old=$2 before wrong
    before=$(systemctl is-active "$unit" || true)
    if runs_this_version "$unit" && [ -z "$UNITS_CHANGED" ]; then say "$unit runs this version"; return 0; fi
    if ! wrong=$(check_config "$VENV" "$unit"); then
        if [ -n "$old" ] && check_config "$old" "$unit" >/dev/null; then
            say "the configuration of $unit was good for the old version and is not for this one:"
            printf '%s\n' "$wrong"
            return 1
        fi
        say "the configuration of $unit has errors, so it goes on as it was until it is restarted:"
        printf '%s\n' "$wrong"
        HELD_BACK=yes
        return 0
    fi
    say "restarting $unit, and waiting until it is ready"
    becomes_ready "$unit" && { say "$unit is ready"; return 0; }
    say "$unit did not become ready; its last words:"
    journalctl --unit "$unit" --lines 15 --no-pager --output cat || true
    [ "$before" = active ] || { say "nor was it before, so this version stays"; return 0; }
    return 1
}

go_back() { # OLD UNIT…
    local old=$1 unit back=yes
    shift
    say "going back to $(basename "$old")"
    switch_to "$old"
    for unit in "$@"; do becomes_ready "$unit" || { say "$unit does not become ready with it either"; back=''; }; done
    rm -rf "$VENV"
    [ -n "$back" ] || fail 70 "the new version does not become ready, and neither does the old one" "journalctl -u $SERVICE"
    fail 70 "the new version did not become ready, and the old one runs again" "see above why, and tell its makers"
}

# Once: who disables the service later means it.
enable() { systemctl enable --quiet $SERVICE && touch $BASE/.enabled; }

start_first() {
    say "starting $SERVICE now and at every boot"
    enable
    [ -z "$START" ] || becomes_ready $SERVICE || {
        journalctl --unit $SERVICE --lines 15 --no-pager --output cat || true
        fail 70 "it is installed, and does not become ready" "see above why; mend $CONFIG/config.toml, then: systemctl restart edge-detect"
    }
}

install_all() {
    local old='' units=() unit
    install_packages
    make_groups
    check_python
    EXTRAS=service
    # The system's modules for it may be built for an older numpy.
    ! has_package python3-picamera2 || EXTRAS=service,picamera2
    if [ -n "$DRY" ]; then dry_rest; return; fi
    build_wheel
    name_version
    install_version
    [ ! -e $BASE/current/.complete ] || old=$(readlink -f $BASE/current)
    [ "$old" != "$VENV" ] || old=''
    write_config
    ! systemd_runs || mapfile -t units < <(running_units)
    UNITS_CHANGED=''
    for unit in edge-detect.service edge-detect@.service; do
        cmp -s "$VENV/share/edge-detect/$unit" "$UNITS/$unit" || UNITS_CHANGED=yes
    done
    say "making $(basename "$VENV") the one that runs"
    switch_to "$VENV"
    finish "$old" "${units[@]}"
}

finish() { # OLD UNIT…
    local old=$1 unit other
    shift
    HELD_BACK=''
    if ! systemd_runs; then
        enable
        say "systemd does not run here: the service starts at the next boot"
        return
    fi
    [ -e $BASE/.enabled ] || { start_first; set --; }
    for unit in "$@"; do
        [ -n "$START" ] || break
        upgrade_unit "$unit" "$old" && continue
        [ -z "$old" ] || go_back "$old" "$@"
        fail 70 "$unit does not become ready" "journalctl -u $unit"
    done
    if [ -z "$HELD_BACK" ] && [ -n "$START" ]; then
        for other in "$BASE"/venv-*; do [ "$other" = "$VENV" ] || rm -rf "$other"; done
    fi
    say "done; see: systemctl status edge-detect, journalctl -fu edge-detect, $CONFIG/config.toml"
}

dry_rest() {
    say "would install ${WHEEL:-the wheel built from $CHECKOUT} to $BASE, compile the kernels, measure threads"
    write_config
    say "would install $UNITS/edge-detect.service, edge-detect@.service, $RULES, and start $SERVICE"
}

uninstall() {
    local unit units=()
    if systemd_runs; then
        mapfile -t units < <(systemctl list-units --all --plain --no-legend 'edge-detect@*.service' | awk '{ print $1 }')
        for unit in $SERVICE "${units[@]}"; do
            act "stopping $unit" stop_for_good "$unit"
        done
    fi
    act "removing units, rules and programs" remove_programs
    if [ -z "$PURGE" ]; then
        say "kept: $CONFIG and /var/lib/edge-detect (--purge removes them, too)"
        return
    fi
    act "removing configuration, recordings and history" remove_data
}

stop_for_good() { systemctl disable --now --quiet "$1" 2>/dev/null || true; }

remove_programs() {
    rm -rf $UNITS/edge-detect{,@}.service{,.d} $RULES $BASE
    [ "$(readlink $COMMAND)" != $BASE/bin/edge-detect ] || rm -f $COMMAND
    rm -f /etc/systemd/system/multi-user.target.wants/edge-detect{,@*}.service
    # With a dynamic user, systemd keeps these under private/, and a link to them.
    rm -rf /var/cache/{,private/}edge-detect{,@*}
    ! systemd_runs || systemctl daemon-reload
    ! systemd_runs || systemctl reset-failed 'edge-detect*' 2>/dev/null || true
}

remove_data() {
    rm -rf $CONFIG /etc/systemd/system/edge-detect{,@}.service.d /var/lib/{,private/}edge-detect{,@*}
}

main() {
    SCRATCH=''
    parse_options "$@"
    trap '[ -z "$SCRATCH" ] || rm -rf "$SCRATCH"' EXIT
    check_system
    only_one_at_a_time
    if [ -n "$UNINSTALL" ]; then uninstall; else install_all; fi
}

main "$@"
