"""Find the function that ``model = "python/MODULE:FUNCTION"`` names, and pass it its values."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

SCORING: Final = ("score", "judge")
"""The prompts that a function of an instruction and an answer replies to."""

TEMPLATE: Final = """--- system
{{instruction}}
--- assistant
{{first}}
--- user
{{second}}"""
"""How the values of `SCORING` travel: each is one message, whole."""


def find_function(model: str) -> Path:
    """Return the file of the module in *model*, ``MODULE:FUNCTION``, without importing anything.

    Raises:
        FileNotFoundError: it is not named so, or not installed.
    """
    module, colon, function = model.partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() for part in parts):
        raise FileNotFoundError(f"must be python/MODULE:FUNCTION, got {model!r}")
    spec = _find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise FileNotFoundError(
            f"no module {module!r} for {sys.executable}: install the package that holds it,"
            " or put its folder on PYTHONPATH"
        )
    return Path(spec.origin)


def _find_spec(module: str) -> ModuleSpec | None:
    """Find *module* as an import does; `importlib.util.find_spec` would import its packages."""
    spec, path = None, None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((one for one in specs if one is not None), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec
