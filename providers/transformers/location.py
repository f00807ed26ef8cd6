"""Finding and identifying a model: a folder, a GGUF file, ``smollm2``, a name in the Hub's cache.

Nothing is downloaded, and nothing here imports torch.
"""

from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ..local.weights import digest_of, find_file
from ..optional import install_command

REMEDY: Final = install_command("train")
_WHERE: Final = (
    "a folder with config.json and *.safetensors, a .gguf file, smollm2, or a name that is in the"
    " Hub's cache; nothing is downloaded"
)
_PARTS: Final = ("*.safetensors", "config.json", "generation_config.json", "*token*", "*.jinja")
"""The files of a folder that can change a reply."""


def find_model(name: str) -> Path:
    """Return the folder or the GGUF file that *name* stands for.

    Raises:
        FileNotFoundError: there is none, or a library is missing; the message says what to do.
    """
    for library in ("torch", "transformers"):
        if find_spec(library) is None:
            raise FileNotFoundError(f"{library} is not installed: {REMEDY}")
    if is_gguf(name):
        return find_file(name)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _cached(name)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{name}: holds no config.json: give {_WHERE}")
    return folder


def is_gguf(name: str) -> bool:
    """Whether *name* is that of a GGUF file, or of the embedded model."""
    return name == "smollm2" or name.endswith(".gguf")


def _cached(name: str) -> Path:
    """Return the folder of the snapshot of *name* in the Hub's cache."""
    hub: Any = import_module("huggingface_hub")
    try:
        config_file = hub.try_to_load_from_cache(name, "config.json")
    except ValueError:  # no name of a repository
        config_file = None
    if not isinstance(config_file, str):
        raise FileNotFoundError(f"{name}: not found: give {_WHERE}")
    return Path(config_file).parent


def digest_model(path: Path) -> str:
    """Return a digest of everything that can change a model's reply. Blocks: it reads the weights.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_file():
        return digest_of(path)
    digest = sha256()
    for part in sorted(_parts(path)):
        digest.update(f"{part.name} {digest_of(part)}\n".encode())
    return digest.hexdigest()


def _parts(folder: Path) -> Iterator[Path]:
    for pattern in _PARTS:
        yield from folder.glob(pattern)
