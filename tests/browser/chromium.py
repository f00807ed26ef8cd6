"""Debian's Chromium without a screen, driven by selenium; a test skips where there is none."""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

SIZES = {390: 844, 768: 1024, 1440: 900}
"""Widths and heights: a telephone, a tablet, a screen."""


@contextmanager
def chromium(profile: Path) -> Generator["Browser"]:
    """Start Chromium with a new *profile*."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("there is no chromium with chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield Browser(browser)
    finally:
        browser.quit()


class Browser:
    """What the tests do with a page."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.resize(1440)

    def resize(self, width: int, height: int | None = None) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height or SIZES[width],
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def prefer(self, scheme: str) -> None:
        """Ask for *scheme*: light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._command("Emulation.setEmulatedMedia", features=[feature])

    def _command(self, name: str, **values: Any) -> None:
        self._driver.execute_cdp_cmd(name, values)

    def open(self, address: str) -> None:
        self._driver.get(address)

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript *expression*."""
        return self._driver.execute_script(f"return {expression}")

    def wait(self, expression: str) -> Any:
        """Wait until *expression* is true, and return its value."""
        from selenium.webdriver.support.ui import WebDriverWait

        wait: Any = WebDriverWait(self._driver, 60, poll_frequency=0.05)
        return wait.until(self._is_true(expression), f"never true: {expression}")

    def _is_true(self, expression: str) -> Callable[[object], Any]:
        return lambda driver: self.ask(expression)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain: Any = ActionChains(self._driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def click(self, selector: str) -> None:
        self.ask(f"document.querySelector({selector!r}).click()")

    def text(self, selector: str) -> str:
        """Return the text that is shown of an element."""
        text: str = self.ask(f"document.querySelector({selector!r})?.innerText ?? ''")
        return text

    def messages(self) -> list[str]:
        """Return what the browser complained of."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def screenshot(self, path: Path) -> None:
        self._driver.save_screenshot(str(path))
