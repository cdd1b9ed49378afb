"""A second client of a broker, which sees what everybody is told."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from support.waiting import wait_for

__all__ = ["Watcher", "watch"]


class Watcher:
    """Collects all messages, and comes back when the broker does.

    Attributes:
        messages: Topic and payload of each, in their order.
        newest: Payloads by topic; empty ones where the broker was to forget.
    """

    def __init__(self, port: int, login: tuple[str, str] | None = None, ca: Path | None = None):
        self.messages: list[tuple[str, bytes]] = []
        self.newest: dict[str, bytes] = {}
        self._subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        if login:
            self._client.username_pw_set(*login)
        if ca:
            self._client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = self._note_subscription
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()
        wait_for(lambda: self._subscribed)

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish something."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def json(self, topic: str) -> Any:
        """The newest payload of a topic; None before the first."""
        payload = self.newest.get(topic)
        return None if not payload else json.loads(payload)

    def all_json(self, topic: str) -> list[Any]:
        """All payloads of a topic."""
        return [json.loads(payload) for at, payload in list(self.messages) if at == topic]

    def wait(self, topic: str, payload: bytes, seconds: float = 10) -> None:
        """Wait until the newest payload of a topic is that."""
        wait_for(lambda: self.newest.get(topic) == payload, seconds)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _note_subscription(self, *_: Any) -> None:
        self._subscribed = True

    def _note(self, _client: Any, _data: Any, message: Any) -> None:
        self.messages.append((message.topic, message.payload))
        self.newest[message.topic] = message.payload


@contextmanager
def watch(
    port: int, login: tuple[str, str] | None = None, ca: Path | None = None
) -> Iterator[Watcher]:
    """A watcher for the time of a `with` statement."""
    watcher = Watcher(port, login, ca)
    try:
        yield watcher
    finally:
        watcher.close()
