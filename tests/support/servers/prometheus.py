"""A real Prometheus on loopback that scrapes one port, and what can be asked of it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from support.ports import free_port
from support.requirements import need
from support.waiting import wait_for

__all__ = ["Prometheus", "prometheus", "promtool"]

_CONFIG = """\
global:
  scrape_interval: 500ms
  evaluation_interval: 500ms
{rules}
scrape_configs:
  - job_name: edge-detect
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


class Prometheus:
    """Asks a running Prometheus.

    Args:
        port: At which it listens.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.address, timeout=10)

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of an instant query."""
        result = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def value(self, expression: str) -> float | None:
        """The only value of a query; None while there is none."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} gives {len(found)} values"
        return found[0][1] if found else None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def wait_for_value(self, expression: str, value: float) -> None:
        """Wait until a query has one value, and that.

        A scrape that a busy machine did not answer within half a second has none of them.
        """
        wait_for(lambda: self.value(expression) == value, 30)

    def ready(self) -> bool:
        """Whether it answers and takes queries."""
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(folder: Path, port: int, rules: Path | None = None) -> Iterator[Prometheus]:
    """Start a Prometheus, and end it.

    Args:
        folder: For its configuration and data.
        port: Of loopback, at which it finds metrics.
        rules: A file with alerts.
    """
    own_port = free_port()
    config = folder / "prometheus.yml"
    rule_files = f"rule_files: [{json.dumps(str(rules))}]" if rules else ""
    config.write_text(_CONFIG.format(port=port, rules=rule_files))
    command = [
        _program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
        "--log.level=warn",
    ]
    with subprocess.Popen(command) as process:
        try:
            asked = Prometheus(own_port)
            wait_for(asked.ready, 30)
            yield asked
            asked.close()
        finally:
            process.terminate()
            process.wait(10)


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool prints when it finds nothing wrong."""
    done = subprocess.run(
        [_program("promtool"), *arguments],
        check=False,
        input=given,
        capture_output=True,
        timeout=30,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def _program(name: str) -> str:
    need(name, "prometheus")
    return name
