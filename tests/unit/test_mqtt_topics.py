"""Topics, commands, reasons and what Home Assistant is told, without any broker."""

import dataclasses
import json
import socket
import ssl

import pytest
from pydantic import ValidationError
from support.service_views import PlainCamera, PlainService, a_sink_status, a_status

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.core.board import BoardReading, Throttling
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings, MqttSettings, ZoneSettings
from edge_detect.service.mqtt import MqttCompanion
from edge_detect.service.mqtt.commands import parse_share, parse_switch
from edge_detect.service.mqtt.discovery import camera_entities, node_entities, places_of
from edge_detect.service.mqtt.reasons import refusal, why_lost, why_not_reached
from edge_detect.service.mqtt.states import camera_state, is_live, node_state
from edge_detect.service.mqtt.topics import Topics, level

HALF = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))

# What Home Assistant documents for each kind of entity, beside what all of them may have.
COMMON = {
    "availability",
    "availability_mode",
    "device",
    "entity_category",
    "icon",
    "name",
    "origin",
    "unique_id",
}
DOCUMENTED = {
    "binary_sensor": {
        "state_topic",
        "value_template",
        "payload_on",
        "payload_off",
        "device_class",
    },
    "sensor": {
        "state_topic",
        "value_template",
        "device_class",
        "state_class",
        "unit_of_measurement",
    },
    "event": {"state_topic", "event_types"},
    "image": {"image_topic", "content_type"},
    "switch": {"state_topic", "command_topic"},
    "number": {"state_topic", "command_topic", "min", "max", "step", "mode"},
    "button": {"command_topic"},
}
REQUIRED = {
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "switch": {"command_topic"},
    "number": {"command_topic"},
    "button": {"command_topic"},
}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "via_device"}


def settings(**keys):
    return MqttSettings(host="broker", **keys)


def two_zones(*classes):
    return PlainCamera(
        "yard",
        CameraSettings(
            source="x",
            classes=classes,
            zones={
                "gate": ZoneSettings(polygon=HALF),
                "Street": ZoneSettings(polygon=HALF, classes=("car",)),
            },
        ),
        zones=("gate", "Street"),
    )


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("raspberrypi", "raspberrypi"),
        ("My Pi.local", "my_pi_local"),
        ("cell phone", "cell_phone"),
        ("a/b#c+d", "a_b_c_d"),
        ("", "_"),
    ],
)
def test_any_name_becomes_one_level_of_a_topic(name, wanted) -> None:
    assert level(name) == wanted


def test_names_in_other_scripts_stay_apart_in_ascii() -> None:
    assert level("人") != level("车")
    assert level("人").isascii()


def test_the_node_is_the_host_unless_it_is_named() -> None:
    assert Topics(settings()).node == level(socket.gethostname())
    assert Topics(settings(node="Hall 2", topic="home/eyes")).status == "home/eyes/hall_2/status"


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "/a", "$SYS"])
def test_first_levels_that_no_broker_takes_are_errors_of_the_configuration(topic) -> None:
    with pytest.raises(ValidationError):
        settings(topic=topic)


def test_commands_are_told_from_everything_else() -> None:
    topics = Topics(settings(node="pi"))
    assert topics.command("edge-detect/pi/camera/yard/enable/set") == ("yard", "enable")
    for other in (
        "edge-detect/pi/camera/yard/enable",
        "edge-detect/pi/camera/yard/set",
        "edge-detect/pi/camera/a/b/c/set",
        "edge-detect/pi2/camera/yard/enable/set",
    ):
        assert topics.command(other) is None


def test_switches_and_shares_are_read_strictly() -> None:
    assert parse_switch(b" on ")
    assert not parse_switch(b"OFF")
    assert parse_share(b"0.25") == 0.25
    for payload in (b"", b"1", b"true", b"\xff\xff"):
        with pytest.raises(ValueError, match="ON or OFF"):
            parse_switch(payload)
    for payload in (
        b"",
        b"nan",
        b"1.01",
        b"-0.1",
        b"inf",
        b"half",
        b"0_1",
        b"\xff",
        b"0" * 10_000 + b"2",
    ):
        with pytest.raises(ValueError, match="0 to 1"):
            parse_share(payload)


def test_places_are_the_configured_classes_in_each_zone_that_knows_them() -> None:
    assert places_of(two_zones("person", "car")) == [
        ("all", "person"),
        ("all", "car"),
        ("all", "all"),
        ("gate", "person"),
        ("gate", "car"),
        ("gate", "all"),
        ("Street", "car"),
        ("Street", "all"),
    ]


def test_without_configured_classes_there_are_numbers_alone_but_where_a_zone_names_some() -> None:
    assert places_of(two_zones()) == [
        ("all", "all"),
        ("gate", "all"),
        ("Street", "car"),
        ("Street", "all"),
    ]


@pytest.mark.parametrize("classes", [(), ("person", "cell phone")])
def test_home_assistant_is_told_only_what_it_documents(classes) -> None:
    topics = Topics(settings(node="pi"))
    told = node_entities(topics) | camera_entities(topics, two_zones(*classes))
    identities = set()
    for topic, entity in told.items():
        prefix, component, node, name, suffix = topic.split("/")
        assert (prefix, node, suffix) == ("homeassistant", "edge-detect_pi", "config")
        assert all(part.isascii() and " " not in part for part in (node, name))
        assert REQUIRED[component] <= entity.keys() <= COMMON | DOCUMENTED[component]
        assert entity["device"].keys() <= DEVICE
        identities.add(entity["unique_id"])
        assert json.loads(json.dumps(entity)) == entity
        for other in entity.get("availability", ()):
            assert other["topic"] in (topics.status, topics.camera("yard").availability)
    assert len(identities) == len(told)


def test_everything_of_the_camera_belongs_to_one_device_behind_that_of_the_computer() -> None:
    topics = Topics(settings(node="pi"))
    devices = [each["device"] for each in camera_entities(topics, two_zones()).values()]
    assert all(device == devices[0] for device in devices)
    assert devices[0]["via_device"] == "edge-detect_pi"
    assert {tuple(each["device"]["identifiers"]) for each in node_entities(topics).values()} == {
        ("edge-detect_pi",)
    }


def test_identities_do_not_depend_on_anything_but_names() -> None:
    told = camera_entities(Topics(settings(node="pi")), two_zones("person"))
    again = camera_entities(Topics(settings(node="pi", topic="other")), two_zones("person"))
    assert [each["unique_id"] for each in told.values()] == [
        each["unique_id"] for each in again.values()
    ]


def value_at(template, content):
    """What a template `{{ value_json.a.b }}` stands for."""
    path = template.removeprefix("{{ value_json.").removesuffix(" }}")
    for key in path.split("."):
        content = content[key]
    return content


@pytest.mark.parametrize(
    "now",
    [
        CameraState("starting"),
        CameraState("running", status=a_status(sinks=(a_sink_status(),))),
        CameraState("failed", "the model is missing", 3),
    ],
)
def test_whatever_the_state_templates_find_their_values(now) -> None:
    state = json.loads(json.dumps(camera_state(now)))
    topics = Topics(settings(node="pi"))
    templates = [
        each["value_template"]
        for each in camera_entities(topics, PlainCamera()).values()
        if each.get("state_topic") == topics.camera("yard").state
    ]
    assert len(templates) == 4
    for template in templates:
        assert value_at(template, state) is None or value_at(template, state) >= 0


def test_frames_that_were_left_out_on_purpose_were_not_dropped() -> None:
    status = dataclasses.replace(a_status(), dropped={"prepare": 2, "detect": 1, "limit": 500})
    assert camera_state(CameraState("running", status=status))["dropped"] == 3


def test_a_camera_is_live_while_its_source_gives_frames() -> None:
    assert is_live(CameraState("running", status=a_status("live")))
    for state in ("connecting", "stalled", "lost", "ended"):
        assert not is_live(CameraState("running", status=a_status(state)))
    assert not is_live(CameraState("starting"))
    assert not is_live(CameraState("failed", status=a_status("live")))


def test_power_and_heat_are_a_problem_while_they_are_and_not_for_ever() -> None:
    def told(flags):
        return node_state(PlainService(reading=BoardReading(1, 61.23, throttling=flags)), 0)

    assert told(None)["power_problem"] is False
    assert told(Throttling(under_voltage_since_boot=True))["power_problem"] is False
    assert told(Throttling(soft_temperature_limit=True))["power_problem"] is True
    assert told(None)["temperature_c"] == 61.2


def test_reasons_say_what_can_be_done() -> None:
    assert "password" in refusal("Bad user name or password", settings()).hint
    assert "user and password in" in refusal("Not authorized", settings(user="me")).hint
    assert "looked up" in why_not_reached(socket.gaierror(-2, "Name or service not known")).fact
    assert "does not answer" in why_not_reached(TimeoutError("timed out")).fact
    assert "port" in why_not_reached(ConnectionRefusedError(111, "Connection refused")).hint
    assert why_not_reached(OSError(113, "No route to host")).fact == "no route to host"
    assert "TLS" in why_not_reached(ssl.SSLError(1, "wrong version number")).hint
    assert "host" in why_not_reached(UnicodeError("label too long")).hint
    assert "`node`" in why_lost("Unspecified error", 5, "edge-detect_pi").hint
    assert why_lost("Unspecified error", 10**12, "x").hint == ""
    assert "silent" in why_lost("Keep alive timeout", 10**12, "x").fact


def test_reasons_tell_the_wrong_port_and_the_wrong_time_from_an_untrusted_broker() -> None:
    assert "tls" in why_lost("Unspecified error", 0, "x").hint
    assert "tls" in why_not_reached(ConnectionResetError(104, "Connection reset by peer")).hint
    untrusted = ssl.SSLCertVerificationError(1, "")
    untrusted.verify_code, untrusted.verify_message = 10, "certificate has expired"
    assert "clock" in why_not_reached(untrusted).hint
    untrusted.verify_code = 19
    assert "tls_ca" in why_not_reached(untrusted).hint


def test_what_home_assistant_has_left_at_the_broker_is_not_taken_for_ours() -> None:
    companion = MqttCompanion(settings(node="pi"))
    companion._service = PlainService()
    # A survey that begins between the beginning of a connection and what the broker had kept.
    companion._subscriptions.renew()
    companion._survey.tick(0)
    companion._subscriptions.take("homeassistant/status", b"online", retained=True)
    companion._survey.tick(monotonic_ns() + 10 * NS_PER_S)
    assert companion._outbox.take() is None
