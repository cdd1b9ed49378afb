"""User and password as RTSP servers ask for them."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Challenge", "read_challenges"]

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(slots=True)
class Challenge:
    """What a server wants to see in every request.

    Attributes:
        scheme: `digest` or `basic`.
        parameters: realm, nonce, algorithm, qop and so on, by lower-case name.
    """

    scheme: str
    parameters: dict[str, str]
    _count: int = field(default=0)

    def answer(self, user: str, password: str, method: str, uri: str) -> str:
        """The value of the header `Authorization` for one request.

        Reference:
            RFC 7616, "HTTP Digest Access Authentication", 2015, sec. 3.4; without `qop` it
            is RFC 2069's, which most cameras and servers use.
        """
        if self.scheme == "basic":
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            return f"Basic {token}"
        given = self.parameters
        algorithm = given.get("algorithm", "MD5")
        realm, nonce = given.get("realm", ""), given.get("nonce", "")
        secret = _hash(algorithm, f"{user}:{realm}:{password}")
        asked = _hash(algorithm, f"{method}:{uri}")
        parts = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
        extra = ""
        if "auth" in re.split(r"[\s,]+", given.get("qop", "")):
            self._count += 1
            count, client_nonce = f"{self._count:08x}", secrets.token_hex(8)
            parts["response"] = _hash(
                algorithm, f"{secret}:{nonce}:{count}:{client_nonce}:auth:{asked}"
            )
            extra = f', qop=auth, nc={count}, cnonce="{client_nonce}"'
        else:
            parts["response"] = _hash(algorithm, f"{secret}:{nonce}:{asked}")
        if "algorithm" in given:
            extra += f", algorithm={algorithm}"
        if "opaque" in given:
            parts["opaque"] = given["opaque"]
        return "Digest " + ", ".join(f'{key}="{value}"' for key, value in parts.items()) + extra


def read_challenges(headers: Sequence[str]) -> Challenge | None:
    """The best way to answer that is known here; None where there is none.

    Args:
        headers: The values of all headers `WWW-Authenticate` of a reply.
    """
    best: Challenge | None = None
    for header in headers:
        scheme, _, rest = header.partition(" ")
        parameters = {
            match[1].lower(): match[3] if match[2] is None else match[2]
            for match in _PARAMETER.finditer(rest)
        }
        challenge = Challenge(scheme.lower(), parameters)
        if _strength(challenge) > (0 if best is None else _strength(best)):
            best = challenge
    return best


def _strength(challenge: Challenge) -> int:
    if challenge.scheme == "basic":
        return 1
    algorithm = challenge.parameters.get("algorithm", "MD5").upper()
    if challenge.scheme != "digest" or algorithm not in _HASHES:
        return 0
    return 2 + (algorithm != "MD5")


def _hash(algorithm: str, text: str) -> str:
    return _HASHES[algorithm.upper()](text.encode()).hexdigest()
