"""The example notebook, in a Jupyter kernel: its cells run where an event loop runs already."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .commands import environment

EXAMPLES = Path(__file__).parents[1] / "examples"

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("notebook.ipynb", as_version=4)
NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, "executed.ipynb")
"""


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))["cells"]

    assert [cell["outputs"] for cell in cells if cell.get("outputs")] == []


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="needs nbclient (dependency group dev)")
    pytest.importorskip("ipykernel", reason="needs ipykernel (dependency group dev)")
    for name in ("notebook.ipynb", "seeds.jsonl"):
        shutil.copy(EXAMPLES / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        cwd=tmp_path,
        env=environment(tmp_path, HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "executed.ipynb").read_text("utf-8"))["cells"]
    outputs = ["".join(out["text"]) for cell in cells for out in cell.get("outputs", ())]
    rows = (tmp_path / "rows.jsonl").read_text("utf-8").count("\n")

    assert outputs[1].startswith(f"finished: {rows} rows from ")
    assert outputs[2].count("\n") == 2 * rows > 0
    assert outputs[-1] == f"{rows} rows in rows.jsonl\n"
