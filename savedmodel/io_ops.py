"""Ops that touch files: records whose kernels are refused unless the path was allowed. The tracer itself has no disk.

`allow_files(path)` lets the ops read and write below `path` inside a `with` block; a loader does so for the model it loads.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from savedmodel.format import bundle, v1_checkpoint
from savedmodel.format.slices import parse_shape_and_slice
from tracer import infer, lookup
from tracer.dispatch import raw
from tracer.errors import RefusedOpError
from tracer.registry import op
from tracer.shapes import TensorShape

__all__ = ["allow_files", "matching_files", "read_asset", "read_file", "write_file"]


class _Allowed(threading.local):
    def __init__(self) -> None:
        self.roots: tuple[str, ...] = ()


_allowed = _Allowed()


@contextlib.contextmanager
def allow_files(*paths: Any) -> Iterator[None]:
    """Let file ops of this thread reach the given files, and what lies below the given directories, inside the block."""
    previous = _allowed.roots
    _allowed.roots = (*previous, *(os.path.realpath(os.fspath(p)) for p in paths))
    try:
        yield
    finally:
        _allowed.roots = previous


def _check(op_name: str, path: Any) -> str:
    text = os.fsdecode(path.item() if isinstance(path, np.ndarray) else path)
    real = os.path.realpath(text)
    for root in _allowed.roots:
        if real == root or real.startswith(root.rstrip(os.sep) + os.sep) or real.startswith(root + "."):
            return text
    raise RefusedOpError(
        f"op {op_name}: it wants to touch the file {text!r}, and models may not touch files; if you trust the model, run it inside "
        f"`with savedmodel.io_ops.allow_files({os.path.dirname(text)!r}):`"
    )


def read_asset(path: bytes) -> bytes:
    """The content of a file that is an asset of a loaded model or of an object of this process; others are refused."""
    if os.path.realpath(os.fsdecode(path)) not in lookup.known_assets:
        _check("that reads a file", path)
    with open(path, "rb") as file:
        return file.read()


def _strings(values: list[str]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = [v.encode() for v in values]
    return out


# -- checkpoints -----------------------------------------------------------------------------------------------------

save_op = op(
    "SaveV2(prefix: string, tensor_names: string, shape_and_slices: string, tensors: dtypes) -> () !stateful; dtypes: list(type) >= 1"
).not_differentiable()


@save_op.kernel
def _(prefix: Any, names: Any, slices: Any, *tensors: Any, dtypes: Any) -> Any:
    path = _check("SaveV2", prefix)
    with bundle.BundleWriter(path) as writer:
        for name, text, value, dtype in zip(names, slices, tensors, dtypes, strict=True):
            parsed = parse_shape_and_slice(text.decode())
            if parsed is None:
                writer.add(name, value, dtype.name)
            else:
                writer.add_slice(name, parsed[0], parsed[1], value)
    return ()


restore_op = op(
    "RestoreV2(prefix: string, tensor_names: string, shape_and_slices: string) -> (tensors: dtypes) !stateful; dtypes: list(type) >= 1"
).not_differentiable()
restore_op.infer(infer.unknown)


@restore_op.kernel
def _(prefix: Any, names: Any, slices: Any, *, dtypes: Any) -> Any:
    reader = v1_checkpoint.open_checkpoint(_check("RestoreV2", prefix))
    out = []
    for name, text in zip(names, slices, strict=True):
        parsed = parse_shape_and_slice(text.decode())
        key = name.decode()
        out.append(reader.read(key) if parsed is None else reader.read_slice(key, parsed[1]))
    return out


merge_op = op(
    "MergeV2Checkpoints(checkpoint_prefixes: string, destination_prefix: string) -> () !stateful; delete_old_dirs: bool = true; "
    "allow_missing_files: bool = false"
).not_differentiable()


@merge_op.kernel
def _(prefixes: Any, destination: Any, *, delete_old_dirs: bool, allow_missing_files: bool) -> Any:
    paths = [_check("MergeV2Checkpoints", p) for p in prefixes.reshape(-1)]
    bundle.merge_bundles(paths, _check("MergeV2Checkpoints", destination), allow_missing=allow_missing_files)
    if delete_old_dirs:
        for folder in {os.path.dirname(p) for p in paths}:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    return ()


sharded_op = op("ShardedFilename(basename: string, shard: int32, num_shards: int32) -> (filename: string)").not_differentiable()
sharded_op.infer(infer.scalar)
sharded_op.kernel(lambda base, shard, count: b"%s-%05d-of-%05d" % (base.item(), int(shard), int(count)))

sharded_spec_op = op("ShardedFilespec(basename: string, num_shards: int32) -> (filename: string)").not_differentiable()
sharded_spec_op.infer(infer.scalar)
sharded_spec_op.kernel(lambda base, count: b"%s-?????-of-%05d" % (base.item(), int(count)))

_OLD = (
    "Save(filename: string, tensor_names: string, data: T) -> () !stateful; T: list(type) >= 1",
    "SaveSlices(filename: string, tensor_names: string, shapes_and_slices: string, data: T) -> () !stateful; T: list(type) >= 1",
)
for _line in _OLD:
    _record = op(_line).not_differentiable()
    _record.no_kernel = "it writes the V1 checkpoint format, which is read here and not written; save with tf.train.Checkpoint"

old_restore_op = op(
    "Restore(file_pattern: string, tensor_name: string) -> (tensor: dt) !stateful; dt: type; preferred_shard: int = -1"
).not_differentiable()
old_restore_op.kernel(
    lambda pattern, name: v1_checkpoint.open_checkpoint(_check("Restore", pattern)).read(name.item().decode())
)

restore_slice_op = op(
    "RestoreSlice(file_pattern: string, tensor_name: string, shape_and_slice: string) -> (tensor: dt) !stateful; dt: type; "
    "preferred_shard: int = -1"
).not_differentiable()


@restore_slice_op.kernel
def _(pattern: Any, name: Any, text: Any) -> Any:
    reader = v1_checkpoint.open_checkpoint(_check("RestoreSlice", pattern))
    parsed = parse_shape_and_slice(text.item().decode())
    key = name.item().decode()
    return reader.read(key) if parsed is None else reader.read_slice(key, parsed[1])


# -- files -----------------------------------------------------------------------------------------------------------

read_file_op = op("ReadFile(filename: string) -> (contents: string)").not_differentiable()
read_file_op.infer(infer.scalar)


@read_file_op.kernel
def _(filename: Any) -> Any:
    return read_asset(filename.item())


write_file_op = op("WriteFile(filename: string, contents: string) -> () !stateful").not_differentiable()


@write_file_op.kernel
def _(filename: Any, contents: Any) -> Any:
    path = _check("WriteFile", filename)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(contents.item())
    return ()


matching_op = op("MatchingFiles(pattern: string) -> (filenames: string)").not_differentiable()
matching_op.infer(lambda ctx: TensorShape([None]))


@matching_op.kernel
def _(pattern: Any) -> Any:
    found: list[str] = []
    for item in np.ravel(pattern):
        text = os.fsdecode(item)
        _check("MatchingFiles", os.path.dirname(text) or ".")
        found.extend(p for p in glob.glob(text) if fnmatch.fnmatch(p, text))
    return _strings(sorted(found))


def read_file(filename: Any, name: str | None = None) -> Any:
    """The content of a file, a scalar string. Inside of a saved model: of one of its assets."""
    return raw.ReadFile(filename, name=name)


def write_file(filename: Any, contents: Any, name: str | None = None) -> Any:
    """Write the scalar string `contents` to a file; its directory is made where it is not there."""
    return raw.WriteFile(filename, contents, name=name)


def matching_files(pattern: Any, name: str | None = None) -> Any:
    """The files that match one of the shell patterns, sorted."""
    return raw.MatchingFiles(pattern, name=name)
