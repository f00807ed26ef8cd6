"""Optional dependencies: the command that installs an extra of this package.

It depends on where the package itself is from, which installers record in ``direct_url.json``
(PEP 610): a checkout, a file, a repository, or, without a record, a package index.
"""

import json
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

PACKAGE: Final = "codeclm"


def install_command(extra: str) -> str:
    """Return the command that installs this package with *extra*, as it is installed now."""
    return f"{_pip()} install {requirement(extra, _record())}"


def requirement(extra: str, record: dict[str, Any]) -> str:
    """Return what to tell pip to install, quoted for a shell.

    Args:
        extra: one of the extras in ``pyproject.toml``.
        record: the content of ``direct_url.json``; empty if there is none.
    """
    by_name = f"{PACKAGE}[{extra}]"
    url: str = record.get("url", "")
    if "vcs_info" in record:
        vcs = record["vcs_info"]
        return f'"{by_name} @ {vcs["vcs"]}+{url}@{vcs["commit_id"]}"'
    if urlsplit(url).scheme != "file":
        return f'"{by_name} @ {url}"' if url else f'"{by_name}"'
    path = Path(url2pathname(urlsplit(url).path))
    if not path.exists():
        return f'"{by_name}"'
    editable = "-e " if record.get("dir_info", {}).get("editable") else ""
    return f"{editable}{shlex.quote(f'{path}[{extra}]')}"


def _record() -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(
            distribution(PACKAGE).read_text("direct_url.json") or "{}"
        )
    except (PackageNotFoundError, OSError, ValueError):
        return {}
    return record


def _pip() -> str:
    """Return the pip of the interpreter that runs: the one on the path may be another's."""
    on_path = shutil.which("pip")
    is_ours = on_path is not None and Path(on_path).parent == Path(sys.executable).parent
    return "pip" if is_ours else f"{shlex.quote(sys.executable)} -m pip"
