"""What the cameras see and how they are, told to an MQTT broker, and commands from there."""

from edge_detect.service.mqtt.companion import MqttCompanion

__all__ = ["MqttCompanion"]
