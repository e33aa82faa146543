"""A report in a browser: nothing is loaded from outside, nothing fails, the sliders move, it fits wide and narrow windows.

    check_report.py REPORT.html PICTURE.png

Needs Selenium, and Debian's chromium and chromium-driver. Saves how the page looks: PICTURE.png wide and light,
PICTURE-dark.png wide and dark, PICTURE-narrow.png on a phone.
"""

import base64
import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --hide-scrollbars"
    " --disable-background-networking --disable-component-update --disable-sync"
)


@contextmanager
def browsing():
    """A browser with a profile of its own, which ends with the block."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in [*OPTIONS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            yield browser
        finally:
            browser.quit()


def check_requests(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    outside = [address for address in addresses if not address.startswith(("file:", "data:"))]
    assert addresses, "the page itself was not seen to be loaded"
    assert not outside, f"loaded from outside: {outside}"


def check_pictures(browser):
    broken = browser.execute_async_script("""
        const done = arguments[0], pictures = [...document.images];
        Promise.allSettled(pictures.map((picture) => picture.decode()))
            .then(() => done(pictures.filter((picture) => !picture.naturalWidth).map((picture) => picture.alt)));
    """)
    assert not broken, f"pictures that cannot be shown: {broken}"
    assert not browser.execute_script("return [...document.images].filter((picture) => !picture.alt).length")


def check_sliders(browser):
    cards = [c for c in browser.find_elements(By.CLASS_NAME, "card") if c.find_elements(By.TAG_NAME, "input")]
    assert cards, "no slider"
    for card in cards:
        slider, label = card.find_element(By.TAG_NAME, "input"), card.find_element(By.CLASS_NAME, "shown")

        def shown():
            pictures = [p for p in card.find_elements(By.CSS_SELECTOR, ".frame img") if p.is_displayed()]
            assert len(pictures) == 1, f"{len(pictures)} pictures of a card are shown at once"
            (picture,) = pictures
            labels = {label.text, picture.get_attribute("data-label"), slider.get_attribute("aria-valuetext")}
            assert len(labels) == 1 and label.text, f"picture, label and slider disagree: {labels}"
            return picture.get_attribute("src"), label.text

        slider.send_keys(Keys.HOME)
        seen = [shown()]
        for _ in range(int(slider.get_attribute("max"))):
            slider.send_keys(Keys.ARROW_RIGHT)
            seen.append(shown())
        assert len({label for _, label in seen}) == len(seen), f"not every step shows another slice: {seen}"
        assert len({picture for picture, _ in seen}) > 1, "every slice shows the same picture"


def look(browser, width, scheme, path):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page = browser.execute_script("return document.documentElement.scrollWidth")
    assert page <= width, f"the page is {page} pixels wide in a window of {width}"
    browser.execute_script("document.activeElement.blur(); scrollTo({top: 0, behavior: 'instant'})")
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(picture["data"]))


def main(report, picture):
    with browsing() as browser:
        browser.get("about:blank")
        browser.get_log("performance")  # what the browser's own first page asked for
        browser.get(report.resolve().as_uri())
        check_pictures(browser)
        check_sliders(browser)
        look(browser, 1280, "light", picture)
        look(browser, 1280, "dark", picture.with_stem(picture.stem + "-dark"))
        look(browser, 420, "light", picture.with_stem(picture.stem + "-narrow"))
        check_requests(browser)
        said = browser.get_log("browser")
        assert not said, f"the console says: {said}"
    print(f"{report}: as it should be")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
