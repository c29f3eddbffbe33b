"""The notebooks run from top to bottom, and are kept without outputs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)

    # The kernel is a process of its own: it finds this pitflow, and writes nowhere else.
    root = str(path.parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with warnings.catch_warnings():
        # Those of the client's own machinery, not of the code in the notebook.
        warnings.simplefilter("ignore")
        nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute(
            cwd=str(tmp_path)
        )
    shown = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not [output.text for output in shown if output.get("name") == "stderr"]
    # A value that fills the page was not meant to be shown.
    assert all(len(output.get("data", {}).get("text/plain", "")) < 10_000 for output in shown)
