"""The import table: who may import whom. Read from the source, so that lazy imports count too."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VOCABULARY = {"tracer.errors", "tracer.dtypes", "tracer.shapes", "tracer.specs", "tracer.nest"}
OPTIONAL_ENDS = ("savedmodel.engines", "savedmodel.convert", "savedmodel.serve", "savedmodel.cli")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("tracer", "savedmodel"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


ALL = list(modules())


def within(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(p + ".") for p in packages)


def violations(of: str, name: str, imported: set[str]) -> set[str]:
    if within(name, "tracer"):
        bad = {i for i in imported if within(i, "savedmodel", "google.protobuf")}
        if within(name, "tracer.ir"):
            bad |= {i for i in imported if within(i, "tracer.ops", "tracer.exec", "tracer.dispatch", "tracer.registry", "os", "io")}
        if name in VOCABULARY:
            bad |= {i for i in imported if within(i, "tracer.ir", "tracer.ops", "tracer.dispatch", "tracer.tensor", "tracer.functions")}
        if within(name, "tracer.ops"):
            bad |= {i for i in imported if within(i, "tracer.exec", "tracer.passes")}
        return bad
    if within(name, "savedmodel.format"):
        # errors.py takes the root of the error tree from below; nothing else of the tracer is known there
        return {i for i in imported if within(i, "tracer") and not (name == "savedmodel.format.errors" and within(i, "tracer.errors"))}
    if name.startswith("savedmodel.keras"):
        return {i for i in imported if within(i, *OPTIONAL_ENDS)}
    if within(name, "savedmodel.tf", "savedmodel.cli", "savedmodel.demo", "savedmodel.convert") or name in ("savedmodel", "savedmodel.__main__"):
        return set()
    return {i for i in imported if within(i, "savedmodel.keras", *OPTIONAL_ENDS)}


@pytest.mark.parametrize(("name", "path"), ALL, ids=[n for n, _ in ALL])
def test_a_module_imports_only_what_its_layer_may(name: str, path: Path) -> None:
    assert violations(str(path), name, imports_of(path)) == set()


@pytest.mark.parametrize(("name", "path"), ALL, ids=[n for n, _ in ALL])
def test_no_module_passes_a_thousand_lines_and_each_says_what_it_owns(name: str, path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 1000
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize(("name", "path"), ALL, ids=[n for n, _ in ALL])
def test_nothing_imports_tensorflow_or_pickle(name: str, path: Path) -> None:
    assert {i for i in imports_of(path) if within(i, "tensorflow", "pickle", "keras")} == set()


def loaded_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", code + "\nimport sys; print('\\n'.join(sys.modules))"], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return set(out.stdout.split())


def test_importing_the_library_loads_no_kernel_and_no_keras() -> None:
    loaded = loaded_after("import savedmodel, tracer")
    assert not {m for m in loaded if m.startswith(("tracer.ops", "tracer.exec", "savedmodel.keras", "google"))}


def test_looking_at_a_model_loads_no_kernel() -> None:
    model = next((ROOT / "tests/golden").rglob("saved_model.pb")).parent
    code = f"import savedmodel; r = savedmodel.open({str(model)!r}); r.signatures; r.functions; r.fingerprint; repr(r)"
    assert not {m for m in loaded_after(code) if m.startswith(("tracer.ops", "tracer.exec", "savedmodel.keras"))}


def test_the_index_of_ops_is_current() -> None:
    code = "from tracer.ops.__main__ import index_text; from pathlib import Path; import tracer.ops as o; import sys; "
    code += "sys.exit(index_text() != Path(o.__path__[0], 'index.py').read_text())"
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, "tracer/ops/index.py is old: run `python -m tracer.ops`"
