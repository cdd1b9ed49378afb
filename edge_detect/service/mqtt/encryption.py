"""What the broker has to show, and what we show it."""

import ssl

from edge_detect.core import ConfigError
from edge_detect.service.config.settings import MqttSettings

__all__ = ["tls_context"]


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Verify the broker's name and certificate.

    Raises:
        ConfigError: A file cannot be read, or is none.
    """
    path = settings.tls_ca
    try:
        context = ssl.create_default_context(cafile=path or None)
        if path:
            # Python 3.13 refuses what most home-made authorities lack, such as a key usage.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if settings.tls_cert:
            path = settings.tls_cert
            context.load_cert_chain(path, settings.tls_key or None, password=lambda: "")
    except OSError as error:
        raise ConfigError(
            f"mqtt: {path!r} cannot be used as certificate or key: {error.strerror or error}",
            "tls_ca, tls_cert and tls_key in [mqtt] name PEM files without passphrase",
        ) from error
    return context
