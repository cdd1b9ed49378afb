"""What every camera did, interval by interval, in files that outlive the process."""

from edge_detect.service.history.companion import HistoryCompanion

__all__ = ["HistoryCompanion"]
