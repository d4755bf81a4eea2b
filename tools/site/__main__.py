"""`python -m tools.site OUTPUT`: build the site, without network. Warnings, dead links and what a page loads from elsewhere are errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .links import dead, foreign
from .source import ROOT, drop_contents, write_source

COLLECTION = "vmops.lifecycle"


def main(output: Path) -> int:
    """Returns the exit code."""
    source = ROOT / ".build" / "site" / "source"
    for directory in (source, output):
        shutil.rmtree(directory, ignore_errors=True)
    write_source(source)
    reference = source / "collection"
    reference.mkdir()
    subprocess.run(
        ["antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
         "--no-add-antsibull-docs-version", "--dest-dir", str(reference), COLLECTION],
        cwd=ROOT, check=True,
    )  # fmt: skip
    drop_contents(reference)
    command = ["sphinx-build", "-b", "html", "-W", "--keep-going", "-q", "-d", str(source.parent / "doctrees")]
    subprocess.run([*command, str(source), str(output)], cwd=ROOT, check=True)
    problems = [*dead(output), *foreign(output)]
    for problem in problems:
        print(problem, file=sys.stderr)
    pages = len(list(output.rglob("*.html")))
    print(f"{pages} pages below {output}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
