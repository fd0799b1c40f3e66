"""What `run` does: arrays from files or literals into a signature, results printed or written. Literals are parsed, never evaluated."""

from __future__ import annotations

import ast
import os
import re
from typing import Any

import numpy as np

import savedmodel
from savedmodel.errors import FormatError

__all__ = ["run"]


def run(path: str, signature: str, tag_set: str | None, inputs: str, expressions: str, outdir: str | None) -> tuple[Any, str]:
    """Run a signature. Returns the results as lists and as text."""
    loaded = savedmodel.load(path, tags=tag_set.split(",") if tag_set else None)
    function = loaded.signatures[signature]
    feeds = {**_from_files(inputs), **_from_literals(expressions)}
    results = function(**feeds)
    lines, value = [], {}
    for name, tensor in results.items():
        array = np.asarray(tensor)
        value[name] = array.tolist()
        lines += [f"Result for output key {name}:", str(array)]
        if outdir:
            os.makedirs(outdir, exist_ok=True)
            np.save(os.path.join(outdir, f"{name}.npy"), array)
    return value, "\n".join(lines)


def _split(text: str) -> list[tuple[str, str]]:
    out = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, mark, rest = part.partition("=")
        if not mark:
            raise FormatError(f"expected name=value, received {part!r}")
        out.append((name.strip(), rest.strip()))
    return out


def _from_files(text: str) -> dict[str, Any]:
    out = {}
    for name, file in _split(text):
        match = re.fullmatch(r"(.+?)\[(.+)\]", file)
        file, key = match.groups() if match else (file, None)
        data = np.load(file, allow_pickle=False)
        if hasattr(data, "files"):
            key = key or (data.files[0] if len(data.files) == 1 else None)
            if key not in data.files:
                raise FormatError(f"{file}: expected one of the keys {data.files}, received {key!r}; write {name}={file}[KEY]")
            data = data[key]
        out[name] = data
    return out


def _from_literals(text: str) -> dict[str, Any]:
    out = {}
    for name, expression in _split(text):
        try:
            out[name] = np.array(ast.literal_eval(expression))
        except (ValueError, SyntaxError) as error:
            raise FormatError(f"--input_exprs {name}: expected numbers, strings or nested lists of these, received {expression!r} ({error})") from None
        if out[name].dtype == np.float64:
            out[name] = out[name].astype(np.float32)
    return out
