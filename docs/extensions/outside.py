"""Take the pages at the repository's root into the site, and mend links for it.

In a checkout and on a forge, pages link to whatever file they mean. On the site, a link to a page
leads to it, and one to another file of the repository becomes its words.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
COPIES = {
    ROOT / name: DOCS / "root" / f"{Path(name).stem.lower()}.md"
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/LOG.md")
}
"""Pages outside docs/, and where each stands on the site."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", lambda _: copy_pages())
    app.connect("source-read", mend_page)
    return {"parallel_read_safe": True}


def copy_pages() -> None:
    """Copy the pages from outside."""
    for source, copy in COPIES.items():
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(mended(source.read_text("utf-8"), source, copy), "utf-8")


def mend_page(_app: Sphinx, name: str, text: list[str]) -> None:
    """Mend the links of a page of docs/ itself."""
    page = DOCS / f"{name}.md"
    if page not in COPIES.values():
        text[0] = mended(text[0], page, page)


def mended(text: str, source: Path, page: Path) -> str:
    """Return *text*, written for *source*, with links that lead somewhere from *page*."""

    def replacement(link: re.Match[str]) -> str:
        mark, words, path, anchor = link.groups(default="")
        target = (source.parent / path).resolve()
        target = COPIES.get(target, target)
        if not target.is_relative_to(DOCS):
            return words
        return f"{mark}[{words}]({os.path.relpath(target, page.parent)}{anchor})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)", replacement, text)
