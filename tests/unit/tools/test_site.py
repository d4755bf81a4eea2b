"""The site's own checks find what is wrong, and its table of contents leaves no page out."""

from __future__ import annotations

from pathlib import Path

from tools.site.links import dead, foreign
from tools.site.source import DOCS, INDEX, contents, drop_contents, write_source


def site(directory: Path, **pages: str) -> Path:
    """Pages by their names."""
    for name, body in pages.items():
        (directory / f"{name}.html").write_text(f"<html><body>{body}</body></html>")
    return directory


def test_dead_links(tmp_path: Path) -> None:
    """Pages, places on pages, and files; what leads out of the site is not looked at."""
    good = '<a href="b.html#x">b</a> <a href="#own">here</a> <p id="own"></p> <a href="https://example.com/#y">out</a>'
    site(tmp_path, a=good, b='<h1 id="x">x</h1>')
    assert list(dead(tmp_path)) == []
    site(tmp_path, a=good + '<a href="b.html#gone">b</a> <a href="c.html">c</a> <img src="d.png">')
    assert list(dead(tmp_path)) == [
        "a.html: b.html#gone: no such place on that page",
        "a.html: c.html: no such page",
        "a.html: d.png: no such page",
    ]


def test_what_needs_a_network(tmp_path: Path) -> None:
    """Scripts, styles and pictures from elsewhere; not links that a reader follows."""
    site(tmp_path, a='<a href="https://example.com/">out</a> <link rel="canonical" href="https://example.com/a">')
    assert list(foreign(tmp_path)) == []
    site(tmp_path, a='<script src="https://cdn.example.com/x.js"></script><link rel="stylesheet" href="//x.org/y.css">')
    assert list(foreign(tmp_path)) == [
        "a.html: loads https://cdn.example.com/x.js",
        "a.html: loads //x.org/y.css",
    ]


def test_contents() -> None:
    """A section of the index is one of the table; pages of none come under More."""
    found = contents("# Title\n\n## First\n\n- [Disks](disks.md)\n- not a page\n\n## Second\n\n- [Undo](undo.md)\n")
    first, second, more, *rest = found.split("```{toctree}")[1:]
    assert ":caption: First\n\ndisks\n```" in first
    assert ":caption: Second\n\nundo\n```" in second
    assert {"alerts", "tutorial"} <= set(more.split()) and "disks" not in more.split()
    assert len(rest) == 1


def test_the_index_names_every_page() -> None:
    """None is under More."""
    assert ":caption: More" not in contents((DOCS / INDEX).read_text("utf-8"))


def test_generated_pages_have_no_contents_of_their_own(tmp_path: Path) -> None:
    """The theme would print an error on each of them."""
    page = tmp_path / "a.rst"
    page.write_text("Title\n=====\n\n.. contents::\n   :local:\n   :depth: 1\n\nText\n\n.. note::\n   :x:\n")
    drop_contents(tmp_path)
    assert page.read_text() == "Title\n=====\n\n\nText\n\n.. note::\n   :x:\n"


def test_links_out_of_the_pages(tmp_path: Path) -> None:
    """Lead to the repository, since the site has no such file; the text is otherwise as it is."""
    write_source(tmp_path / "source")
    index = (tmp_path / "source" / "index.md").read_text("utf-8")
    assert "](https://github.com/vmops/lifecycle/blob/main/README.md)" in index
    assert "](../" not in index
    assert (tmp_path / "source" / "undo.md").read_text("utf-8") == (DOCS / "undo.md").read_text("utf-8")
