"""A configuration as TOML: to be shown, or to be read again."""

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from edge_detect.core import DependencyError
from edge_detect.service.config.problems import show_url
from edge_detect.service.config.settings import Section, Settings

__all__ = ["dump_settings", "public_settings"]


def public_settings(settings: Settings) -> dict[str, Any]:
    """All settings as plain data, defaults included; passwords and tokens are `***`."""
    shown: dict[str, Any] = _plain(settings, _mask, show_url)
    return shown


def dump_settings(settings: Settings, *, secrets: bool = False) -> str:
    """All settings as TOML, defaults included.

    Args:
        settings: What to write.
        secrets: Whether the text is to be read again, with all passwords in it. Otherwise it
            is to be shown, and they are `***`.

    Raises:
        DependencyError: tomlkit is missing; nothing else needs it.
    """
    try:
        import tomlkit
    except ModuleNotFoundError as error:
        raise DependencyError(
            "showing a configuration as TOML needs the package 'tomlkit', which is not installed",
            "pip install 'edge-detect[service]', or use --json",
        ) from error
    data = public_settings(settings)
    if secrets:
        data = _plain(settings, lambda secret: _escape(secret.get_secret_value()), _escape)
    return tomlkit.dumps(data)


def _plain(value: Any, secret: Callable[[SecretStr], str], text: Callable[[str], str]) -> Any:
    if isinstance(value, Section):
        value = {key: getattr(value, key) for key in type(value).model_fields}
    if isinstance(value, dict):
        # TOML has no null; a table without a single key says nothing either.
        plain = {key: _plain(inner, secret, text) for key, inner in value.items()}
        return {key: inner for key, inner in plain.items() if inner not in (None, {})}
    if isinstance(value, tuple):
        return [_plain(item, secret, text) for item in value]
    if isinstance(value, SecretStr):
        return secret(value)
    return text(value) if isinstance(value, str) else value


def _mask(secret: SecretStr) -> str:
    return "***" if secret.get_secret_value() else ""


def _escape(text: str) -> str:
    return text.replace("${", "$${")
