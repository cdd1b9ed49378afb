"""How the daemon is doing, for Prometheus and for whoever asks whether it is alive.

families    every metric with its unit, labels and meaning; docs/metrics.md is made from it
exporter    the values, read at the moment of a scrape
http        /metrics, /healthz and /readyz as applications
companion   a server of their own for them
"""
