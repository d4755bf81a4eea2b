"""Links of built pages: whether what they lead to within the site is there, and whether a page loads anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Tag -> the attribute that a browser loads by itself.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
#: Relations of <link> that load nothing.
QUIET = {"canonical", "search", "index", "next", "prev", "author", "copyright", "genindex"}


class Page(HTMLParser):
    """Anchors, links and loaded addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        attribute = LOADED.get(tag)
        if attribute and given.get(attribute) and not QUIET & set(given.get("rel", "").split()):
            self.loads.append(given[attribute])


def dead(site: Path) -> Iterator[str]:
    """Links within the site that lead nowhere."""
    pages = _pages(site)
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.relative_to(site)}: {link}: no such page"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(site)}: {link}: no such place on that page"


def foreign(site: Path) -> Iterator[str]:
    """What pages load from other addresses: the site has to be whole without a network."""
    for path, page in _pages(site).items():
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{path.relative_to(site)}: loads {address}"


def _pages(site: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path.read_text("utf-8")) for path in sorted(site.resolve().rglob("*.html"))}
