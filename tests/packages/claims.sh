# shellcheck shell=bash
# What is to be shown of the package, the role and the image. Sourced by test_packages.sh.

CONFIGURED='[cameras.test]
source = "synthetic://?size=640x360&fps=10"
model = "ssdlite-mobilenet-v2-pedestrian"
sinks = ["rtsp://:8554/test"]

[metrics]
listen = "127.0.0.1:9464"'

apt_inside() { chroot "$ROOT" /usr/bin/env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# As a Pi is: a system that boots, without anything of ours.
prepare_system() {
    say "making it a system that boots"
    mount -t proc proc "$ROOT/proc"
    {
        apt_inside update
        apt_inside install --no-install-recommends dbus libnss-systemd python3 systemd systemd-sysv udev
    } >"$LAYER/apt.log" 2>&1 || { tail -5 "$LAYER/apt.log"; exit 1; }
    umount "$ROOT/proc"
    cp "$PACKAGE" "$ROOT/root/edge-detect.deb"
    .venv/bin/python tests/aarch64/frame.py "$ROOT/root/street.png"
    chmod 755 "$ROOT/root"
    # Both networks: this machine's for apt (inside_online), and one of its own for the rest.
    boot || { say "the system does not boot"; exit 1; }
}

install_package() { inside_online env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /root/edge-detect.deb; }
remove_package() { inside env DEBIAN_FRONTEND=noninteractive apt-get "$1" -y -qq edge-detect; }

prove_package() {
    local pid
    claim "lintian finds no error in the package" timeout 900 lintian --fail-on error "$PACKAGE"
    claim "apt installs the package with what it needs from Debian" install_package
    claim "dpkg finds nothing changed or missing in it" inside dpkg --verify edge-detect
    claim "it was not started, for it is not configured yet" not_started
    claim "it will be started at every boot" inside systemctl is-enabled --quiet edge-detect
    claim "no kernel is left to be compiled" kernels_are_compiled
    claim "any user detects in a photo" detects_in_photo
    claim "the man page is there" inside test -s /usr/share/man/man1/edge-detect.1.gz
    claim "the configuration of the sample is valid" inside edge-detect config check
    configure
    claim "once configured, it starts and says that it is ready" inside systemctl start edge-detect
    claim "its figures are served" until_true 60 serves_figures
    claim "a changed configuration is applied" inside systemctl reload edge-detect
    pid=$(property edge-detect MainPID)
    claim "installing it again keeps the configuration" upgrade_keeps_configuration
    claim "and restarts what was running" was_restarted "$pid"
    claim "it is removed" remove_package remove
    claim "nothing of it runs any more" has_ended
    claim "nothing but the configuration and the data is left" left_behind_by_remove
    claim "it is purged" remove_package purge
    claim "nothing at all is left" left_behind_by_purge
}

not_started() { [ "$(property edge-detect ActiveState)" = inactive ] && inside systemctl --failed --quiet; }
kernels_are_compiled() {
    inside setpriv --reuid nobody --clear-groups /usr/lib/edge-detect/bin/python3 -c \
        'import sys; from edge_detect.kernels import uncompiled; left = uncompiled(); print(left); sys.exit(bool(left))'
}
detects_in_photo() {
    inside setpriv --reuid nobody --clear-groups edge-detect detect --json \
        --model ssdlite-mobilenet-v2-pedestrian /root/street.png | tee /dev/stderr | grep -q '"label": "person"'
}
configure() { printf '%s\n' "$CONFIGURED" >"$ROOT/etc/edge-detect/config.toml"; }
serves_figures() { inside python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:9464/metrics", timeout=5).status)'; }
upgrade_keeps_configuration() {
    inside env DEBIAN_FRONTEND=noninteractive dpkg -i /root/edge-detect.deb &&
        [ "$(cat "$ROOT/etc/edge-detect/config.toml")" = "$CONFIGURED" ]
}
was_restarted() { [ "$(property edge-detect MainPID)" != "$1" ] && until_true 60 inside systemctl is-active --quiet edge-detect; }
has_ended() { ! inside pgrep -f /usr/lib/edge-detect/; }
left_behind() {
    inside find / -xdev -name '*edge-detect*' -not -path '/proc/*' -not -path '/root/*' -not -path '/tmp/*' \
        -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/var/cache/apt/*' "$@"
}
left_behind_by_remove() {
    local left
    left=$(left_behind -not -path '/etc/edge-detect*' -not -path '/var/lib/private/edge-detect*' -not -path '/var/lib/edge-detect' \
        -not -path '/var/cache/private/edge-detect*' -not -path '/var/cache/edge-detect' -not -path '/var/lib/systemd/*' \
        -not -path '/etc/systemd/*')
    echo "$left"
    [ -z "$left" ] && inside test -e /etc/edge-detect/config.toml
}
left_behind_by_purge() {
    local left
    left=$(left_behind)
    echo "$left"
    [ -z "$left" ]
}

# What the service in the container, if there is one, has said last.
show_journal() {
    [ -n "$NSPAWN" ] || return 0
    inside journalctl --unit=edge-detect --lines=25 --no-pager --output=short 2>&1 | sed 's/^/#   journal: /' || true
}

# In the container's own network, where the service listens: what apt needs has been fetched. What
# does not end in time has hung.
ansible() {
    inside timeout --kill-after=10 600 env HOME=/root LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 PYTHONPATH=/root/ansible \
        ANSIBLE_CONFIG=/root/checkout/deploy/ansible/ansible.cfg \
        /usr/bin/python3 -m ansible playbook -c local -i /root/inventory.yml \
        /root/checkout/deploy/ansible/site.yml
}

# The machine configures itself, as a host of the fleet and as its Prometheus.
prove_fleet() {
    local failed=$FAILED pid
    if [ ! -x .venv-ansible/bin/ansible-playbook ]; then
        say "Ansible is missing: scripts/setup.sh --deploy"; FAILED=$((FAILED + 1)); return
    fi
    mkdir -p "$ROOT/root/checkout/dist" "$ROOT/root/ansible"
    cp -r deploy "$ROOT/root/checkout/"
    cp "$PACKAGE" "$ROOT/root/checkout/dist/"
    cp -r .venv-ansible/lib/python3*/site-packages/. "$ROOT/root/ansible/"
    inside_online env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-apt prometheus \
        >"$LAYER/apt.log" 2>&1 || tail -5 "$LAYER/apt.log"
    claim "what the package needs from Debian is fetched for a machine without a network" fetch_for_package
    cp tests/packages/inventory.yml "$ROOT/root/inventory.yml"
    claim "Ansible makes a bare system a running camera" ansible
    [ "$FAILED" -eq "$failed" ] || { say "all else about the fleet rests on that"; return; }
    claim "the service runs" inside systemctl is-active edge-detect
    claim "the secret is a credential that only root and the service can read" secret_is_kept
    claim "Prometheus is told of the machine" grep -q 192.0.2.7:9464 "$ROOT/etc/prometheus/edge-detect-targets.json"
    claim "a second run changes nothing" changes_nothing
    pid=$(property edge-detect MainPID)
    sed -i 's/interval_s: 60/interval_s: 30/' "$ROOT/root/inventory.yml"
    claim "a change of the configuration is applied" applies_change "$(reloads)"
    claim "without a restart" test "$(property edge-detect MainPID)" = "$pid"
    sed -i 's/interval_s: 30/interval_s: -1/' "$ROOT/root/inventory.yml"
    claim "a configuration with an error is refused" refuses
    claim "and what runs goes on" test "$(property edge-detect MainPID)" = "$pid"
}

fetch_for_package() {
    inside_online env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --download-only /root/edge-detect.deb
}
applies_change() { ansible && until_true 20 has_reloaded_since "$1"; }
has_reloaded_since() { [ "$(reloads)" -gt "$1" ]; }
reloads() { inside journalctl --unit=edge-detect --output=cat --no-pager | grep -c 'configuration applied anew'; }
changes_nothing() { ansible | tee /dev/stderr | grep -q 'changed=0 .*failed=0'; }
refuses() {
    ! ansible >"$LAYER/refused.log" 2>&1 && cat "$LAYER/refused.log" &&
        grep -q 'history.interval_s: must be at least 1' "$LAYER/refused.log" &&
        grep -qx '"interval_s" = 30' "$ROOT/etc/edge-detect/config.toml"
}
secret_is_kept() {
    ! grep -rq 'a-password-for-tests' "$ROOT/etc/edge-detect/config.toml" "$ROOT/etc/systemd/system" &&
        [ "$(inside stat -c '%U %a' /etc/edge-detect/secrets)" = 'root 700' ] &&
        [ "$(inside stat -c '%U %a' /etc/edge-detect/secrets/mqtt-password)" = 'root 600' ] &&
        # `show` calls it unprintable.
        inside systemctl cat edge-detect | grep -x 'LoadCredential=mqtt-password:/etc/edge-detect/secrets/mqtt-password' &&
        [ "$(inside stat -c '%U %a' /run/credentials/edge-detect.service/mqtt-password | tee /dev/stderr)" = 'edge-detect 400' ] &&
        [ "$(inside cat /run/credentials/edge-detect.service/mqtt-password)" = a-password-for-tests ] &&
        ! inside setpriv --reuid nobody --clear-groups cat /run/credentials/edge-detect.service/mqtt-password
}

prove_image() {
    make_layer
    claim "every step of the Dockerfile succeeds" .venv/bin/python tests/packages/run_dockerfile.py \
        deploy/docker/Dockerfile "$ROOT" "$LAYER"
}
