"""`savedmodel demo`: runs both processes and shows what was written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

__all__ = ["demo"]


def demo(out: str | None = None, epochs: int = 8, verbose: int = 2) -> int:
    """Train and save in this process, revive and train on in another. Returns the exit code.

    Args:
        out: where to leave the model; a temporary directory by default, removed at the end.
        epochs: of the first training; the second has half as many.
    """
    from savedmodel.demo.train import train_and_save

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = out or str(Path(folder) / "digits_model")
        print("== 1. A subclassed model with a custom layer learns handwritten digits (1,500 of 1,797 images)")
        scores = train_and_save(path, epochs, verbose)
        scores_file = str(Path(folder) / "scores.npy")
        np.save(scores_file, scores)
        print(f"\n== 2. What was written to {path}")
        show_directory(path)
        print("\n== 3. A second process, without the classes, revives it and goes on training")
        sys.stdout.flush()
        command = [sys.executable, "-m", "savedmodel.demo.revive", path, scores_file, str(max(epochs // 2, 1)), str(verbose)]
        code = subprocess.run(command, check=False).returncode
    print(f"\n{'done' if code == 0 else 'FAILED'} in {time.perf_counter() - start:.1f} s")
    return code


def show_directory(path: str) -> None:
    """The files of a SavedModel, and what is inside."""
    import savedmodel

    for folder, _, files in sorted(os.walk(path)):
        for name in sorted(files):
            file = os.path.join(folder, name)
            print(f"  {os.path.relpath(file, path):45s} {os.path.getsize(file):>9,} bytes")
    reader = savedmodel.open(path)
    graph = reader.meta_graphs[0]
    nodes = sum(len(f.node_def) for f in graph.graph_def.library.function)
    print(f"  signatures: {', '.join(k for k in sorted(reader.signatures) if not k.startswith('__'))}")
    print(f"  {len(reader.functions)} functions with {nodes} nodes, {len(reader.objects.nodes)} objects, {len(list(reader.variables))} tensors")
    problems = reader.verify()
    print(f"  fingerprint and checksums: {'all agree' if not problems else '; '.join(problems)}")
