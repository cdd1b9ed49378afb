# shellcheck shell=bash
# Booting, entering and cutting the power of the container in $ROOT. Sourced by test_systemd.sh.

NSPAWN='' LEADER=''

boot() {
    systemd-nspawn -q -D "$ROOT" --register=no --keep-unit --private-network -b \
        >>"$LAYER/console.log" 2>&1 </dev/null &
    NSPAWN=$!
    LEADER=''
    until_true 30 leader_is_there || { tail -5 "$LAYER/console.log"; return 1; }
    until_true 60 has_booted || { inside systemctl --failed; return 1; }
}

leader_is_there() {
    LEADER=$(pgrep -P "$NSPAWN" | head -1)
    [ -n "$LEADER" ] && [ "$(tr '\0' ' ' <"/proc/$LEADER/cmdline" | cut -d' ' -f1 | xargs basename)" != systemd-nspawn ]
}

has_booted() { inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; }

# No warning, no sync: all of its processes are gone at once.
cut_power() {
    kill -9 "$LEADER" "$NSPAWN"
    wait "$NSPAWN" 2>/dev/null || true
    NSPAWN=''
}

# COMMAND… in the container, with its network.
inside() { nsenter -t "$LEADER" -m -u -i -n -p -C -r -w env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }

# COMMAND… in the container, with this machine's network: for apt.
inside_online() { nsenter -t "$LEADER" -m -u -i -p -C -r -w env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PIP_NO_INDEX=1 PIP_FIND_LINKS=/proof/wheels "$@"; }

# COMMAND… of this machine, in the container's network.
on_its_network() { nsenter -t "$LEADER" -n "$@"; }

# SECONDS COMMAND…: whether the command succeeds in time.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

property() { inside systemctl show --property="$2" --value "$1"; }
