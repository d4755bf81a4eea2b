"""Debian's Chromium without a window and without a network, and what it says about a page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

#: A browser that does nothing by itself; every request of a page that is no file would fail, and is recorded all the same.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
#: Which hack/axe put there.
AXE = Path(__file__).resolve().parents[2] / ".build" / "axe" / "axe.min.js"
PHONE, DESK = (390, 844), (1280, 900)


class Browser:
    """A page at a time, at a size and in a colour scheme."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def show(self, page: Path, size: tuple[int, int] = DESK, scheme: str = "light", media: str = "") -> None:
        """Load it anew."""
        self.size(*size)
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self.driver.get(page.as_uri())

    def size(self, width: int, height: int) -> None:
        """Of the window."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *words: Any) -> Any:
        """A script, and what it returns."""
        return self.driver.execute_script(script, *words)

    def violations(self) -> list[str]:
        """What axe-core finds."""
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text("utf-8")})
        # what is folded away is not seen, and only takes time
        what = "{exclude: ['details.host:not([open]) > .inside']}, {resultTypes: ['violations']}"
        found = self.driver.execute_async_script(f"axe.run({what}).then(arguments[0], arguments[0])")
        assert found["passes"], "axe-core looked at nothing"
        return [f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]

    def requests(self) -> list[str]:
        """Everything that was asked for since the last call, the page itself included."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the console says, such as of a policy that was not kept to."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, path: Path, height: int) -> None:
        """A picture of the page's top."""
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        made = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(made["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """profile: an empty directory."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_script_timeout(300)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
