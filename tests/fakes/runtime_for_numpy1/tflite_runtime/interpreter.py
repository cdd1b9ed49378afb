"""The one class that is used."""


class Interpreter:
    """Fails like the real one, whose C code was compiled against numpy 1."""

    def __init__(self, **_: object) -> None:
        raise SystemError(
            "<built-in method> returned a result with an exception set: "
            "numpy.core.multiarray failed to import"
        )
