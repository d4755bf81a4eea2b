"""The page in Chromium, with 1 and with 100 hosts: it fits a phone, everyone can use it, and nothing in it acts or asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from plugin_utils import attention, fleet, page
from plugin_utils.reader import Reader
from selenium.webdriver.common.by import By
from vm_lifecycle.agent.explanation import TABLES

from .browser import DESK, PHONE, Browser, browser
from .made_up import HOSTILE, Fleet

TEMPLATES = Path(__file__).resolve().parents[2] / "playbooks" / "templates" / "report"
TITLE = "Fleet of the tests"
NOW = datetime(2026, 11, 26, 13, tzinfo=UTC)
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility()).length"


def written(directory: Path, number: int) -> Path:
    """A page of so many hosts."""
    hosts = fleet.hosts(Fleet(NOW).documents(number))
    explained = {code: text for _where, texts in TABLES for code, text in texts.items()}
    reader = Reader(NOW, ZoneInfo("Europe/Berlin"))
    path = directory / f"{number}.html"
    path.write_text(page.render(TEMPLATES, hosts, attention.concerns(hosts, NOW), reader, TITLE, explained))
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    directory = tmp_path_factory.mktemp("pages")
    return {number: written(directory, number) for number in (1, 100)}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


#: Of the large page once: what differs from the small one is how much there is of it.
@pytest.mark.parametrize(
    ("number", "size", "scheme"),
    [(1, PHONE, "light"), (1, PHONE, "dark"), (1, DESK, "light"), (1, DESK, "dark"), (100, PHONE, "dark")],
)
def test_everyone_can_use_it(
    chromium: Browser, pages: dict[int, Path], number: int, size: tuple[int, int], scheme: str
) -> None:
    """Nothing is found by axe-core, as the page comes, and with a host open that has all that there may be."""
    chromium.show(pages[number], size, scheme)
    chromium.run("document.querySelector('#host-1').open = true")
    assert chromium.violations() == []
    chromium.picture(pages[number].with_suffix(f".{size[0]}.{scheme}.png"), 2400)


@pytest.mark.parametrize("number", [1, 100])
def test_it_fits_a_phone(chromium: Browser, pages: dict[int, Path], number: int) -> None:
    """Also when all of it is open, and a name is as long as names may be."""
    chromium.show(pages[number], PHONE)
    assert chromium.run("return document.documentElement.scrollWidth") == PHONE[0]
    chromium.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert chromium.run("return document.documentElement.scrollWidth") == PHONE[0]
    wider = "return [...document.querySelectorAll('main *')].filter((each) => each.scrollWidth > innerWidth).length"
    assert chromium.run(wider) == 0


@pytest.mark.parametrize("number", [1, 100])
def test_nothing_is_asked_for_and_no_name_acts(chromium: Browser, pages: dict[int, Path], number: int) -> None:
    chromium.requests()
    chromium.complaints()
    chromium.show(pages[number])
    assert [url for url in chromium.requests() if not url.startswith("data:")] == [pages[number].as_uri()]
    assert chromium.complaints() == []
    assert chromium.driver.title == TITLE
    assert chromium.run("return document.querySelectorAll('img, iframe, object, embed, form').length") == 0
    assert chromium.run("return document.querySelectorAll('script').length") == 1
    names = chromium.run("return [...document.querySelectorAll('#host-1 li.vm .name')].map((each) => each.textContent)")
    assert set(HOSTILE) <= set(names)


def test_the_policy_holds_if_escaping_should_not(chromium: Browser, pages: dict[int, Path], tmp_path: Path) -> None:
    """The same page, with what a name might have smuggled in."""
    smuggled = (
        "<script>document.title = 'owned'</script><img src='http://192.0.2.1/x' onerror=\"document.title = 'owned'\">"
    )
    path = tmp_path / "smuggled.html"
    path.write_text(pages[1].read_text().replace("<main id=", f"{smuggled}<main id="))
    chromium.complaints()
    chromium.show(path)
    assert chromium.driver.title == TITLE
    said = " ".join(chromium.complaints())
    assert "Content Security Policy" in said and "img-src" in said and "script-src" in said


def test_a_reader_finds_things(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.show(pages[100])
    assert chromium.run(VISIBLE, "details.host") == 100
    assert chromium.run(VISIBLE, "li.vm") == 0
    box = chromium.driver.find_element(By.ID, "filter")

    def search(words: str, status: str) -> None:
        box.clear()
        box.send_keys(words)
        chromium.driver.execute_async_script("setTimeout(arguments[0], 200)")
        assert chromium.driver.find_element(By.CSS_SELECTOR, ".status").text == status

    search("kvm77 ci-4", "1 VM on 1 host.")
    assert chromium.run(VISIBLE, "details.host") == 1 and chromium.run(VISIBLE, "li.vm") == 1
    search("no route", "0 VMs on 1 host.")
    search("nothing of that kind", "0 VMs on 0 hosts.")
    search("audit 4711", "1 VM on 1 host.")
    box.clear()
    held = chromium.driver.find_element(By.CSS_SELECTOR, "button[data-word=held]")
    held.click()
    assert held.get_attribute("aria-pressed") == "true"
    assert chromium.driver.find_element(By.CSS_SELECTOR, ".status").text == "6 VMs on 1 host."
    held.click()
    assert chromium.driver.find_element(By.CSS_SELECTOR, ".status").text == "100 hosts, 1,181 VMs."
    assert chromium.run(VISIBLE, "details.host") == 100 and chromium.run(VISIBLE, "li.vm") == 0
    chromium.driver.find_element(By.CSS_SELECTOR, ".concern a[href='#host-24']").click()
    assert chromium.run("return document.querySelector('#host-24').open") is True


def test_it_can_be_printed_and_read_without_its_script(
    chromium: Browser, pages: dict[int, Path], tmp_path: Path
) -> None:
    """On paper nothing is folded; without a script there is no search, and all else."""
    chromium.show(pages[1], media="print")
    chromium.run("for (const each of document.querySelectorAll('details')) each.open = false")
    shown = "return document.querySelector('#host-1 li.vm').getBoundingClientRect().height"
    assert chromium.run(shown) > 0
    assert chromium.run(VISIBLE, ".tools") == 0
    bare = tmp_path / "bare.html"
    text = pages[100].read_text()
    bare.write_text(text[: text.rindex("<script>")] + "</body></html>")
    chromium.show(bare)
    assert chromium.run(VISIBLE, ".tools") == 0
    assert chromium.run(VISIBLE, "details.host > summary") == 100
