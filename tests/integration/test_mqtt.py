"""The companion with a real broker, and a second client that sees what everybody is told."""

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from daemons import MODEL, running_daemon
from mqtt_watcher import watch
from servers.broker import make_certificates, mqtt_broker
from servers.programs import silent_port
from service_views import PlainCamera, PlainService, a_status
from waiting import wait_for

from edge_detect.core import (
    NS_PER_S,
    ConfigError,
    Detections,
    Frame,
    Result,
    Timings,
    bundled_path,
    monotonic_ns,
)
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings, MqttSettings, ZoneSettings
from edge_detect.service.mqtt import MqttCompanion

BASE = "edge-detect/pi"
YARD = f"{BASE}/camera/yard"
LABELS = ("person", "car")
HALF = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
IMAGE = np.zeros((48, 64, 3), np.uint8)


def camera_called(name="yard", **keys):
    return PlainCamera(
        name,
        CameraSettings(source="x", classes=("person",), zones={"gate": ZoneSettings(polygon=HALF)}),
        zones=("gate",),
        picture=b"\xff\xd8 a picture of " + name.encode(),
        **keys,
    )


@contextmanager
def companion_of(port, cameras=(), **keys):
    options = {"node": "pi", "keepalive_s": 30, "user": "", "password": ""} | keys
    companion = MqttCompanion(MqttSettings(host="127.0.0.1", port=port, **options))
    companion.service = PlainService(list(cameras))
    try:
        companion.start(companion.service)
        for camera in cameras:
            companion.add_camera(camera)
        yield companion
    finally:
        companion.stop()
        wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("edge-mqtt")])
        assert companion.trouble() == ""


class Show:
    """Gives a camera's sinks results, ten a second of the frames' time and at once of ours."""

    def __init__(self, camera):
        self._camera = camera
        self._next_ns = monotonic_ns() - 2 * NS_PER_S

    def give(self, results, *boxes, zone=False):
        for _ in range(results):
            self._next_ns += NS_PER_S // 10
            n = len(boxes)
            found = Detections(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.full(n, 0.8, np.float32),
                np.zeros(n, np.int32),
                LABELS,
                ("gate",),
                np.full((n, 1), zone),
            )
            frame = Frame(IMAGE, self._next_ns, 0, "test", 0)
            for sink in self._camera.sinks:
                sink.write_result(Result(frame, found, Timings()))

    def visit(self):
        """Somebody comes and goes, within ten seconds of frames."""
        self.give(7, (10, 10, 30, 40))
        self.give(35)


def test_a_visit_is_told_once_with_all_there_is_to_know(tmp_path) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera]),
    ):
        watcher.wait(f"{YARD}/availability", b"online")
        watcher.wait(f"{YARD}/occupancy/gate/person", b"0")
        show = Show(camera)
        show.give(7, (16, 12, 32, 36), zone=True)
        for place in ("all/person", "all/all", "gate/person", "gate/all"):
            watcher.wait(f"{YARD}/occupancy/{place}", b"1")
        watcher.wait(f"{YARD}/snapshot", camera.picture)
        show.give(35)
        wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 2)
        appear, leave = watcher.all_json(f"{YARD}/event")
        assert (appear["event_type"], leave["event_type"]) == ("appear", "leave")
        assert appear["id"] == leave["id"]
        assert appear["class"] == "person"
        assert appear["camera"] == "yard"
        assert appear["box"] == [0.25, 0.25, 0.5, 0.75]
        assert appear["zones"] == leave["zones"] == ["gate"]
        assert appear["ended"] is None
        assert leave["duration_s"] == 0.6
        assert leave["reason"] == "out of sight"
        assert leave["ended"] > leave["began"]
        # Numbers shrink when that has lasted.
        watcher.wait(f"{YARD}/occupancy/all/person", b"0")


def test_who_subscribes_late_learns_how_everything_stands(tmp_path) -> None:
    camera = camera_called()
    with mqtt_broker(tmp_path) as broker, companion_of(broker.port, [camera]) as companion:
        wait_for(lambda: companion.connected)
        Show(camera).give(7, (10, 10, 30, 40))
        with watch(broker.port) as watcher:
            for topic, payload in (
                (f"{BASE}/status", b"online"),
                (f"{YARD}/availability", b"online"),
                (f"{YARD}/enable", b"ON"),
                (f"{YARD}/occupancy/all/person", b"1"),
                (f"{YARD}/occupancy/gate/person", b"0"),
                (f"{YARD}/snapshot", camera.picture),
            ):
                watcher.wait(topic, payload)
            wait_for(lambda: watcher.json(f"{BASE}/state"))
            assert watcher.json(f"{YARD}/state")["fps"]["captured"] == 30.0
            assert watcher.json(f"{BASE}/state")["cameras"] == ["yard"]


def test_a_killed_program_is_offline_by_its_last_will(tmp_path) -> None:
    with mqtt_broker(tmp_path) as broker, watch(broker.port) as watcher:
        script = (
            "import sys, time\n"
            "from edge_detect.service.config.settings import MqttSettings\n"
            "from edge_detect.service.mqtt import MqttCompanion\n"
            "from service_views import PlainService\n"
            "settings = MqttSettings(host='127.0.0.1', port=int(sys.argv[1]), node='pi')\n"
            "MqttCompanion(settings).start(PlainService())\n"
            "sys.stdin.read()\n"
        )
        tests = Path(__file__).parents[1]
        with subprocess.Popen(
            [sys.executable, "-c", script, str(broker.port)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
        ) as program:
            try:
                watcher.wait(f"{BASE}/status", b"online", 30)
                program.send_signal(signal.SIGKILL)
                watcher.wait(f"{BASE}/status", b"offline")
            finally:
                program.kill()


def test_the_end_is_told_and_comes_soon(tmp_path) -> None:
    camera = camera_called()
    with mqtt_broker(tmp_path) as broker, watch(broker.port) as watcher:
        with companion_of(broker.port, [camera]) as companion:
            wait_for(lambda: companion.connected)
            Show(camera).give(7, (10, 10, 30, 40))
            companion.stop()
            watcher.wait(f"{BASE}/status", b"offline")
            companion.stop()
        assert [e["event_type"] for e in watcher.all_json(f"{YARD}/event")] == ["appear", "leave"]
        assert watcher.all_json(f"{YARD}/event")[1]["reason"] == "the program has ended"
        assert watcher.newest[f"{YARD}/occupancy/all/person"] == b"0"
        assert watcher.newest[f"{YARD}/availability"] == b"offline"
        # Home Assistant is to know its devices after a restart.
        assert watcher.newest["homeassistant/switch/edge-detect_pi/yard_enable/config"]
        assert camera.sinks == []


def test_a_broker_that_comes_back_gets_the_state_and_the_newest_events_in_order(
    tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        companion_of(broker.port, [camera], queue=6) as companion,
    ):
        with watch(broker.port) as watcher:
            wait_for(lambda: watcher.newest.get(f"{BASE}/state"))
        broker.kill()
        wait_for(lambda: not companion.connected)
        show = Show(camera)
        for _ in range(10):
            show.visit()
        assert companion.events_lost == 14
        camera.set_enabled(enabled=False)
        broker.start()
        with watch(broker.port) as watcher:
            wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 6)
            events = watcher.all_json(f"{YARD}/event")
            assert [event["id"].rpartition("-")[2] for event in events] == [
                "8", "8", "9", "9", "10", "10",
            ]  # fmt: skip
            watcher.wait(f"{YARD}/enable", b"OFF")
            watcher.wait(f"{BASE}/status", b"online")
            wait_for(lambda: f"{YARD}/snapshot" in watcher.newest)
            # The broker has lost its memory: what has not changed is told as well.
            wait_for(
                lambda: "homeassistant/image/edge-detect_pi/yard_snapshot/config" in watcher.newest
            )
    said = [record.getMessage() for record in caplog.records]
    assert sum("connected as" in line for line in said) == 2
    assert any("14 events were lost meanwhile" in line for line in said)
    assert sum("nothing listens there" in line for line in said) <= 1


def test_events_without_a_broker_from_the_start_are_kept_for_it(tmp_path) -> None:
    camera = camera_called()
    with mqtt_broker(tmp_path) as broker:
        broker.kill()
        with companion_of(broker.port, [camera]) as companion:
            Show(camera).visit()
            assert not companion.connected
            broker.start()
            with watch(broker.port) as watcher:
                wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 2)


def test_a_frozen_broker_stops_nothing_and_is_noticed(tmp_path, caplog) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        companion_of(broker.port, [camera], queue=50, keepalive_s=1) as companion,
    ):
        wait_for(lambda: companion.connected)
        broker.freeze()
        show = Show(camera)
        # All of it is taken while the broker takes nothing: were anything waiting for it, this
        # would not end before the broker is let go.
        for _ in range(200):
            show.visit()
        assert companion.events_lost > 0
        wait_for(lambda: not companion.connected)
        broker.thaw()
        with watch(broker.port) as watcher:
            wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) >= 50)
            # The newest is the last of all that has happened.
            wait_for(lambda: watcher.all_json(f"{YARD}/event")[-1]["id"].endswith("-200"))
            assert watcher.all_json(f"{YARD}/event")[-1]["event_type"] == "leave"
    assert "it has fallen silent" in caplog.text


def test_the_end_does_not_wait_for_a_frozen_broker(tmp_path) -> None:
    with mqtt_broker(tmp_path) as broker:
        with companion_of(broker.port, [camera_called()]) as companion:
            wait_for(lambda: companion.connected)
            broker.freeze()
            # The broker is still frozen when this returns.
            companion.stop()
        broker.thaw()
        with watch(broker.port) as watcher:
            watcher.wait(f"{BASE}/status", b"offline")


def test_a_wrong_password_is_said_once_tried_on_and_never_told(tmp_path, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        mqtt_broker(tmp_path, ("pi", "right-one")) as broker,
        companion_of(broker.port, user="pi", password="wrong-one") as companion,  # noqa: S106
    ):
        wait_for(lambda: broker.log.count("not authorised") >= 3)
        assert not companion.connected
    said = [record.getMessage() for record in caplog.records]
    assert sum("refused" in line for line in said) == 1
    assert any("see user and password in [mqtt]" in line for line in said)
    assert "wrong-one" not in caplog.text


def test_the_right_password_is_let_in(tmp_path) -> None:
    login = ("pi", "right-one")
    with (
        mqtt_broker(tmp_path, login) as broker,
        watch(broker.port, login) as watcher,
        companion_of(broker.port, user=login[0], password=login[1]),
    ):
        watcher.wait(f"{BASE}/status", b"online")


def test_tls_with_an_authority_and_a_certificate_of_ones_own(tmp_path) -> None:
    own = make_certificates(tmp_path / "own", "our authority")
    files = {"tls_ca": str(own.authority), "tls_cert": str(own.certificate)}
    with (
        mqtt_broker(tmp_path, tls=own, require_certificate=True) as broker,
        companion_of(broker.port, tls=True, tls_key=str(own.key), **files) as companion,
    ):
        wait_for(lambda: companion.connected)


@pytest.mark.parametrize("system_authorities", [True, False])
def test_a_broker_that_shows_a_certificate_of_others_is_not_talked_to(
    tmp_path, caplog, system_authorities
) -> None:
    own, other = (make_certificates(tmp_path / name, name) for name in ("own", "other"))
    ca = "" if system_authorities else str(own.authority)
    with (
        mqtt_broker(tmp_path, tls=other) as broker,
        companion_of(broker.port, tls=True, tls_ca=ca, password="secret", user="pi") as companion,  # noqa: S106
    ):
        wait_for(lambda: "certificate is not trusted" in caplog.text)
        assert not companion.connected
    assert "tls_ca" in caplog.text
    assert "as edge-detect_pi" not in broker.log


def test_a_missing_authority_is_an_error_of_the_configuration(tmp_path) -> None:
    companion = MqttCompanion(MqttSettings(host="x", tls=True, tls_ca=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="No such file") as caught:
        companion.start(PlainService())
    assert "tls_ca" in caught.value.hint
    companion.stop()


def test_commands_are_followed_and_states_say_so(tmp_path) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera]),
    ):
        watcher.wait(f"{YARD}/enable", b"ON")
        watcher.say(f"{YARD}/enable/set", "OFF")
        watcher.wait(f"{YARD}/enable", b"OFF")
        watcher.say(f"{YARD}/threshold/set", "0.35")
        watcher.wait(f"{YARD}/threshold", b"0.35")
        assert (camera.now.enabled, camera.now.score_threshold) == (False, 0.35)
        # Also what changes nothing is answered, so that a switch somewhere jumps back.
        told = [topic for topic, _ in watcher.messages].count(f"{YARD}/threshold")
        watcher.say(f"{YARD}/threshold/set", "7")
        wait_for(lambda: [t for t, _ in watcher.messages].count(f"{YARD}/threshold") > told)
        watcher.say(f"{YARD}/snapshot/set", "PRESS")
        watcher.wait(f"{YARD}/snapshot", camera.picture)


def test_commands_that_cannot_be_followed_are_answered_and_change_nothing(tmp_path) -> None:
    camera = camera_called()
    camera.picture = None
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera]),
    ):
        watcher.wait(f"{YARD}/enable", b"ON")
        for topic, payload, why in (
            (f"{YARD}/threshold/set", b"\xff" * 200, "a number from 0 to 1"),
            (f"{YARD}/snapshot/set", b"", "no picture came"),
            (f"{BASE}/camera/cellar/enable/set", b"ON", "no camera 'cellar'"),
            (f"{YARD}/reboot/set", b"ON", "none of enable"),
        ):
            # Errors are told twice a second at most: one that came too soon is tried again.
            def answered(topic=topic, payload=payload, why=why):
                watcher.say(topic, payload)
                told = watcher.json(f"{BASE}/error")
                return told and told["topic"] == topic and why in told["error"]

            wait_for(answered)
        assert camera.now.enabled
        assert camera.now.score_threshold is None
        assert len(watcher.newest[f"{BASE}/error"]) < 500


def test_what_earlier_runs_and_others_left_behind_is_forgotten(tmp_path) -> None:
    old = "homeassistant/sensor/edge-detect_pi/attic_count_all/config"
    other = "homeassistant/sensor/edge-detect_pi2/attic_count_all/config"
    soon = "homeassistant/sensor/edge-detect_pi/porch_count_old/config"
    camera = camera_called()
    with mqtt_broker(tmp_path) as broker, watch(broker.port) as watcher:
        for topic in (old, other, soon, f"{BASE}/camera/attic/state"):
            watcher.say(topic, "{}", retain=True)
        # A command that somebody has kept was meant for another day.
        watcher.say(f"{YARD}/enable/set", "OFF", retain=True)
        with companion_of(broker.port, [camera]) as companion:
            # Known to the daemon, but not added yet: it is not taken for one that has gone.
            companion.service.cameras.append(camera_called("porch"))
            watcher.wait(old, b"", 15)
            watcher.wait(f"{BASE}/camera/attic/state", b"")
            watcher.wait(f"{YARD}/enable/set", b"")
            assert watcher.newest[other] == watcher.newest[soon] == b"{}"
            assert watcher.newest[f"{YARD}/state"]
            assert camera.now.enabled


def test_a_removed_camera_vanishes_and_one_that_comes_back_does_not(tmp_path) -> None:
    yard, porch = camera_called(), camera_called("porch")
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [yard, porch]) as companion,
    ):
        config = "homeassistant/binary_sensor/edge-detect_pi/{}_occupancy_{}_person/config"
        watcher.wait(f"{BASE}/camera/porch/availability", b"online")
        for camera in (yard, porch):
            companion.remove_camera(camera)
            companion.service.cameras.remove(camera)
        changed = PlainCamera("yard", CameraSettings(source="x", classes=("person",)))
        companion.service.cameras.append(changed)
        companion.add_camera(changed)
        watcher.wait(f"{BASE}/camera/porch/availability", b"offline")
        watcher.wait(config.format("porch", "all"), b"", 15)
        watcher.wait(f"{BASE}/camera/porch/availability", b"")
        # The zone has gone with the change, the camera has not.
        watcher.wait(config.format("yard", "gate"), b"")
        assert watcher.newest[config.format("yard", "all")]
        assert b"" not in [p for t, p in watcher.messages if t == config.format("yard", "all")]


def test_home_assistant_is_told_again_when_it_has_restarted(tmp_path) -> None:
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera_called()]),
    ):
        topic = "homeassistant/button/edge-detect_pi/yard_snapshot_now/config"
        wait_for(lambda: topic in watcher.newest)
        told = [at for at, _ in watcher.messages].count(topic)
        watcher.say("homeassistant/status", "online")
        wait_for(lambda: [at for at, _ in watcher.messages].count(topic) > told)


def test_online_is_repeated_when_a_late_last_will_says_otherwise(tmp_path) -> None:
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port),
    ):
        watcher.wait(f"{BASE}/status", b"online")
        watcher.say(f"{BASE}/status", "offline", retain=True)
        wait_for(lambda: [p for t, p in watcher.messages if t == f"{BASE}/status"][-2:] == [
            b"offline", b"online",
        ])  # fmt: skip


def test_when_the_source_is_lost_everybody_leaves_with_the_reason(tmp_path) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera], leave_s=0.5),
    ):
        Show(camera).give(7, (10, 10, 30, 40))
        watcher.wait(f"{YARD}/occupancy/all/person", b"1")
        camera.now = CameraState("running", status=a_status("lost", reason="unplugged"))
        watcher.wait(f"{YARD}/availability", b"offline")
        wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 2)
        assert watcher.all_json(f"{YARD}/event")[1]["reason"] == "the camera has gone"
        watcher.wait(f"{YARD}/occupancy/all/person", b"0")
        assert watcher.json(f"{YARD}/state")["source"]["reason"] == "unplugged"


def test_a_whole_daemon_tells_of_real_people_shows_them_and_obeys(tmp_path) -> None:
    clip = bundled_path("demo") / "street.mp4"
    with mqtt_broker(tmp_path) as broker, watch(broker.port) as watcher:
        config = f"""
            [cameras.yard]
            source = "file://{clip}?loop=true"
            model = "{MODEL}"
            classes = ["person"]
            [cameras.yard.zones.left]
            polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
            [mqtt]
            host = "127.0.0.1"
            port = {broker.port}
            node = "pi"
            """
        with running_daemon(tmp_path, config) as daemon:
            daemon.wait_until_ready()
            wait_for(lambda: watcher.all_json(f"{YARD}/event"), 30)
            event = watcher.all_json(f"{YARD}/event")[0]
            assert (event["event_type"], event["class"]) == ("appear", "person")
            assert set(event["zones"]) <= {"left"}
            wait_for(lambda: int(watcher.newest[f"{YARD}/occupancy/all/person"]) > 0)
            wait_for(lambda: watcher.newest.get(f"{YARD}/snapshot"))
            picture = np.frombuffer(watcher.newest[f"{YARD}/snapshot"], np.uint8)
            assert cv2.imdecode(picture, cv2.IMREAD_COLOR).shape[2] == 3
            watcher.say(f"{YARD}/enable/set", "OFF")
            watcher.wait(f"{YARD}/enable", b"OFF")
            watcher.wait(f"{YARD}/occupancy/all/person", b"0")
            assert watcher.all_json(f"{YARD}/event")[-1]["reason"] == "detection was switched off"
            daemon.stop()
            assert daemon.process.returncode == 0
        watcher.wait(f"{BASE}/status", b"offline")
        # Home Assistant is to know the camera after a restart.
        assert watcher.newest["homeassistant/switch/edge-detect_pi/yard_enable/config"]


def test_a_port_that_takes_connections_and_is_silent_is_said_and_stops_nothing(caplog) -> None:
    camera = camera_called()
    with silent_port() as port, companion_of(port, [camera], keepalive_s=1) as companion:
        Show(camera).visit()
        wait_for(lambda: "takes connections, but is silent" in caplog.text)
        assert not companion.connected
