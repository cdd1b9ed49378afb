"""Passwords by path: each stream of a server lets its own users in, or everybody."""

from collections.abc import Callable
from functools import cache
from typing import Any

from edge_detect.sinks.rtsp.mount import ROLE, Address
from edge_detect.sinks.rtsp.system import RtspLibraries, load_rtsp_libraries

__all__ = ["make_path_auth", "make_user_auth"]

_REALM = "edge-detect"
_FACTORY_CHECKS = "auth.check.media.factory."


def make_user_auth(libraries: RtspLibraries, address: Address) -> Any:
    """A GstRTSPAuth that lets in one user, that of a path."""
    auth = _digest_auth(libraries, libraries.GstRtspServer.RTSPAuth)
    token = libraries.GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", ROLE)
    auth.add_digest(address.user, address.password, token)
    return auth


def make_path_auth(libraries: RtspLibraries, auth_of: Callable[[Any], Any]) -> Any:
    """A GstRTSPAuth for a whole server.

    Args:
        libraries: GStreamer.
        auth_of: The GstRTSPAuth that guards a GstRTSPMediaFactory; None where everybody may
            look. `KeyError` for factories that are not served (any more).
    """
    auth = _digest_auth(libraries, _path_auth_class())
    auth.auth_of = auth_of
    return auth


def _digest_auth(libraries: RtspLibraries, kind: Any) -> Any:
    auth = kind()
    # Basic would send the password in clear.
    auth.set_supported_methods(libraries.GstRtsp.RTSPAuthMethod.DIGEST)
    auth.set_realm(_REALM)
    return auth


@cache
def _path_auth_class() -> Any:
    """The class, made once: GLib knows types by name, and for good.

    One GstRTSPAuth of its own per path, because users of GstRTSPAuth are known by name alone
    (two paths could not have different passwords for one name), and because without a user
    nobody is asked for one: an open path beside a guarded one would make both open.
    """
    base = load_rtsp_libraries().GstRtspServer.RTSPAuth

    class EdgeDetectPathAuth(base):  # type: ignore[misc,valid-type]
        auth_of: Callable[[Any], Any]

        def do_check(self, context: Any, check: str) -> bool:
            if not check.startswith(_FACTORY_CHECKS):
                return True
            try:
                auth = self.auth_of(context.factory)
            except KeyError:
                # It knows nobody, and so lets nobody in.
                auth = self
            return auth is None or bool(base.do_check(auth, context, check))

    return EdgeDetectPathAuth
