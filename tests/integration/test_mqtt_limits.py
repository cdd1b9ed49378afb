"""A broker that takes less than we tell, or throws us out again and again, is lived with."""

import logging
import socket
from dataclasses import replace
from threading import Thread

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from support.mqtt_cameras import BASE, WAITS, YARD, Show, camera_called, companion_of
from support.mqtt_watcher import watch
from support.servers.broker import mqtt_broker
from support.waiting import wait_for


def test_a_picture_that_the_broker_finds_too_large_costs_nothing_but_itself(
    tmp_path, caplog
) -> None:
    camera = camera_called()
    camera.picture = b"\xff\xd8" + bytes(50_000)
    with (
        mqtt_broker(tmp_path, further=("max_packet_size 20000",)) as broker,
        watch(broker.port) as watcher,
        companion_of(broker.port, [camera]) as companion,
    ):
        watcher.wait(f"{BASE}/status", b"online")
        watcher.say(f"{YARD}/snapshot/set", "")
        wait_for(lambda: "more than 25001 bytes are kept from it" in caplog.text)
        Show(camera).visit()
        wait_for(lambda: len(watcher.all_json(f"{YARD}/event")) == 2)
        assert companion.connected
    assert "instead of taking 50002 bytes" in caplog.text
    assert broker.log.count("oversize packet") == 2


def test_another_client_of_the_same_name_is_told_of_and_not_at_every_turn(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    with mqtt_broker(tmp_path) as broker, companion_of(broker.port) as companion:
        for _ in range(4):
            wait_for(lambda: companion.connected)
            other = Client(CallbackAPIVersion.VERSION2, client_id="edge-detect_pi")
            other.connect("127.0.0.1", broker.port)
            other.loop_start()
            wait_for(lambda: not companion.connected)
            other.loop_stop()
    said = [record.getMessage() for record in caplog.records]
    assert sum("another client called edge-detect_pi" in line for line in said) == 2
    assert sum("connected as" in line for line in said) == 2


@pytest.mark.parametrize("rule", ["topic read #", "topic write #"])
def test_access_rules_that_keep_what_we_tell_from_everybody_are_noticed(
    tmp_path, caplog, rule
) -> None:
    rules = tmp_path / "rules"
    rules.write_text(f"{rule}\n")
    with (
        mqtt_broker(tmp_path, further=(f"acl_file {rules}",)) as broker,
        companion_of(broker.port, waits=replace(WAITS, echo_s=0.1)),
    ):
        wait_for(lambda: f"allow edge-detect_pi to read and write {BASE}/#" in caplog.text)


def test_a_topic_that_is_no_text_stops_nothing() -> None:
    accepted, told = b"\x20\x02\x00\x00", b"\x32\x06\x00\x02\xff\xfe\x00\x07"
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.recv(4096)
                connected.sendall(accepted + told)
                while data := connected.recv(4096):
                    received.extend(data)

        Thread(target=serve, daemon=True).start()
        with companion_of(listener.getsockname()[1]) as companion:
            # That it was confirmed shows that it was taken.
            wait_for(lambda: b"\x40\x02\x00\x07" in received)
            assert companion.connected
