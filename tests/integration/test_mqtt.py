"""What a second client sees of the companion, through a real broker."""

import cv2
import numpy as np
from support.daemons import MODEL, running_daemon
from support.mqtt_cameras import BASE, YARD, Show, camera_called, companion_of
from support.mqtt_watcher import watch
from support.servers.broker import mqtt_broker
from support.service_views import PlainCamera, a_status
from support.waiting import wait_for

from edge_detect.core import bundled_path
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings


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
