"""The text of docs/metrics.md, which is this module's output."""

import sys

from edge_detect.service.metrics.families import BUCKETS_S, FAMILIES

__all__ = ["QUESTIONS", "describe_metrics"]

_HEAD = """\
# Metrics

`/metrics` answers in OpenMetrics, or in Prometheus' older text format to those who ask for it.
Values are read at the moment of the scrape. All names are in base units: seconds, bytes, hertz.

Switch it on in the configuration, and tell Prometheus (`deploy/prometheus/prometheus.yml`):

    [metrics]
    listen = "127.0.0.1:9464"      # "0.0.0.0:9464" for a Prometheus on another machine

| path | answer |
| --- | --- |
| `/metrics` | the table below |
| `/healthz` | 200 while nothing is stuck, else 503; `{"healthy": false, "troubles": ["…"]}` |
| `/readyz` | 200 once every camera has shown a frame or is known to be away, else 503 |

Nobody is asked for a password: listen at addresses that only your own network reaches.

"""

_TAIL = """
Beside these stand the usual ones of the process: `process_cpu_seconds_total`,
`process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds`, `process_start_time_seconds`.

Counters and histograms of a camera begin anew when its pipeline is restarted
(`edge_detect_camera_restarts_total`); `rate()` and `increase()` know what to do then. A camera
without a pipeline has no counters. What the system does not tell has no series: boards other
than a Raspberry Pi have no `edge_detect_board_throttling`.

Bounds of all histograms, in milliseconds: {bounds}.

## Questions and queries

{questions}

Alert rules are in `deploy/prometheus/alerts.yml`, a Grafana dashboard is
`deploy/grafana/edge-detect.json`.

![Dashboard](dashboard.png)

Drawn by `scripts/render_dashboard.py` from the dashboard's own queries, as a Prometheus answers
them; Grafana's look differs. Three cameras on a PC with a stand-in for a Raspberry Pi's sensors:
one camera is lost for 80 s, somebody watches another, and when the board is said to get hot,
everything is looked at less often until it has cooled.
"""

_LATENCY = "edge_detect_capture_to_detect_seconds_bucket"
QUESTIONS = {
    "detections a second": 'rate(edge_detect_frames_total{stage="detected"}[5m])',
    "95 % of detections were known within": (
        f"histogram_quantile(0.95, sum by (camera, le) (rate({_LATENCY}[5m])))"
    ),
    "part of the frames that a stage was too slow for": (
        'sum without (stage) (rate(edge_detect_frames_dropped_total{stage!="limit"}[5m]))'
        ' / ignoring(stage) rate(edge_detect_frames_total{stage="captured"}[5m])'
    ),
    "cameras that are away": "edge_detect_source_up == 0",
    "cores in use": 'rate(process_cpu_seconds_total{job="edge-detect"}[5m])',
}


def describe_metrics() -> str:
    """The text of docs/metrics.md."""
    rows = ["| name | kind | labels | |", "| --- | --- | --- | --- |"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.full_name}` | {family.kind} | {labels} | {family.help} |")
    questions = ["| question | query |", "| --- | --- |"]
    questions += [f"| {question} | `{query}` |" for question, query in QUESTIONS.items()]
    bounds = ", ".join(f"{bound * 1000:g}" for bound in BUCKETS_S)
    tail = _TAIL.format(bounds=bounds, questions="\n".join(questions))
    return f"{_HEAD}{chr(10).join(rows)}\n{tail}"


if __name__ == "__main__":
    sys.stdout.write(describe_metrics())
