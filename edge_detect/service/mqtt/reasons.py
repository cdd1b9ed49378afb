"""Why there is no connection, in words that help."""

import socket
import ssl
from typing import NamedTuple

from edge_detect.core import NS_PER_S
from edge_detect.service.config.settings import MqttSettings

__all__ = ["SILENCE", "Reason", "choked", "refusal", "why_lost", "why_not_reached"]

# Longer than another client of the same name waits before it comes back.
_SOON_NS = 60 * NS_PER_S
_WRONG_PORT = "is this its port, and one for TLS where tls is set? see port and tls in [mqtt]"
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_OUT_OF_DATE = (9, 10)
# What the library says when nothing has come for too long.
SILENCE = "Keep alive timeout"


class Reason(NamedTuple):
    """What is wrong, and what can be done about it; the latter may be empty."""

    fact: str
    hint: str = ""


def why_not_reached(error: OSError | ValueError) -> Reason:
    """Explain an error from before the broker has said anything.

    Args:
        error: From looking up the name, connecting, or agreeing on encryption.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "tls_ca in [mqtt] names the authority that signed it; host must be the name in it"
        if error.verify_code in _OUT_OF_DATE:
            hint = "is this computer's clock right? if so, the broker needs a new one"
        return Reason(
            f"its certificate is not trusted: {error.verify_message or error.reason}", hint
        )
    if isinstance(error, ssl.SSLError):
        # Not every one of them has a reason.
        reason = getattr(error, "reason", "") or error
        return Reason(f"encryption failed: {reason}", "is this the broker's port for TLS?")
    if isinstance(error, socket.gaierror):
        return Reason(f"its name cannot be looked up: {error.strerror}", "see host in [mqtt]")
    if isinstance(error, TimeoutError):
        return Reason("it does not answer")
    if isinstance(error, ConnectionRefusedError):
        return Reason("nothing listens there", "is the broker running? see port in [mqtt]")
    if isinstance(error, ConnectionResetError):
        return Reason("it has ended the connection", _WRONG_PORT)
    if isinstance(error, OSError):
        return Reason((error.strerror or str(error)).lower())
    return Reason("its name is none", "see host in [mqtt]")


def refusal(code: str, settings: MqttSettings) -> Reason:
    """Explain why the broker has not accepted us.

    Args:
        code: What it said.
        settings: How we introduced ourselves.
    """
    hint = ""
    if code in ("Bad user name or password", "Not authorized"):
        hint = "see user and password in [mqtt]" if settings.user else "it wants user and password"
    return Reason(f"refused: {code.lower()}", hint)


def why_lost(code: str, lasted_ns: int, identity: str) -> Reason:
    """Explain the end of a connection.

    Args:
        code: What the library said.
        lasted_ns: How long the broker had accepted us; 0 if it never did.
        identity: How we call ourselves.
    """
    if code == SILENCE:
        return Reason(
            "it has fallen silent" if lasted_ns else "it takes connections, but is silent"
        )
    if 0 < lasted_ns < _SOON_NS:
        return Reason(
            "it has ended the connection soon after accepting it",
            f"is there another client called {identity}? then give `node` in [mqtt]",
        )
    return Reason("it has ended the connection", "" if lasted_ns else _WRONG_PORT)


def choked(size: int, identity: str) -> Reason:
    """Explain the end of a connection on which something large was being sent.

    Args:
        size: Of that, in bytes.
        identity: How we call ourselves.
    """
    return Reason(
        f"it has ended the connection instead of taking {size} bytes",
        f"is its limit for a packet lower, or is there another client called {identity}?",
    )
