"""A real browser, without a window, that is told what to do over its debugging protocol."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from support.waiting import wait_for

# `vsync` and the like do not matter to screenshots; everything that calls home is off.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile, and end it.

    Args:
        folder: For the profile.
    """
    with subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            address = next(
                match[0]
                for line in process.stderr or ()
                if (match := re.search(r"ws://\S+/devtools/browser/\S+", line))
            )
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(address, timeout=30_000)
                yield browser
                browser.close()
        finally:
            process.terminate()
            process.wait(10)


class Tab:
    """A page in a context of its own that remembers everything suspicious.

    Attributes:
        page: Playwright's page.
        complaints: Errors and warnings of the console, and exceptions.
        hosts: Everyone who was asked for something.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context: BrowserContext = browser.new_context(**context)
        self.context.set_default_timeout(15_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, address: str) -> Page:
        """Load a page; the picture's stream never ends, so nobody waits for that."""
        self.page.goto(address, wait_until="commit")
        return self.page

    def close(self) -> None:
        """Forget the page and its cookies."""
        self.context.close()


def wait_in(page: Page, expression: str, seconds: float = 15) -> None:
    """Wait until JavaScript holds in a page.

    Playwright's own way uses `eval`, which the page's security policy rightly forbids.
    """

    def holds() -> bool:
        try:
            return bool(page.evaluate(expression))
        except Error as error:
            # The page is being replaced by another just now, or has no such element yet.
            if "context was destroyed" in str(error) or "null" in str(error):
                return False
            raise

    wait_for(holds, seconds)
