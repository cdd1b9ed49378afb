"""The daemon from outside: what systemd hears, reloads, errors, and its end."""

import csv
import json
import signal
from itertools import pairwise

import pytest
from support.daemons import MODEL, count_of, running_daemon
from support.ports import free_port
from support.servers.programs import rtsp_server
from support.waiting import wait_for

CAMERA = "synthetic://?size=320x180&fps=20&realtime=true"


def config_of(*cameras: str, more: str = "") -> str:
    return "\n".join([*cameras, '[logging]\nformat = "json"\ninterval_s = 1', more])


def camera(name: str, source: str = CAMERA, more: str = "") -> str:
    return f'[cameras.{name}]\nsource = "{source}"\nmodel = "{MODEL}"\n{more}\n'


def sequence_of(daemon, name: str) -> int:
    """Frames captured so far."""
    return count_of(daemon.metrics_port, f'frames_total{{camera="{name}",stage="captured"')


@pytest.fixture
def metrics():
    port = free_port()
    return port, f'[metrics]\nlisten = "127.0.0.1:{port}"'


def test_systemd_hears_when_it_is_ready_how_it_is_and_that_it_lives(tmp_path):
    with running_daemon(tmp_path, config_of(camera("yard"))) as daemon:
        daemon.wait_until_ready()
        ready = next(message for message in daemon.messages if "READY" in message)
        assert ready["STATUS"].startswith("yard ")
        wait_for(lambda: len(daemon.heard("WATCHDOG")) >= 4)
        wait_for(lambda: any(" fps " in status for status in daemon.heard("STATUS")))
        daemon.stop()
        assert daemon.heard("STOPPING") == ["1"]
        assert daemon.process.returncode == 0


def test_a_camera_that_is_away_keeps_nobody_from_being_ready(tmp_path):
    away = f"rtsp://127.0.0.1:{free_port()}/live"
    with running_daemon(tmp_path, config_of(camera("yard"), camera("away", away))) as daemon:
        daemon.wait_until_ready()
        ready = next(message for message in daemon.messages if "READY" in message)
        assert "away connecting" in ready["STATUS"]
        assert "nothing listens" in ready["STATUS"]
        wait_for(lambda: len(daemon.heard("WATCHDOG")) >= 4)


def test_a_wrong_file_ends_it_with_78_and_all_errors_at_once(tmp_path):
    wrong = '[cameras.yard]\nsorce = "x"\nthreshold = 7\n'
    with running_daemon(tmp_path, wrong) as daemon:
        assert daemon.process.wait(60) == 78
        assert "READY" not in {key for message in daemon.messages for key in message}
        assert f"{daemon.config}:2: cameras.yard.sorce" in daemon.log
        assert f"{daemon.config}:3: cameras.yard.threshold" in daemon.log


def test_a_reload_leaves_unchanged_cameras_without_a_lost_frame(tmp_path, metrics):
    port, section = metrics
    lines = tmp_path / "kept.jsonl"
    kept = camera("kept", more=f'sinks = ["{lines}"]')
    before = config_of(kept, camera("goes"), camera("changes"), more=section)
    after = config_of(
        kept, camera("changes", more="threshold = 0.9"), camera("comes"), more=section
    )
    with running_daemon(tmp_path, before) as daemon:
        daemon.metrics_port = port
        daemon.wait_until_ready()
        wait_for(lambda: sequence_of(daemon, "kept") > 20)
        daemon.reload(after)
        daemon.wait_until_ready(times=2)
        captured = sequence_of(daemon, "kept")
        wait_for(lambda: sequence_of(daemon, "comes") > 10, 30)
        assert sequence_of(daemon, "changes") < sequence_of(daemon, "kept")
        # Counted by the pipeline that ran before: its counters were not reset, and go on.
        assert sequence_of(daemon, "kept") > captured > 20
        assert daemon.heard("RELOADING") == ["1"]
        assert sequence_of(daemon, "goes") == 0
        dropped = count_of(daemon.metrics_port, 'frames_dropped_total{camera="kept"')
        captured = sequence_of(daemon, "kept")
        daemon.stop()
    sequences = [json.loads(line)["sequence"] for line in lines.read_text().splitlines()]
    # One pipeline from beginning to end: another one would begin at 0.
    assert all(earlier < later for earlier, later in pairwise(sequences))
    # Each frame was detected, or left out because the detector was busy (on a loaded machine).
    assert captured - 5 <= len([each for each in sequences if each < captured]) + dropped
    assert sequences[0] <= 5


def test_an_invalid_file_changes_nothing_and_is_reported(tmp_path, metrics):
    port, section = metrics
    good = config_of(camera("yard"), more=section)
    with running_daemon(tmp_path, good) as daemon:
        daemon.metrics_port = port
        daemon.wait_until_ready()
        daemon.reload(good.replace("source", "sauce"))
        daemon.wait_until_ready(times=2)
        wait_for(lambda: "cameras.yard.sauce" in daemon.log)
        assert "was not applied" in daemon.heard("STATUS")[-1]
        captured = sequence_of(daemon, "yard")
        wait_for(lambda: sequence_of(daemon, "yard") > captured + 10)
        daemon.reload(good)
        daemon.wait_until_ready(times=3)
        wait_for(lambda: "was not applied" not in daemon.heard("STATUS")[-1])


def test_companions_change_on_reload_and_cameras_do_not_notice(tmp_path, metrics):
    port, section = metrics
    other = free_port()
    with running_daemon(tmp_path, config_of(camera("yard"), more=section)) as daemon:
        daemon.metrics_port = port
        daemon.wait_until_ready()
        wait_for(lambda: sequence_of(daemon, "yard") > 10)
        before = sequence_of(daemon, "yard")
        daemon.reload(config_of(camera("yard"), more=section.replace(str(port), str(other))))
        daemon.wait_until_ready(times=2)
        daemon.metrics_port = other
        wait_for(lambda: sequence_of(daemon, "yard") > before)


def test_a_camera_with_a_wrong_password_is_tried_again_while_the_others_work(tmp_path):
    with rtsp_server("--user", "me", "--password", "right") as server:
        locked = f"rtsp://me:wrong@127.0.0.1:{server.port}/live"
        with running_daemon(
            tmp_path, config_of(camera("yard"), camera("locked", locked))
        ) as daemon:
            daemon.wait_until_ready()
            wait_for(lambda: any("locked failed" in each for each in daemon.heard("STATUS")), 30)
            wait_for(lambda: len(daemon.heard("WATCHDOG")) >= 4)
            assert "wrong@" not in daemon.log + str(daemon.messages)


def test_it_ends_by_itself_when_all_sources_have_ended(tmp_path):
    ends = "synthetic://?size=320x180&fps=20&realtime=true&frames=20"
    with running_daemon(tmp_path, config_of(camera("yard", ends))) as daemon:
        assert daemon.process.wait(60) == 0
        assert "all sources have ended" in daemon.log


def test_a_frozen_camera_is_lost_and_comes_back_and_the_history_tells(tmp_path):
    history = "[history]\ninterval_s = 1"
    with rtsp_server("--fps", "20") as server:
        source = f"rtsp://127.0.0.1:{server.port}/live?read_timeout=1"
        with running_daemon(tmp_path, config_of(camera("yard", source), more=history)) as daemon:
            daemon.wait_until_ready()
            server.freeze()
            wait_for(lambda: any("yard lost" in each for each in daemon.heard("STATUS")), 30)
            assert daemon.heard("WATCHDOG")
            server.thaw()
            wait_for(lambda: " fps " in daemon.heard("STATUS")[-1], 40)
            daemon.stop()
        rows = [
            row
            for file in sorted((tmp_path / "state" / "metrics").glob("*.csv"))
            for row in csv.DictReader(file.open())
        ]
    assert any(row["camera"] == "yard" for row in rows)


def test_ctrl_c_is_an_end_like_any_other(tmp_path):
    with running_daemon(tmp_path, config_of(camera("yard"))) as daemon:
        daemon.wait_until_ready()
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(60) == 0


def test_a_section_whose_package_is_missing_is_an_error_that_says_how_to_install_it(tmp_path):
    missing = tmp_path / "missing" / "prometheus_client"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'prometheus_client'\", name=__name__)\n"
    )
    config = config_of(camera("yard"), more=f'[metrics]\nlisten = "127.0.0.1:{free_port()}"')
    with running_daemon(tmp_path, config, {"PYTHONPATH": str(missing.parent)}) as daemon:
        assert daemon.process.wait(60) == 72
        assert "prometheus_client" in daemon.log
        assert "pip install 'edge-detect[" in daemon.log
