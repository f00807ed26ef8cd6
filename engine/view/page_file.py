"""The page as one HTML document: its style, its scripts, and what it shows."""

import gzip
from base64 import b64encode
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_MODULES: Final = (
    "elements.js",
    "formats.js",
    "differences.js",
    "source.js",
    "tables.js",
    "charts.js",
    "thresholds.js",
    "figures.js",
    "costs.js",
    "listing.js",
    "transcript.js",
    "comparison.js",
    "page.js",
)
"""The page's scripts, each using those before it alone."""

NO_PLOTTING: Final = 'charts need plotly: pip install "codeclm[view]"'


class Plotting:
    """plotly.js, as the package plotly ships it.

    Attributes:
        script: its text.
        compressed: the same in gzip; made when it is first needed, in half a second.
    """

    def __init__(self, path: Path) -> None:
        self.script = path.read_text("utf-8")

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.script.encode(), mtime=0)


@cache
def plotting() -> Plotting | None:
    """Return plotly.js; None if the package is not installed. Blocks."""
    package = find_spec("plotly")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "package_data" / "plotly.min.js"
    return Plotting(path) if path.is_file() else None


def served_page() -> tuple[str, str]:
    """Return the page of the server, and its Content-Security-Policy."""
    return _document(""), _policy("connect-src 'self'; frame-ancestors 'none'; ")


def self_contained_page(data: bytes) -> str:
    """Return the page as a file that shows *data*, which is JSON, and loads nothing."""
    parts = [
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
        f'<script type="application/json" id="data">{_in_script(data)}</script>',
    ]
    if (library := plotting()) is not None:
        encoded = b64encode(library.compressed).decode()
        parts.append(f'<script type="text/plain" id="plotly">{encoded}</script>')
    return _document("\n".join(parts))


def _document(extra: str) -> str:
    return (
        _asset("page.html")
        .replace("{{style}}", _asset("page.css"))
        .replace("{{script}}", _script())
        .replace("{{data}}", extra)
    )


def _policy(more: str = "") -> str:
    """Return the policy: our style and our scripts by their hashes, and nothing else."""
    library = plotting()
    scripts = [_script(), *([] if library is None else [library.script])]
    return (
        f"default-src 'none'; {more}script-src {' '.join(map(_hash, scripts))};"
        f" style-src {_hash(_asset('page.css'))} {_hash('')}; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _in_script(data: bytes) -> str:
    """Escape JSON for a script element: nothing in it can end the element."""
    return data.decode("utf-8").replace("<", "\\u003c").replace("\u2028", "\\u2028")


@cache
def _script() -> str:
    """Return all modules as one: their names are distinct, so imports can be left out."""
    lines = list[str]()
    for name in _MODULES:
        for line in _asset(name).splitlines():
            if not line.startswith("import "):
                lines.append(line.removeprefix("export "))
    return '"use strict";\n{\n' + "\n".join(lines) + "\n}\n"


@cache
def _asset(name: str) -> str:
    return (files(__name__.rpartition(".")[0]) / "page" / name).read_text("utf-8")
