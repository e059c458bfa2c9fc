"""The dashboard in a headless Chromium: the pages that the tests visit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root, which Chromium's own sandbox refuses
    "--disable-dev-shm-usage",  # there the lab's machines have their memory
    "--disable-gpu",
    "--no-proxy-server",
    "--no-first-run",
    "--lang=en",
    "--window-size=1400,1200",
)


def driver(folder: Path, authority: Path) -> webdriver.Chrome:
    """Start Chromium with a home of its own, which has the authority to trust."""
    store = folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for words in (
        ["-N", "--empty-password"],
        ["-A", "-n", "cairn", "-t", "C,,", "-i", str(authority)],
    ):
        subprocess.run(["certutil", "-d", f"sql:{store}", *words], check=True)
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    # A page is used before everything in it has loaded: the console is a page inside one.
    options.page_load_strategy = "eager"
    service = Service("/usr/bin/chromedriver", env={**os.environ, "HOME": str(folder)})
    return webdriver.Chrome(options=options, service=service)


def row(name: str, kind: str = "") -> str:
    """A selector of the row of `name` in a table of horizon's."""
    table = f"table#{kind} " if kind else ""
    return f'{table}tr[data-display="{name}"]'


class Dashboard:
    """Pages of the dashboard at `url`; `pictures` is the folder of its screenshots."""

    def __init__(self, url: str, folder: Path, authority: Path, pictures: Path) -> None:
        self.url = url
        self.pictures = pictures
        self.driver = driver(folder, authority)

    def quit(self) -> None:
        """Close the browser."""
        self.driver.quit()

    def open(self, path: str) -> None:
        """Go to a page."""
        self.driver.get(self.url + path)

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def wait(self, condition: Any, seconds: float = 120) -> Any:
        """Wait for one of Selenium's conditions; elements that are redrawn do not end the wait."""
        ignored = [StaleElementReferenceException]
        return WebDriverWait(self.driver, seconds, ignored_exceptions=ignored).until(condition)

    def see(self, selector: str, seconds: float = 120) -> WebElement:
        """Wait until the element of a CSS selector is visible."""
        where = (By.CSS_SELECTOR, selector)
        found: WebElement = self.wait(expected.visibility_of_element_located(where), seconds)
        return found

    def read(self, selector: str, text: str, seconds: float = 120) -> None:
        """Wait until the element of a CSS selector has this text in it."""
        where = (By.CSS_SELECTOR, selector)
        self.wait(expected.text_to_be_present_in_element(where, text), seconds)

    def click(self, selector: str) -> None:
        """Click on the element of a CSS selector, once it can be clicked."""
        self.wait(expected.element_to_be_clickable((By.CSS_SELECTOR, selector))).click()

    def write(self, selector: str, text: str) -> None:
        """Type into a field."""
        field = self.see(selector)
        field.clear()
        field.send_keys(text)

    # --- login and logout

    def visit(self) -> None:
        """Visit without a session."""
        self.driver.delete_all_cookies()
        self.open("/")
        self.see("#loginBtn")

    def log_in(self, name: str, password: str) -> None:
        """Fill in the login form and send it."""
        self.visit()
        self.write("#id_username", name)
        self.write("#id_password", password)
        self.click("#loginBtn")

    # --- forms

    def upload_image(self, name: str, file: Path) -> None:
        """Make an image of a raw disk by the form for it."""
        self.open("/project/images")
        button = (By.XPATH, "//button[normalize-space()='Create Image']")
        self.wait(expected.element_to_be_clickable(button)).click()
        self.write("#imageForm-name", name)
        # The form has these only after it has asked the dashboard for the choices.
        field = self.wait(expected.presence_of_element_located((By.NAME, "image_file")))
        field.send_keys(str(file))
        choice = (By.XPATH, "//select[@id='imageForm-format']/option[normalize-space()='Raw']")
        self.wait(expected.presence_of_element_located(choice)).click()
        self.click("wizard button.finish")

    def launch(self, name: str, *, image: str, flavor: str, network: str) -> None:
        """Launch an instance by the wizard for it."""
        self.open("/project/instances/")
        self.click("#instances__action_launch-ng")
        self.write("wizard #name", name)
        for step, form, choice in (
            ("Source", "launchInstanceSourceForm", image),
            ("Flavor", "launchInstanceFlavorForm", flavor),
            ("Networks", "launchInstanceNetworkForm", network),
        ):
            self.wait(expected.element_to_be_clickable((By.LINK_TEXT, step))).click()
            self.choose(form, choice)
        self.click("wizard button.finish")

    def choose(self, form: str, name: str) -> None:
        """Take `name` in a step of the wizard, unless it is taken already (an only network is)."""
        rows = f"//ng-include[@ng-form='{form}']//tr[.//*[normalize-space(text())='{name}']]"
        found = self.wait(expected.visibility_of_element_located((By.XPATH, rows)))
        up = found.find_elements(By.CSS_SELECTOR, "button .fa-arrow-up, .fa-arrow-up")
        if up:
            up[0].click()
