"""The README's code runs, block after block in one namespace, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BOOKS = [p for p in (ROOT / "README.md", ROOT / "tracer/README.md", ROOT / "savedmodel/README.md", ROOT / "savedmodel/format/README.md") if p.exists()]


@pytest.mark.parametrize("book", BOOKS, ids=[str(b.relative_to(ROOT)) for b in BOOKS])
def test_the_code_in_a_readme_runs(book: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", book.read_text(), re.S | re.M)
    assert blocks
    script = tmp_path / "book.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr[-3000:]
