"""Taking credentials out of texts that are about to be shown.

Whoever writes a message leaves them out in the first place; this is for what libraries say,
and for tracebacks.
"""

import re

from edge_detect.core.url import concealed, is_secret_key, parse_url

__all__ = ["redact", "redact_field"]

HIDDEN = "***"

# A URL reaches to the next blank, or to the scheme of the URL behind it.
_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://(?:(?![A-Za-z][A-Za-z0-9+.-]*://)\S)+")
_AFTER_A_URL = "'\"`.,;:)]}>"
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer|Digest) +[A-Za-z0-9._~+/=-]{6,}")
_ASSIGNMENT = re.compile(
    r"(?P<key>[\w-]{2,64})(?P<sign>[\"']?\s?=\s?[\"']?)(?P<value>[^\s\"'&,;)]+)"
)


def redact(text: str) -> str:
    """The text with `***` for what looks like a password, token or user in it."""
    text = concealed(text)
    if "://" in text:
        text = _URL.sub(_clean_url, text)
    if "=" in text:
        text = _ASSIGNMENT.sub(_clean_assignment, text)
    return _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)


def redact_field(key: str, value: str) -> str:
    """The value of a named field, hidden if the name says that it is a secret."""
    return HIDDEN if is_secret_key(key) else redact(value)


def _clean_url(match: re.Match[str]) -> str:
    text = match[0].rstrip(_AFTER_A_URL)
    # Others stay as they are written.
    shown = parse_url(text).name if "@" in text or "?" in text else text
    return shown + match[0][len(text) :]


def _clean_assignment(match: re.Match[str]) -> str:
    if not is_secret_key(match["key"]) or match["value"] == HIDDEN:
        return match[0]
    return f"{match['key']}{match['sign']}{HIDDEN}"
