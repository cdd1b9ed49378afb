"""What FFmpeg's errors mean for somebody with a camera, without the URL they would show."""

import errno

import av.error

from edge_detect.core import SourceError
from edge_detect.sources.network.address import PASSWORD_VARIABLE, USER_VARIABLE, StreamAddress

__all__ = ["disconnected", "explain", "no_answer", "not_ending", "nothing_decodable"]

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


def explain(
    error: Exception, address: StreamAddress, *, connected: bool, timed_out: bool
) -> SourceError:
    """Say what an error of FFmpeg means.

    Args:
        error: As caught. Its text holds the URL with its password: raise the result
            outside of the handler, or `from None`.
        address: What was connected to.
        connected: Whether the stream had been opened.
        timed_out: Whether connecting took all of its time; FFmpeg gives several errors then.
    """
    name = address.name
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return _refused(name, has_user=address.has_user)
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceError(
            f"there is no stream at {name}", "check the path after the host", transient=True
        )
    if timed_out or isinstance(error, (av.error.ExitError, TimeoutError)):
        return no_answer(address, connected=connected)
    if isinstance(error, ConnectionRefusedError):
        return SourceError(
            f"nothing listens at {name}",
            "check that the camera is on, its address and its port",
            transient=True,
        )
    if connected:
        return disconnected(address)
    if isinstance(error, av.error.InvalidDataError):
        return SourceError(
            f"{name} is no video that can be read", "check the path after the host", transient=True
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SourceError(f"cannot open {name}: {reason}", _hint(error, address), transient=True)


def not_ending(address: StreamAddress, count: int) -> SourceError:
    """The error for a server that neither answers nor hangs up, again and again."""
    return SourceError(
        f"{address.name} still holds {count} connections open that were given up",
        "restart the camera",
        transient=True,
    )


def no_answer(address: StreamAddress, *, connected: bool) -> SourceError:
    """The error for a server that says nothing."""
    if connected:
        fact = f"{address.name} sent nothing for {address.read_s:g} s"
    else:
        fact = f"{address.name} showed no video within {address.open_s:g} s"
    return SourceError(fact, "check the camera and the network", transient=True)


def disconnected(address: StreamAddress) -> SourceError:
    """The error for a stream that ended: a live one has no end."""
    return SourceError(
        f"{address.name} ended the stream", "check the camera and the network", transient=True
    )


def nothing_decodable(address: StreamAddress, silent_s: float) -> SourceError:
    """The error for data without pictures."""
    return SourceError(
        f"nothing that came from {address.name} for {silent_s:g} s could be decoded",
        "set the camera to H.264 with a key frame every second or two",
        transient=True,
    )


def _hint(error: Exception, address: StreamAddress) -> str:
    """Guess: to FFmpeg an unknown name and a bad certificate both are "input/output error"."""
    if getattr(error, "errno", None) in _UNREACHABLE:
        return "check the network"
    if address.options["tls_verify"] == "1":
        return "check the address, and that the certificate is the one in tls_ca and names the host"
    return "check the name or address of the host, and the network"


def _refused(name: str, *, has_user: bool) -> SourceError:
    fact = f"{name} refused the user or password" if has_user else f"{name} asks for a password"
    return SourceError(
        fact,
        "write rtsp://USER:PASSWORD@…, with special characters percent-encoded, or set "
        f"{USER_VARIABLE} and {PASSWORD_VARIABLE} in the environment",
        transient=False,
    )
