"""A real browser, without a window, that is told what to do over its debugging protocol."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from support.waiting import PROMPT_S, wait_for

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
# Pages do some things every second: here they do them ten times a second, and nothing else is
# different, above all not how long they wait for an answer.
HURRY = """
    const later = window.setTimeout;
    window.setTimeout = (run, ms = 0, ...rest) => later(run, ms <= 1000 ? ms / 10 : ms, ...rest);
"""


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile, and end it.

    Args:
        folder: For the profile.
    """
    with subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            port, path = _where_it_listens(process, folder / "DevToolsActivePort")
            address = f"ws://127.0.0.1:{port}{path}"
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(address, timeout=30_000)
                yield browser
                browser.close()
        finally:
            process.terminate()
            process.wait(PROMPT_S)


def _where_it_listens(process: subprocess.Popen[bytes], file: Path) -> list[str]:
    """The port and the path of a browser's debugging protocol, once it has written them down."""

    def known() -> bool:
        assert process.poll() is None, "Chromium has ended"
        return file.exists() and "/devtools/" in file.read_text()

    wait_for(known, 60)
    return file.read_text().split()


class Tab:
    """A page in a context of its own, in a hurry, that remembers everything suspicious.

    Attributes:
        page: Playwright's page.
        complaints: Errors and warnings of the console, and exceptions.
        hosts: Everyone who was asked for something.
        asked: Every address that was asked for, in order.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context: BrowserContext = browser.new_context(**context)
        self.context.set_default_timeout(30_000)
        self.context.add_init_script(HURRY)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.asked: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note(self, address: str) -> None:
        self.asked.append(address)
        self.hosts.add(address.split("/")[2])

    def open(self, address: str) -> Page:
        """Load a page; the picture's stream never ends, so nobody waits for that."""
        self.page.goto(address, wait_until="commit")
        return self.page

    def close(self) -> None:
        """Forget the page and its cookies."""
        self.context.close()


def wait_in(page: Page, expression: str, seconds: float = 30) -> None:
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
