"""What sphinx is given: the pages as they are, but for links out of docs/, and a table of contents that follows their index."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TEMPLATES = ROOT / "tools" / "templates" / "site"
#: The index of docs/, which a reader of the repository sees first.
INDEX = "README.md"
#: A link to a file of the repository that is no page.
OUTSIDE = re.compile(r"\]\(\.\./([^)#]*)(#[^)]*)?\)")
#: A page's own table of contents, as antsibull-docs writes it.
LOCAL_CONTENTS = re.compile(r"^\.\. contents::\n(?:[ \t]+:.*\n)+", re.MULTILINE)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
PAGE = re.compile(r"^- \[[^\]]+\]\(([a-z-]+)\.md\)", re.MULTILINE)


def write_source(destination: Path) -> None:
    """Write it, into a directory that is not there yet."""
    destination.mkdir(parents=True)
    address = repository()
    for page in sorted(DOCS.glob("*.md")):
        text = OUTSIDE.sub(lambda match: f"]({address}/blob/main/{match[1]}{match[2] or ''})", page.read_text("utf-8"))
        name = "index.md" if page.name == INDEX else page.name
        (destination / name).write_text(text + contents(text) if page.name == INDEX else text, encoding="utf-8")
    for picture in DOCS.glob("*.png"):
        shutil.copy(picture, destination)
    for name in ("conf.py", "ansible-core.md"):
        shutil.copy(TEMPLATES / name, destination)


def drop_contents(reference: Path) -> None:
    """Take the tables of contents out of the generated pages: the theme has one beside each page, and complains of a second one."""
    for page in reference.glob("*.rst"):
        page.write_text(LOCAL_CONTENTS.sub("", page.read_text("utf-8")), encoding="utf-8")


def repository() -> str:
    """Where the collection says that its source is."""
    (address,) = re.findall(r"^repository: (\S+)$", (ROOT / "galaxy.yml").read_text("utf-8"), re.MULTILINE)
    return str(address)


def contents(index: str) -> str:
    """Tables of contents, one for each section of the index, with its pages; what is in no section follows."""
    titles = SECTION.split(index)[1:]
    sections = {title: PAGE.findall(body) for title, body in zip(titles[::2], titles[1::2], strict=True)}
    listed = {page for pages in sections.values() for page in pages}
    more = [page.stem for page in sorted(DOCS.glob("*.md")) if page.name != INDEX and page.stem not in listed]
    sections = {**sections, "More": more, "Modules, roles and plugins": ["collection/index", "ansible-core"]}
    return "".join(_toctree(title, pages) for title, pages in sections.items() if pages)


def _toctree(caption: str, pages: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])
