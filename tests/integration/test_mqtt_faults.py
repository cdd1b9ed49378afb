"""A broker that dies, comes back, freezes, or does not let us in stops nothing."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.mqtt_cameras import BASE, YARD, Show, camera_called, companion_of
from support.mqtt_watcher import watch
from support.servers.broker import make_certificates, mqtt_broker
from support.servers.gate import gate_to
from support.servers.programs import silent_port
from support.service_views import PlainService
from support.waiting import wait_for

from edge_detect.core import ConfigError
from edge_detect.service.config.settings import MqttSettings
from edge_detect.service.mqtt import MqttCompanion


def test_a_killed_program_is_offline_by_its_last_will(tmp_path) -> None:
    with mqtt_broker(tmp_path) as broker, watch(broker.port) as watcher:
        script = (
            "import sys\n"
            "from edge_detect.service.config.settings import MqttSettings\n"
            "from edge_detect.service.mqtt import MqttCompanion\n"
            "from support.service_views import PlainService\n"
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


def test_a_broker_that_comes_back_gets_the_state_and_the_newest_events_in_order(
    tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        gate_to(broker.port) as gate,
        companion_of(gate.port, [camera], queue=6) as companion,
    ):
        gate.open()
        with watch(broker.port) as watcher:
            wait_for(lambda: watcher.newest.get(f"{BASE}/state"))
        gate.close()
        broker.kill()
        wait_for(lambda: not companion.connected)
        show = Show(camera)
        for _ in range(10):
            show.visit()
        assert companion.events_lost == 14
        camera.set_enabled(enabled=False)
        broker.start()
        with watch(broker.port) as watcher:
            # Not before: events that arrive while there is no subscriber are gone.
            gate.open()
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
    connected = [number for number, line in enumerate(said) if "connected as" in line]
    assert len(connected) == 2
    assert any("14 events were lost meanwhile" in line for line in said)
    # Before the first time, nothing may have listened either.
    meanwhile = said[connected[0] : connected[1]]
    assert sum("nothing listens there" in line for line in meanwhile) <= 1


def test_events_without_a_broker_from_the_start_are_kept_for_it(tmp_path) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        gate_to(broker.port) as gate,
        companion_of(gate.port, [camera]) as companion,
    ):
        Show(camera).visit()
        assert not companion.connected
        with watch(broker.port) as watcher:
            gate.open()
            wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 2)


def test_a_frozen_broker_stops_nothing_and_is_noticed(tmp_path, caplog) -> None:
    camera = camera_called()
    with (
        mqtt_broker(tmp_path) as broker,
        gate_to(broker.port) as gate,
        companion_of(gate.port, [camera], queue=50, keepalive_s=1) as companion,
    ):
        gate.open()
        wait_for(lambda: companion.connected)
        broker.freeze()
        show = Show(camera)
        # All of it is taken while the broker takes nothing: were anything waiting for it, this
        # would not end before the broker is let go.
        for _ in range(200):
            show.visit()
        assert companion.events_lost > 0
        wait_for(lambda: not companion.connected)
        gate.close()
        broker.thaw()
        with watch(broker.port) as watcher:
            gate.open()
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


def test_online_is_repeated_when_a_late_last_will_says_otherwise(tmp_path) -> None:
    with (
        mqtt_broker(tmp_path) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port),
    ):
        watcher.wait(f"{BASE}/status", b"online")
        watcher.say(f"{BASE}/status", "offline", retain=True)

        def said() -> list[bytes]:
            return [payload for topic, payload in watcher.messages if topic == f"{BASE}/status"]

        wait_for(lambda: b"offline" in said() and said()[-1] == b"online")


def test_a_port_that_takes_connections_and_is_silent_is_said_and_stops_nothing(caplog) -> None:
    camera = camera_called()
    with silent_port() as port, companion_of(port, [camera], keepalive_s=1) as companion:
        Show(camera).visit()
        wait_for(lambda: "takes connections, but is silent" in caplog.text)
        assert not companion.connected
