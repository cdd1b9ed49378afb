"""What Home Assistant is told, so that it shows everything without being configured.

The keys are those of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

from typing import Any

import edge_detect
from edge_detect.service.companion import CameraView
from edge_detect.service.mqtt.occupancy import Place
from edge_detect.service.mqtt.topics import ALL, CameraTopics, Topics, level

__all__ = ["camera_entities", "node_entities", "places_of"]

# Component and name of an entity, and what is told of it.
Entities = dict[tuple[str, str], dict[str, Any]]

_DIAGNOSTIC = {"entity_category": "diagnostic"}
_CONFIG = {"entity_category": "config"}
_MEASURED = {"state_class": "measurement"}


def places_of(camera: CameraView) -> list[Place]:
    """The zones and classes that are always told of: those that are configured, and ALL."""
    places: list[Place] = []
    classes = camera.settings.classes
    zones = [name for name in camera.zones if name != ALL]
    for zone in (ALL, *zones):
        own = camera.settings.zones[zone].classes if zone in camera.settings.zones else ()
        wanted = [label for label in classes or own if not own or label in own]
        places += [(zone, level(label)) for label in (*wanted, ALL)]
    return places


def node_entities(topics: Topics) -> dict[str, dict[str, Any]]:
    """What there is to know of the computer.

    Returns:
        What is published, by topic.
    """
    state = {"state_topic": topics.state}
    entities: Entities = {
        ("binary_sensor", "connected"): {
            "name": "Connected",
            "state_topic": topics.status,
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            **_DIAGNOSTIC,
        },
        ("sensor", "temperature"): {
            "name": "SoC temperature",
            **state,
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            **_MEASURED,
            **_DIAGNOSTIC,
        },
        ("binary_sensor", "power"): {
            "name": "Power or heat",
            **state,
            "value_template": "{{ 'ON' if value_json.power_problem else 'OFF' }}",
            "device_class": "problem",
            **_DIAGNOSTIC,
        },
    }
    device = {
        "identifiers": [topics.identity],
        "name": topics.node,
        "manufacturer": "edge-detect",
        "model": "edge-detect",
        "sw_version": edge_detect.__version__,
    }
    available = {name: [topics.status] for _, name in entities if name != "connected"}
    return _complete(topics, "", device, entities, available)


def camera_entities(topics: Topics, camera: CameraView) -> dict[str, dict[str, Any]]:
    """What there is to know of a camera, and to do with it.

    Returns:
        What is published, by topic.
    """
    own = topics.camera(camera.name)
    seen = _occupancy(own, places_of(camera))
    figures = _figures(own)
    entities = seen | figures | _controls(own)
    device = {
        "identifiers": [f"{topics.identity}_{camera.name}"],
        "name": camera.name,
        "manufacturer": "edge-detect",
        "model": "camera",
        "sw_version": edge_detect.__version__,
        "via_device": topics.identity,
    }
    needs_source = {name for _, name in seen | figures} | {"snapshot_now"}
    available = {
        name: [topics.status, own.availability] if name in needs_source else [topics.status]
        for _, name in entities
    }
    return _complete(topics, f"{camera.name}_", device, entities, available)


def _occupancy(own: CameraTopics, places: list[Place]) -> Entities:
    entities: Entities = {}
    for zone, label in places:
        prefix = "" if zone == ALL else f"{zone} "
        topic = {"state_topic": own.occupancy(zone, label)}
        if label == ALL:
            entities["sensor", f"count_{zone}"] = {
                "name": f"{prefix}objects",
                **topic,
                "icon": "mdi:counter",
                **_MEASURED,
            }
        else:
            entities["binary_sensor", f"occupancy_{zone}_{label}"] = {
                "name": f"{prefix}{label}",
                **topic,
                "value_template": "{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
                "device_class": "occupancy",
            }
    return entities


def _figures(own: CameraTopics) -> Entities:
    entities: Entities = {}
    for stage in ("captured", "detected"):
        entities["sensor", f"fps_{stage}"] = {
            "name": f"Frames {stage}",
            "state_topic": own.state,
            "value_template": f"{{{{ value_json.fps.{stage} }}}}",
            "unit_of_measurement": "fps",
            **_MEASURED,
            **_DIAGNOSTIC,
        }
    for share in ("p50", "p95"):
        entities["sensor", f"latency_{share}"] = {
            "name": f"Capture to detection {share}",
            "state_topic": own.state,
            "value_template": f"{{{{ value_json.latency_ms.detect.{share} }}}}",
            "device_class": "duration",
            "unit_of_measurement": "ms",
            **_MEASURED,
            **_DIAGNOSTIC,
        }
    return entities


def _controls(own: CameraTopics) -> Entities:
    return {
        ("binary_sensor", "source"): {
            "name": "Source",
            "state_topic": own.availability,
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            **_DIAGNOSTIC,
        },
        ("event", "object"): {
            "name": "Object",
            "state_topic": own.event,
            "event_types": ["appear", "stay", "leave"],
        },
        ("image", "snapshot"): {
            "name": "Snapshot",
            "image_topic": own.snapshot,
            "content_type": "image/jpeg",
        },
        ("switch", "enable"): {
            "name": "Detection",
            "command_topic": f"{own.enable}/set",
            "state_topic": own.enable,
            "icon": "mdi:eye",
        },
        ("number", "threshold"): {
            "name": "Threshold",
            "command_topic": f"{own.threshold}/set",
            "state_topic": own.threshold,
            "min": 0,
            "max": 1,
            "step": 0.01,
            "mode": "slider",
            **_CONFIG,
        },
        ("button", "snapshot_now"): {
            "name": "Take snapshot",
            "command_topic": f"{own.snapshot}/set",
            "icon": "mdi:camera",
        },
    }


def _complete(
    topics: Topics,
    prefix: str,
    device: dict[str, Any],
    entities: Entities,
    available: dict[str, list[str]],
) -> dict[str, dict[str, Any]]:
    """Add what all entities have."""
    return {
        topics.config(component, f"{prefix}{name}"): {
            **entity,
            "unique_id": f"{topics.identity}_{prefix}{name}",
            **(
                {
                    "availability": [{"topic": topic} for topic in available[name]],
                    "availability_mode": "all",
                }
                if name in available
                else {}
            ),
            "device": device,
            "origin": {"name": "edge-detect", "sw_version": edge_detect.__version__},
        }
        for (component, name), entity in entities.items()
    }
