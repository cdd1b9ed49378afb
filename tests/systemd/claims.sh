# shellcheck shell=bash
# What must be true of the service, each in one line. Sourced by test_systemd.sh.

UNIT=edge-detect.service
CONFIG=$ROOT/etc/edge-detect/config.toml
RECORDINGS=$ROOT/var/lib/private/edge-detect/recordings
STREAM=rtsp://127.0.0.1:8554/yard
PASSED=0 FAILED=0

# claim "what is claimed" COMMAND…
claim() {
    local words=$1
    shift
    if "$@" >"$LAYER/output" 2>&1; then
        PASSED=$((PASSED + 1))
        printf 'ok %d - %s (%d s)\n' $((PASSED + FAILED)) "$words" $SECONDS
    else
        FAILED=$((FAILED + 1))
        printf 'not ok %d - %s (%d s)\n' $((PASSED + FAILED)) "$words" $SECONDS
        tail -15 "$LAYER/output" | cut -c-200 | sed 's/^/#   /'
        return 1
    fi
}

# For what everything else rests on.
give_up() { printf '%d passed, %d failed; the rest was not tried\n' $PASSED $FAILED; exit 1; }

install_sh() { inside_online /root/checkout/deploy/install.sh "$@"; }
main_pid() { property $UNIT MainPID; }
# The number that a process of the container has out here, for signals and nsenter.
outer_pid() {
    local pid
    for pid in $(pgrep -f 'edge-detect run --config'); do
        [ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status")" = "$1" ] &&
            [ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink "/proc/$LEADER/ns/pid")" ] && { echo "$pid"; return 0; }
    done
    return 1
}
is_active() { [ "$(property $UNIT ActiveState)" = active ]; }
is_another() { local now; now=$(main_pid); [ "$now" -gt 0 ] && [ "$now" != "$1" ] && is_active; }
journal_has() { inside journalctl --unit $UNIT --output cat --no-pager | grep -qE "$1"; }
state() { inside systemctl status --no-pager --lines 12 $UNIT || true; }
# What is said of this moment by `mark`, and of all since by `since_mark`.
mark() { MARK=$(inside date '+%Y-%m-%d %H:%M:%S'); }
since_mark() { inside journalctl --unit $UNIT --since "$MARK" --output cat --no-pager; }

# NUMBER of frames that a client must read and decode without an error.
streams() {
    local url=${2:-$STREAM} frames
    frames=$(on_its_network timeout 30 ffprobe -v error -rtsp_transport tcp -i "$url" -read_intervals '%+4' \
        -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0) || return 1
    echo "$frames frames of $url"
    [ "${frames%%[!0-9]*}" -ge "$1" ]
}
streams_again() { until_true 20 streams 20; }

install_as_users_do() {
    install_sh || return 1
    is_active && grep -q '^source = "camera://"' "$CONFIG" && inside systemctl is-enabled $UNIT
}
takes_its_own_config() {
    local before
    before=$(main_pid)
    cp demo/street.mp4 "$ROOT/opt/edge-detect/demo.mp4"
    cp tests/systemd/proof.toml "$CONFIG"
    cp "$CONFIG" "$LAYER/config.good"
    inside systemctl reload $UNIT && streams_again && [ "$(main_pid)" = "$before" ]
}
second_run_changes_nothing() {
    local before after
    before=$(main_pid; inside ls -l --time-style=full-iso /opt/edge-detect /usr/local/lib/systemd/system)
    cp "$CONFIG" "$LAYER/config.before"
    install_sh --wheel "/proof/$(basename "$ROOT"/proof/edge_detect-*.whl)" || return 1
    after=$(main_pid; inside ls -l --time-style=full-iso /opt/edge-detect /usr/local/lib/systemd/system)
    diff <(echo "$before") <(echo "$after") && cmp "$CONFIG" "$LAYER/config.before"
}
unit_files_are_clean() {
    local said
    said=$(inside systemd-analyze verify /usr/local/lib/systemd/system/edge-detect.service edge-detect@yard.service 2>&1) || { echo "$said"; return 1; }
    echo "$said"
    [ -z "$said" ]
}
is_confined() {
    local level
    level=$(inside systemd-analyze security --no-pager $UNIT | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
    EXPOSURE=$level
    echo "exposure $level"
    awk -v level="$level" 'BEGIN { exit !(level > 0 && level <= 2.0) }'
}
compiles_nothing() {
    # What it had to compile would lie in its cache.
    [ -d "$ROOT/var/cache/private/edge-detect" ] || return 1
    ! find "$ROOT/var/cache/private/edge-detect" -name '*.nbc' | grep .
}
says_fps() { property $UNIT StatusText | grep -E 'yard [0-9.]+ fps [0-9]+ ms'; }
is_nobody() {
    local status
    status=/proc/$(outer_pid "$(main_pid)")/status
    grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "$status"
    awk '/^Uid:/ { uid = $2 } /^CapEff:/ { cap = $2 } /^CapBnd:/ { bnd = $2 } /^NoNewPrivs:/ { nnp = $2 } /^Seccomp:/ { sec = $2 }
        END { exit !(uid >= 61184 && uid <= 65519 && cap ~ /^0+$/ && bnd ~ /^0+$/ && nnp == 1 && sec == 2) }' "$status"
}

stops_in_time() {
    local began=${EPOCHREALTIME/./} took_ms
    inside systemctl stop $UNIT || return 1
    took_ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    echo "stopped in $took_ms ms, result $(property $UNIT Result)"
    [ "$took_ms" -lt 5000 ] && [ "$(property $UNIT Result)" = success ] && [ "$(property $UNIT ActiveState)" = inactive ]
}
starts_again() { inside systemctl start $UNIT && is_active; }
restarts_after_kill() {
    local before
    before=$(main_pid)
    inside kill -KILL "$before"
    until_true 40 is_another "$before" || { state; return 1; }
}
restarts_after_stop_signal() {
    local before
    before=$(main_pid)
    mark
    inside kill -STOP "$before"
    until_true 75 is_another "$before" || { state; return 1; }
    inside journalctl --since "$MARK" --no-pager --output cat _PID=1 | grep -E 'Watchdog timeout'
}
hang_the_detector() {
    local before hanger
    before=$(main_pid)
    mark
    python3 tests/systemd/hang_thread.py "$(outer_pid "$before")" edge-detect litert >"$LAYER/hung" 2>&1 &
    hanger=$!
    until_true 100 is_another "$before" || { cat "$LAYER/hung"; state; kill $hanger 2>/dev/null; return 1; }
    wait $hanger || { cat "$LAYER/hung"; return 1; }
    inside journalctl --since "$MARK" --no-pager --output cat _PID=1 | grep 'Watchdog timeout'
}
names_the_stage() { since_mark | grep -E 'no progress: yard: '; }
shows_its_threads() { since_mark | grep -E 'Fatal Python error: Aborted'; }
broken_config_stays_down() {
    local before
    sed -i 's/^source = .*/source = "nonsense:\/\/"\nthreshhold = 3/' "$CONFIG"
    before=$(property $UNIT NRestarts)
    mark
    inside systemctl restart $UNIT && { echo "it started"; return 1; }
    # Longer than the wait before a restart.
    sleep 6
    echo "$(property $UNIT ActiveState) $(property $UNIT ExecMainStatus) restarts $before $(property $UNIT NRestarts)"
    [ "$(property $UNIT ActiveState)" = failed ] && [ "$(property $UNIT ExecMainStatus)" = 78 ] &&
        [ "$(property $UNIT NRestarts)" -eq 0 ]
}
says_what_is_wrong() { since_mark | grep -E 'threshhold' && since_mark | grep -E 'config.toml:[0-9]+|line [0-9]+'; }
mends() { cp "$LAYER/config.good" "$CONFIG"; inside systemctl restart $UNIT; }

# The greatest distance between two frames that a viewer sees, in ms, while COMMAND… is done.
reload_seen_by_a_viewer() {
    local before viewer gap_ms
    before=$(main_pid)
    on_its_network timeout 40 ffprobe -v error -rtsp_transport tcp -i $STREAM -read_intervals '%+12' \
        -select_streams v -show_entries packet=pts_time -of csv=p=0 >"$LAYER/viewer" 2>&1 &
    viewer=$!
    until_true 15 test -s "$LAYER/viewer" || { echo "the viewer sees nothing"; return 1; }
    sed 's/\[cameras.yard\]/[cameras.gate]\nsource = "synthetic:\/\/?size=320x240\&fps=10"\nmodel = "ssdlite-mobilenet-v2-pedestrian"\nsinks = ["rtsp:\/\/:8555\/gate"]\n\n&/' \
        "$LAYER/config.good" >"$CONFIG"
    inside systemctl reload $UNIT || return 1
    wait $viewer || { cat "$LAYER/viewer"; return 1; }
    gap_ms=$(sort -n "$LAYER/viewer" | awk -F, 'NR > 1 { gap = $1 - last; if (gap > most) most = gap } { last = $1 } END { printf "%d", most * 1000 }')
    echo "greatest gap $gap_ms ms in $(wc -l <"$LAYER/viewer") frames"
    [ "$(main_pid)" = "$before" ] && [ "$(wc -l <"$LAYER/viewer")" -ge 100 ] && [ "$gap_ms" -lt 500 ]
}
new_camera_streams() { until_true 20 streams 15 rtsp://127.0.0.1:8555/gate; }
invalid_reload_changes_nothing() {
    local before
    before=$(main_pid)
    mark
    echo 'nonsense = 1' >>"$CONFIG"
    inside systemctl reload $UNIT || true
    until_true 10 was_refused || { since_mark; return 1; }
    [ "$(main_pid)" = "$before" ] && is_active && streams 20 && property $UNIT StatusText | grep -E 'not applied'
}
was_refused() { since_mark | grep -qE 'nonsense'; }

has_fields() {
    inside journalctl --unit $UNIT --output json --no-pager | .venv/bin/python -c '
import json, sys
entries = [json.loads(line) for line in sys.stdin]
own = [e for e in entries if e.get("CAMERA") == "yard"]
assert own, "no entry names its camera"
figures = [e for e in own if any("FPS" in k for k in e)]
print(sorted(figures[-1]) if figures else sorted(own[-1]))
assert figures, "no entry has figures"
assert {e["PRIORITY"] for e in entries} >= {"3", "6"}, "no priorities"
assert all(e.get("SYSLOG_IDENTIFIER") == "edge-detect" for e in own), "no identifier"
'
}
# COMMAND… as the service: its user, groups, mounts and lack of rights.
as_the_service() {
    local pid
    pid=$(outer_pid "$(main_pid)")
    nsenter -t "$pid" -m -p -n -r -w setpriv --reuid "$(stat -c %u "/proc/$pid")" --regid "$(stat -c %g "/proc/$pid")" \
        --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
}
writes_nowhere_else() {
    local places
    # What it can write: tried, for there are many ways to be forbidden.
    places=$(as_the_service find / -path /proc -prune -o -path /sys -prune -o -type d -exec sh -c \
        'for d; do if (: >"$d/.proof") 2>/dev/null; then rm -f "$d/.proof"; echo "$d"; fi; done' sh {} + 2>/dev/null |
        grep -vE '^(/var/(lib|cache)(/private)?/edge-detect|/tmp|/var/tmp)(/|$)')
    echo "$places"
    [ -z "$places" ] && as_the_service touch /var/lib/edge-detect/allowed
}
sees_no_secrets() {
    as_the_service id && ! as_the_service cat /etc/shadow && ! as_the_service ls /root && ! as_the_service ls /home/somebody
}

# A library that stands in for that of Edge TPUs, and a model for it.
uses_an_edge_tpu() {
    local place=/opt/edge-detect/edge-tpu drop_in=$ROOT/run/systemd/system/$UNIT.d
    local model=ssdlite-mobilenet-v2-pedestrian
    mkdir -p "$ROOT$place" "$drop_in"
    .venv/bin/python tests/systemd/edge_tpu.py "$ROOT" "$place" $model || return 1
    printf '[Service]\nEnvironment=EDGE_TPU_STAND_IN=%s/orders\n' $place >"$drop_in/edge-tpu.conf"
    sed "s|^model = .*|model = \"$place/$model.tflite?accelerator=edgetpu\&library=$place/libedgetpu.so.1\"|" \
        "$LAYER/config.good" >"$CONFIG"
    mark
    inside systemctl daemon-reload && inside systemctl restart $UNIT && streams_again && helper_pid
}
helper_pid() { inside pgrep -f models.helper.worker; }
replaces_the_helper() {
    local before pid
    before=$(helper_pid) pid=$(main_pid)
    inside kill -9 "$before" || return 1
    until_true 20 another_helper "$before" || { since_mark; return 1; }
    until_true 10 is_back || { since_mark; return 1; }
    [ "$(main_pid)" = "$pid" ] && streams 20 && since_mark | grep 'cpu takes over'
}
another_helper() { local now; now=$(helper_pid) && [ "$now" != "$1" ]; }
is_back() { since_mark | grep 'edgetpu:usb:0 is back'; }
leaves_no_helper() {
    rm -r "$ROOT/run/systemd/system/$UNIT.d"
    cp "$LAYER/config.good" "$CONFIG"
    inside systemctl daemon-reload && inside systemctl restart $UNIT && ! helper_pid && streams_again
}

after_a_power_cut() {
    KEPT=$(find "$RECORDINGS" -name '*.mp4' | wc -l)
    echo "$KEPT recordings"
    [ "$KEPT" -ge 2 ] || return 1
    find "$RECORDINGS" -name '*.mp4' >"$LAYER/recordings"
    cut_power
    if ! boot || ! until_true 60 is_active; then state; return 1; fi
}
old_recordings_play() {
    local file played=0 empty=0
    while read -r file; do
        # What was cut off before its first second holds a header alone; that may have happened
        # at the kill, the stop, the hang and the power cut.
        if [ "$(stat -c %s "$file")" -lt 2048 ]; then
            empty=$((empty + 1))
            continue
        fi
        ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 "$file" | grep -qE '^[1-9]' ||
            { echo "$file does not play"; return 1; }
        played=$((played + 1))
    done <"$LAYER/recordings"
    echo "$played play, $empty are empty"
    [ $played -ge 2 ] && [ $empty -le 4 ]
}

instance_runs() {
    sed 's/8554/8556/; s/9464/9465/' "$LAYER/config.good" >"$ROOT/etc/edge-detect/second.toml"
    inside systemctl start edge-detect@second.service || { inside systemctl status --no-pager edge-detect@second; return 1; }
    until_true 20 streams 20 rtsp://127.0.0.1:8556/yard && [ -d "$ROOT/var/lib/private/edge-detect@second" ]
}

# VERSION PROGRAM: a wheel of this checkout with that version, and a line of Python at its start.
make_wheel() {
    local source=$LAYER/source
    rm -rf "$source"
    cp -r "$ROOT/root/checkout" "$source"
    sed -i "s/^__version__ = .*/__version__ = \"$1\"/" "$source/edge_detect/__init__.py"
    [ -z "${2:-}" ] || printf '%s\n' "$2" >>"$source/edge_detect/app/run.py"
    .venv/bin/python -m build --wheel --no-isolation --outdir "$ROOT/proof" "$source" >"$LAYER/build.log" 2>&1 ||
        { tail -5 "$LAYER/build.log"; return 1; }
}
runs_version() { inside readlink /opt/edge-detect/current | grep -q "^venv-$1-" && inside tr '\0' ' ' "</proc/1/cmdline" >/dev/null; }
upgrades() {
    make_wheel 99.1 && install_sh --wheel /proof/edge_detect-99.1-py3-none-any.whl || return 1
    inside readlink /opt/edge-detect/current | grep '^venv-99.1-' && is_active && [ "$(inside ls /opt/edge-detect | grep -c ^venv-)" -eq 1 ]
}
goes_back() {
    make_wheel 99.2 'raise SystemExit(3)' || return 1
    install_sh --wheel /proof/edge_detect-99.2-py3-none-any.whl && { echo "it said that all was well"; return 1; }
    inside readlink /opt/edge-detect/current | grep '^venv-99.1-' && is_active && [ "$(inside ls /opt/edge-detect | grep -c ^venv-)" -eq 1 ]
}
does_not_blame_the_version() {
    local before
    before=$(main_pid)
    echo 'nonsense = 1' >>"$CONFIG"
    make_wheel 99.3 && install_sh --wheel /proof/edge_detect-99.3-py3-none-any.whl || return 1
    inside readlink /opt/edge-detect/current | grep '^venv-99.3-' && [ "$(main_pid)" = "$before" ] && is_active && streams 20
}
takes_itself_away() {
    install_sh --uninstall || return 1
    ! inside systemctl cat $UNIT 2>/dev/null && [ ! -e "$ROOT/opt/edge-detect" ] && [ -e "$CONFIG" ] && [ -n "$(ls "$RECORDINGS")" ]
}
takes_everything_away() {
    install_sh --uninstall --purge || return 1
    ! find "$ROOT"/{etc,opt,usr/local,var/lib,var/cache} -name '*edge-detect*' | grep .
}

claim "it boots" boot || give_up
make_wheel "$(sed -n 's/^__version__ = "\(.*\)"/\1/p' edge_detect/__init__.py)"
claim "the installer installs it from the checkout; with the sample configuration and without a camera it becomes ready" install_as_users_do || give_up
claim "a reload makes it serve what the file now says" takes_its_own_config || true
claim "a second run of the installer changes nothing" second_run_changes_nothing || true
claim "systemd-analyze verify finds nothing to say about the units" unit_files_are_clean || true
claim "systemd-analyze security puts it at 2.0 or less" is_confined || true
claim "it runs as a user of its own without capabilities or new privileges, behind a filter of system calls" is_nobody || true
claim "no kernel had to be compiled by the service" compiles_nothing || true
claim "a client reads its RTSP stream" streams 20 || true
claim "its status tells fps and latency" until_true 10 says_fps || true
claim "it can write nowhere but in its own directories" writes_nowhere_else || true
claim "it cannot read passwords and home directories" sees_no_secrets || true
claim "a client of an unchanged camera goes on, without a gap of half a second, while another is added by reload" reload_seen_by_a_viewer || true
claim "the added camera streams" new_camera_streams || true
claim "an invalid file changes nothing at reload, and is reported" invalid_reload_changes_nothing || true
claim "the journal has cameras, figures and priorities as fields" until_true 20 has_fields || true
cp "$LAYER/config.good" "$CONFIG"
claim "it stops within 5 s, by itself" stops_in_time || true
claim "it starts again" starts_again || true
claim "a model runs on an Edge TPU, in a process of its own within the confinement" uses_an_edge_tpu || true
claim "with that process killed, the CPU takes over until there is another one" replaces_the_helper || true
claim "nothing of it is left after a restart without it" leaves_no_helper || true
claim "killed by SIGKILL, it is restarted" restarts_after_kill || true
claim "and streams" streams_again || true
claim "stopped by SIGSTOP, it is restarted by the watchdog" restarts_after_stop_signal || true
claim "and streams" streams_again || true
claim "with a detector thread that hangs, it is restarted by the watchdog" hang_the_detector || true
claim "the journal says which stage hung" names_the_stage || true
claim "the journal shows where each thread stood" shows_its_threads || true
claim "and streams" streams_again || true
claim "a broken configuration ends it with status 78, and it is not restarted" broken_config_stays_down || true
claim "the journal says what is wrong, and where" says_what_is_wrong || true
claim "with the configuration mended, it starts" mends || true
claim "after a power cut it starts by itself" after_a_power_cut || true
claim "and streams" streams_again || true
claim "recordings from before the power cut play" old_recordings_play || true
claim "edge-detect@NAME runs beside it, with directories of its own" instance_runs || true
claim "an upgrade becomes ready, and the old version goes" upgrades || true
claim "a new version that does not start is undone, and the old one runs" goes_back || true
claim "a broken configuration is not blamed on a new version, and the running one goes on" does_not_blame_the_version || true
claim "uninstalling keeps configuration and recordings" takes_itself_away || true
claim "purging leaves nothing" takes_everything_away || true
printf '%d passed, %d failed, in %d s; exposure %s\n' $PASSED $FAILED $SECONDS "${EXPOSURE:-unknown}"
[ $FAILED -eq 0 ]
