"""The operators' page in a real browser: that it is styled, readable and fits a phone."""

import shutil
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from support.board import BoardStack, board_stack, fill
from support.ops import operated
from timpush_ops.board_command import serving

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="no browser: apt-get install chromium chromium-driver, or the same of your system",
    ),
]

CONTRAST = """
const parse = (text) => text.match(/[0-9.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b]
  .map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (one) => {
  for (; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
};
const texts = [...document.querySelectorAll("body *")].filter((one) =>
  [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
return texts.map((one) => {
  const levels = [light(parse(getComputedStyle(one).color)), light(ground(one))];
  return [(Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05), one.textContent.trim()];
});
"""
"""The contrast of each text with what is behind it, as WCAG 2.2 computes it."""


@pytest.fixture(scope="module")
def stack(aws_url: str) -> Iterator[BoardStack]:
    with pytest.MonkeyPatch.context() as patch, operated(aws_url, patch):
        boto3.setup_default_session()
        with board_stack() as made:
            fill(made)
            yield made


@pytest.fixture(scope="module")
def address(stack: BoardStack) -> Iterator[str]:
    with serving(stack.name, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}/?refresh=0"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser without a window, with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--hide-scrollbars", "--no-proxy-server"),
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = Chrome(options, ChromeService(str(DRIVER)))
    try:
        yield started
    finally:
        started.quit()


def set_width(driver: Chrome, width: int) -> None:
    """Let the screen be so many CSS pixels wide."""
    screen = {"width": width, "height": 1_400, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def prefer(driver: Chrome, scheme: str) -> None:
    """Let the user's system be light or dark."""
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)


def test_light_and_dark_are_readable(address: str, stack: BoardStack, driver: Chrome) -> None:
    set_width(driver, 1_280)
    grounds = set()
    for scheme in ("light", "dark"):
        prefer(driver, scheme)
        driver.get(address)
        assert driver.title == f"1 alarm · {stack.name}"
        found: list[Any] = driver.execute_script(CONTRAST)
        assert len(found) > 50
        assert [one for one in found if one[0] < 4.5] == []
        body = driver.find_element(By.TAG_NAME, "body")
        grounds.add(body.value_of_css_property("background-color"))
    assert len(grounds) == 2
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_figures_are_drawn(address: str, driver: Chrome) -> None:
    set_width(driver, 1_280)
    driver.get(address)
    budget = driver.find_element(By.CSS_SELECTOR, "section[aria-labelledby=budget]")
    bar = budget.find_element(By.CSS_SELECTOR, ".bar")
    used = bar.find_element(By.TAG_NAME, "rect").rect["width"] / bar.rect["width"]
    assert 0 < used < 1
    assert f"{100 * used:.0f} %" in str(bar.get_attribute("aria-label"))
    assert len(budget.find_elements(By.CSS_SELECTOR, ".spark rect")) > 40
    driver.find_element(By.TAG_NAME, "summary").click()
    assert driver.find_element(By.XPATH, "//li[contains(., 'QueueAgeAlarm')]").is_displayed()


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_runs_over_the_edge(address: str, driver: Chrome, width: int) -> None:
    set_width(driver, width)
    driver.get(address)
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
