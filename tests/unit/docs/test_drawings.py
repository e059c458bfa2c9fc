"""Drawings of sites of several sizes in a real browser: text stays in its box, uncrossed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from cairn import PROJECT
from cairn.reference import __main__ as reference
from cairn.reference import drawing
from cairn.reference.inventory import Inventory
from cairn.reference.svg import Drawing

SITES = ("example", "lab", "lab-ha")
# What is wrong with a drawing, found with the shapes as the browser has laid them out.
LOOK = """
const wrong = [], texts = [...document.querySelectorAll('text')];
const of = e => {
  const b = e.getBBox();
  return {l: b.x, t: b.y, r: b.x + b.width, b: b.y + b.height};
};
const meet = (a, b) => a.l < b.r && b.l < a.r && a.t < b.b && b.t < a.b;
const view = document.documentElement.viewBox.baseVal;
const outer = {l: 0, t: 0, r: view.width, b: view.height};
const within = (a, b) => a.l >= b.l && a.t >= b.t && a.r <= b.r && a.b <= b.b;
for (const text of texts) {
  const own = of(text), name = text.textContent;
  if (!name.trim()) continue;
  const box = of(text.parentNode.querySelector('rect'));
  if (!within(own, box)) wrong.push('leaves its box: ' + name);
  if (!within(own, outer)) wrong.push('leaves the drawing: ' + name);
  for (const other of texts)
    if (other !== text && other.textContent.trim() && meet(own, of(other)))
      wrong.push('overlaps ' + other.textContent + ': ' + name);
  for (const line of document.querySelectorAll('line'))
    if (meet(own, of(line))) wrong.push('is crossed by a line: ' + name);
}
const boxes = [...document.querySelectorAll('g rect')];
boxes.forEach((one, n) => boxes.slice(n + 1).forEach(other => {
  if (meet(of(one), of(other))) wrong.push('two boxes overlap');
}));
return {wrong: wrong, texts: texts.length,
  colour: getComputedStyle(texts[0]).fill,
  back: getComputedStyle(document.documentElement).backgroundColor};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if not shutil.which("chromedriver"):
        pytest.skip("no browser: tools/setup --browser")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    folder = tmp_path_factory.mktemp("browser")
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={folder}")
    made = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield made
    made.quit()


def look(browser: webdriver.Chrome, path: Path, scheme: str = "light") -> dict[str, Any]:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get(path.as_uri())
    found: dict[str, Any] = browser.execute_script(LOOK)
    return found


@pytest.mark.parametrize("site", SITES)
def test_text_stays_in_its_box(browser: webdriver.Chrome, site: str, tmp_path: Path) -> None:
    assert drawing.main([str(PROJECT / "inventories" / site), "--output", str(tmp_path)]) == 0
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) > 2
    for path in drawn:
        seen = look(browser, path)
        assert seen["texts"] > 5
        assert seen["wrong"] == [], path.name


def test_what_is_wrong_is_seen(browser: webdriver.Chrome, tmp_path: Path) -> None:
    wrong = Drawing("x", "x")
    wrong.box(10, 10, ["a text", "another"]).w = 25
    wrong.box(30, 12, ["over it"])
    wrong.line((0, 20), (90, 22))
    path = tmp_path / "wrong.svg"
    path.write_text(wrong.svg())
    seen = " ".join(look(browser, path)["wrong"])
    for said in ("leaves its box: a text", "overlaps", "crossed by a line", "two boxes overlap"):
        assert said in seen


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_follows_the_readers_colours(
    browser: webdriver.Chrome, scheme: str, dark: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.svg"
    simple = Drawing("x", "x")
    simple.box(10, 10, ["text"])
    path.write_text(simple.svg())
    seen = look(browser, path, scheme)
    bright = [sum(map(int, seen[k][4:-1].split(", "))) > 384 for k in ("colour", "back")]
    assert bright == [dark, not dark]


def test_the_committed_drawings_are_what_is_made(root: Path) -> None:
    wanted = dict(reference.images())
    folder = root / "docs/images"
    assert {path.name for path in folder.glob("*.svg")} == set(wanted), "make docs"
    assert [n for n, text in wanted.items() if (folder / n).read_text() != text] == [], "make docs"


def test_a_drawing_says_what_it_shows_and_the_text_has_the_same() -> None:
    inventory = Inventory(PROJECT / "inventories/example")
    for hosts in drawing.shapes(inventory.site):
        made = drawing.host_drawing(inventory, hosts)
        assert made.title in made.svg()
        assert "<desc " in made.svg()
        text = drawing.host_text(inventory, hosts)
        for attachment in hosts[0].attachments:
            for fact in (attachment.device, str(attachment.address), attachment.plane.name):
                assert fact in text
                assert fact in made.svg()
        assert all(
            str(nic.mac) in text and str(nic.mac) in made.svg() for nic in hosts[0].nics.values()
        )
    known = sorted(h.name for hosts in drawing.shapes(inventory.site) for h in hosts)
    assert known == sorted(inventory.site.hosts)


def test_names_that_follow_one_another_are_one() -> None:
    assert drawing.ranges(["a1", "a2", "a3", "a5", "b", "c9", "c10"]) == "a1-3, a5, b, c9-10"


def test_a_folder_that_is_no_inventory_is_refused(tmp_path: Path, capsys: Any) -> None:
    assert drawing.main([str(tmp_path / "none")]) == 1
    assert "no such inventory" in capsys.readouterr().err
