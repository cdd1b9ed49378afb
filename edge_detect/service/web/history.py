"""The report of the history as a page, made when somebody asks for it."""

import asyncio
import time
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import HTMLResponse

from edge_detect.core import EdgeDetectError
from edge_detect.service.history.files import metrics_directory
from edge_detect.service.report import CONTENT_SECURITY_POLICY, make_report, make_report_html

__all__ = ["add_report"]

_PATIENCE_S = 20.0
# One is made, another waits for its turn.
_MOST = 2

Hours = Annotated[float, Query(gt=0, le=24 * 366, description="how far back")]


def add_report(app: FastAPI, state_directory: Path) -> None:
    """Answer at /report with the page of `edge-detect report --html`.

    Args:
        app: Which answers.
        state_directory: Where the daemon keeps its files.
    """
    # Reading days of history takes a while, and a disk may hang: neither holds pictures up,
    # nor the end of the program (an executor's threads are waited for), and however many ask,
    # one report is made at a time.
    turn = Lock()
    begun: set[Future[str]] = set()

    def make(hours: float, report: Future[str]) -> None:
        try:
            with turn:
                # Whoever asked may have given up meanwhile.
                if report.set_running_or_notify_cancel():
                    directory = metrics_directory(state_directory)
                    made = make_report(directory, time.time() - 3600 * hours)
                    report.set_result(make_report_html(made))
        except Exception as error:  # noqa: BLE001 - raised where the report is waited for
            report.set_exception(error)
        finally:
            begun.discard(report)

    @app.get(
        "/report",
        response_class=HTMLResponse,
        responses={503: {"description": "There is no history, or reading it takes too long."}},
        tags=["history"],
    )
    async def report(hours: Hours = 24.0) -> Response:
        """The rates, latencies, restarts and outages of the last hours, as a page."""
        if len(begun) >= _MOST:
            raise HTTPException(503, "Others are waiting for reports.", {"Retry-After": "5"})
        made: Future[str] = Future()
        begun.add(made)
        Thread(target=make, args=(hours, made), name="edge-web-report", daemon=True).start()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                page = await asyncio.wrap_future(made)
        except TimeoutError:
            raise HTTPException(503, "Reading the history takes too long.") from None
        except EdgeDetectError as error:
            raise HTTPException(503, f"There is no report: {error.message}.") from error
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})
