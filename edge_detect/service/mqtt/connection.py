"""The connection to the broker: made, kept and made again, in a thread of its own."""

import logging
import select
import ssl
import sys
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from edge_detect.core import NS_PER_S, DependencyError, monotonic_ns
from edge_detect.core.backoff import Backoff
from edge_detect.service.config.settings import MqttSettings
from edge_detect.service.mqtt.alarm import Alarm
from edge_detect.service.mqtt.encryption import tls_context
from edge_detect.service.mqtt.outbox import Message, Outbox
from edge_detect.service.mqtt.reasons import (
    SILENCE,
    Reason,
    choked,
    refusal,
    why_lost,
    why_not_reached,
)
from edge_detect.service.mqtt.subscriptions import Subscriptions
from edge_detect.service.mqtt.topics import Topics
from edge_detect.service.mqtt.waits import Waits

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["Connection"]

_log = logging.getLogger(__name__)

_CONNECT_S = 5.0
# Much shorter than the silence after which the broker hangs up.
_LONGEST_POLL_MS, _POLLS_PER_KEEPALIVE = 1000, 4
# How many messages may be on their way before the broker has confirmed the first.
_IN_FLIGHT = 20
_FAREWELL_S, _JOIN_S = 0.5, 0.3
_ONLINE, _OFFLINE = b"online", b"offline"
# Two clients of one name throw each other out, each after its longest wait: what lasts for
# longer is no such connection.
_STEADY_NS = 60 * NS_PER_S
# After so many that were short, one that is made is no news any longer until it is steady.
_SHORT_ONES = 2
# No broker finds less than that too large.
_LARGE_BYTES = 4096


class Connection:
    """Keeps connected to one broker for as long as it runs, and empties an outbox into it.

    The network is touched by its own thread alone; whoever fills the outbox calls `wake`.

    Args:
        settings: The broker.
        topics: Name of the client, which no other has, and where birth and last will go.
        outbox: What is to be published.
        subscriptions: What is wanted from the broker, and who takes it.
        waits: How long to wait for what.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        outbox: Outbox,
        subscriptions: Subscriptions,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._identity, self._status = topics.identity, topics.status
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._port = settings.port or (8883 if settings.tls else 1883)
        self._tls: ssl.SSLContext | None = None
        self._client: Client | None = None
        self._thread: Thread | None = None
        self._stopping = Event()
        self._alarm = Alarm()
        self._lock = Lock()
        self._backoff = Backoff(first_s=waits.retry_s, limit_s=30.0)
        self._echo_ns = round(waits.echo_s * NS_PER_S)
        self._unconfirmed: dict[int, Message] = {}
        self._accepted_ns: int | None = None
        self._refusal: Reason | None = None
        self._loss = ""
        self._told: set[str] = set()
        self._dropped_before = 0
        # Connections in a row that did not last, and those that ended with a picture on its way.
        self._short = 0
        self._choked = 0
        self._most_bytes = sys.maxsize
        # Until when `online`, once it is confirmed, has to come back, and whether it has.
        self._echo_due_ns: int | None = None
        self._heard = False
        self.error = ""

    @property
    def name(self) -> str:
        """The broker as a URL, without credentials."""
        host = self._settings.host
        scheme = "mqtts" if self._settings.tls else "mqtt"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._accepted_ns is not None

    def start(self) -> None:
        """Begin to connect, in the background; a broker that is away is no error.

        Raises:
            DependencyError: paho-mqtt is missing.
            ConfigError: A file of certificates or keys cannot be read.
        """
        if self._settings.tls:
            self._tls = tls_context(self._settings)
        self._client = self._make_client()
        self._thread = Thread(target=self._run, name="edge-mqtt", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the outbox looked at; from any thread."""
        self._alarm.ring()

    def stop(self) -> None:
        """Say goodbye and hang up, within a second; may be called twice, and without `start`."""
        self._stopping.set()
        self._alarm.ring()
        if self._thread is not None:
            # One that looks up a name or waits for a dead host ends by itself, a bit later.
            self._thread.join(_FAREWELL_S + _JOIN_S)

    def trouble(self) -> str:
        """Why the thread has ended though nobody asked it to; empty if it has not."""
        return f"mqtt: {self.error}" if self.error else ""

    def _make_client(self) -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise DependencyError(
                "MQTT needs paho-mqtt, which is not installed", "pip install 'edge-detect[mqtt]'"
            ) from error
        settings = self._settings
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._identity)
        client.connect_timeout = _CONNECT_S
        client.max_inflight_messages_set(_IN_FLIGHT)
        if settings.user or settings.password.get_secret_value():
            client.username_pw_set(settings.user, settings.password.get_secret_value() or None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._status, _OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.connect_async(settings.host, self._port, settings.keepalive_s)
        return client

    def _run(self) -> None:
        client = self._client
        assert client is not None
        try:
            while not self._stopping.is_set():
                if self._dial(client):
                    self._serve(client)
                if self._choked >= _SHORT_ONES:
                    client = self._client = self._without_the_largest()
                if not self._stopping.is_set():
                    self._stopping.wait(self._backoff.next_s())
        except Exception as error:  # noqa: BLE001 - kept for `trouble`
            self.error = f"{type(error).__name__}: {error}"
            _log.exception("the connection to %s has ended for good", self.name)
        finally:
            self._accepted_ns = None
            connection = client.socket()
            if connection is not None:
                connection.close()
            self._client = None
            self._alarm.close()

    def _dial(self, client: "Client") -> bool:
        """Connect up to the point where the broker is asked to accept us."""
        self._refusal = None
        try:
            client.reconnect()
        except (OSError, ValueError) as error:
            # ValueError: a host name that cannot be one.
            self._lament(why_not_reached(error))
            return False
        return True

    def _serve(self, client: "Client") -> None:
        """Send and receive until the connection is lost, or somebody calls `stop`."""
        poll = select.poll()
        keepalive_ms = self._settings.keepalive_s * 1000
        longest_ms = min(_LONGEST_POLL_MS, keepalive_ms // _POLLS_PER_KEEPALIVE)
        connection: Any = client.socket()
        poll.register(self._alarm, select.POLLIN)
        while connection is not None and not self._stopping.is_set():
            self._hand_over(client)
            self._exchange(client, poll, connection, longest_ms)
            self._judge(monotonic_ns())
            connection = client.socket()
        if connection is not None and self.connected:
            self._bid_farewell(client, poll, connection)
        elif not self._stopping.is_set():
            self._note_loss()
        self._accepted_ns = None

    def _exchange(
        self, client: "Client", poll: select.poll, connection: Any, timeout_ms: int
    ) -> None:
        """Wait for one side to have something, and move it."""
        descriptor = connection.fileno()
        if descriptor < 0:
            # Lost while something was handed over.
            return
        wanted = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
        poll.register(descriptor, wanted)
        for ready, flags in poll.poll(timeout_ms):
            if ready != descriptor:
                self._alarm.clear()
            else:
                if flags & ~select.POLLOUT:
                    client.loop_read()
                    # What lies decrypted already does not wake anybody.
                    while client.socket() is connection and _pending(connection):
                        client.loop_read()
                if flags & select.POLLOUT:
                    client.loop_write()
        client.loop_misc()
        if client.socket() is not connection:
            poll.unregister(descriptor)

    def _hand_over(self, client: "Client") -> None:
        """Give the broker as much as it can be expected to take."""
        if not self.connected:
            return
        for topic in self._subscriptions.wanted():
            client.subscribe(topic, qos=1)
        for topic in self._subscriptions.unwanted():
            client.unsubscribe(topic)
        while len(self._unconfirmed) < _IN_FLIGHT and (message := self._outbox.take()):
            if len(message.payload) <= self._most_bytes:
                self._publish(client, message)

    def _publish(self, client: "Client", message: Message) -> None:
        info = client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        self._unconfirmed[info.mid] = message

    def _bid_farewell(self, client: "Client", poll: select.poll, connection: Any) -> None:
        """Send what is left, `offline` last, and hang up, unless the broker takes too long."""
        until_ns = monotonic_ns() + round(_FAREWELL_S * 1e9)
        offline_sent = False
        while client.socket() is connection and monotonic_ns() < until_ns:
            self._hand_over(client)
            if not offline_sent and not len(self._outbox):
                self._publish(client, Message(self._status, _OFFLINE, retain=True))
                offline_sent = True
            if offline_sent and not self._unconfirmed:
                client.disconnect()
                return
            self._exchange(client, poll, connection, 50)

    def _note_loss(self) -> None:
        lasted_ns = 0
        if self._accepted_ns is not None:
            lasted_ns = monotonic_ns() - self._accepted_ns
            if lasted_ns > _STEADY_NS:
                self._backoff.worked_for(lasted_ns)
            self._short += 1
        reason = self._refusal or why_lost(self._loss, lasted_ns, self._identity)
        largest = self._largest_on_its_way()
        if lasted_ns and largest > _LARGE_BYTES and self._loss != SILENCE:
            self._choked += 1
            reason = choked(largest, self._identity)
        else:
            self._choked = 0
        self._lament(reason)

    def _largest_on_its_way(self) -> int:
        return max((len(message.payload) for message in self._unconfirmed.values()), default=0)

    def _without_the_largest(self) -> "Client":
        """Send nothing as large again: the broker hangs up on it, and so would never hear more.

        Returns:
            A client that does not know of it: this one would send it at every connection.
        """
        # Half of it, as the next picture is about as large.
        self._most_bytes = self._largest_on_its_way() // 2
        _log.warning(
            "%s: messages of more than %d bytes are kept from it until the next start"
            " (raise its limit for a packet)",
            self.name,
            self._most_bytes,
        )
        self._outbox.give_back(list(self._unconfirmed.values()))
        self._unconfirmed.clear()
        self._short = self._choked = 0
        return self._make_client()

    def _judge(self, now_ns: int) -> None:
        """See whether the connection lasts, and whether what we say is let through."""
        if self._accepted_ns is None:
            return
        if now_ns - self._accepted_ns > _STEADY_NS and self._short:
            if self._short >= _SHORT_ONES:
                self._announce()
            self._short = self._choked = 0
        if self._echo_due_ns is not None and now_ns > self._echo_due_ns and not self._heard:
            self._heard = True
            self._lament_access("the broker keeps from us what we tell, or from everybody")

    def _lament(self, reason: Reason) -> None:
        """Say what is wrong, once for each reason: a broker may be away for weeks."""
        if reason.fact in self._told or self._stopping.is_set():
            return
        if not self._told:
            self._dropped_before = self._outbox.dropped
        self._told.add(reason.fact)
        hint = f" ({reason.hint})" if reason.hint else ""
        _log.warning("%s: %s%s; trying again until it works", self.name, reason.fact, hint)

    def _on_connect(
        self, client: "Client", _data: Any, _flags: Any, code: Any, _properties: Any
    ) -> None:
        if code.is_failure:
            self._refusal = refusal(str(code), self._settings)
            return
        self._accepted_ns = monotonic_ns()
        self._echo_due_ns, self._heard = None, False
        if self._short < _SHORT_ONES:
            self._announce()
        self._publish(client, Message(self._status, _ONLINE, retain=True))
        self._subscriptions.renew()
        self._outbox.repeat()

    def _announce(self) -> None:
        lost = self._outbox.dropped - self._dropped_before if self._told else 0
        self._told.clear()
        _log.info(
            "%s: connected as %s%s",
            self.name,
            self._identity,
            f"; {lost} events were lost meanwhile" if lost else "",
        )

    def _on_disconnect(
        self, _client: "Client", _data: Any, _flags: Any, code: Any, _properties: Any
    ) -> None:
        self._loss = str(code)

    def _on_publish(self, _client: "Client", _data: Any, mid: int, *_: Any) -> None:
        message = self._unconfirmed.pop(mid, None)
        if message is not None:
            self._outbox.delivered(message)
            if message.topic == self._status:
                # We have subscribed to it, so it comes back.
                self._echo_due_ns = monotonic_ns() + self._echo_ns

    def _on_subscribe(
        self, _client: "Client", _data: Any, _mid: int, codes: list[Any], _properties: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._heard = True
            self._lament_access("the broker does not let us subscribe: commands will not arrive")

    def _lament_access(self, said: str) -> None:
        if said not in self._told:
            self._told.add(said)
            who = self._settings.user or self._identity
            where = f"{self._status.rpartition('/')[0]}/#"
            _log.warning("%s: %s (allow %s to read and write %s)", self.name, said, who, where)

    def _on_message(self, _client: "Client", _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            # Some brokers let such topics pass, and none of ours is among them.
            return
        self._heard |= topic == self._status
        if topic == self._status and message.payload != _ONLINE and not self._stopping.is_set():
            # The last will of a connection that the broker has only now noticed to be dead.
            if self._client is not None:
                self._publish(self._client, Message(self._status, _ONLINE, retain=True))
            return
        self._subscriptions.take(topic, message.payload, retained=message.retain)


def _pending(connection: Any) -> bool:
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
