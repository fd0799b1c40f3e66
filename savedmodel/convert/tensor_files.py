"""Named arrays as `.safetensors` and `.npz` files. It refuses strings and other values that these formats cannot hold."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy

from savedmodel.errors import SavedModelError
from savedmodel.keras.saving.h5_files import publishing

__all__ = ["NoTensorFormError", "read_safetensors", "write_npz", "write_safetensors"]


class NoTensorFormError(SavedModelError, TypeError):
    """A value that the format cannot hold."""


_SAFETENSORS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_NUMPY = {code: name for name, code in _SAFETENSORS.items()}


def write_safetensors(path: str, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays, one after the other, with a JSON header in front.

    Args:
        tensors: name → array, or something with `dtype`, `shape` and `__array__`, which is read when it is written.

    Raises:
        TypeError: a dtype that the format does not have; the message names the tensor.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, tensor in tensors.items():
        dtype = np.dtype(tensor.dtype)
        code = _SAFETENSORS.get(dtype.name)
        if code is None:
            raise NoTensorFormError(f"{path} > {name}: expected numbers or booleans - received dtype {dtype.name}, which safetensors does not have; use .npz or .h5")
        size = int(np.prod(tensor.shape, dtype=np.int64)) * dtype.itemsize
        header[name] = {"dtype": code, "shape": [int(d) for d in tensor.shape], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with publishing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in tensors.values():
            array = np.ascontiguousarray(np.asarray(tensor))
            if array.dtype.byteorder == ">":
                array = array.astype(array.dtype.newbyteorder("<"))
            file.write(array.reshape(-1).view(np.uint8).data)


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """The arrays in a file, mapped from disk. Raises TypeError for damaged headers."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > 100 << 20:
            raise NoTensorFormError(f"{path}: expected a safetensors header - received one of {size} bytes; the file is damaged or of another kind")
        try:
            header = json.loads(file.read(size))
        except ValueError as error:
            raise NoTensorFormError(f"{path}: expected a JSON header ({error}); the file is damaged or of another kind") from None
    data = np.memmap(path, np.uint8, "r", offset=8 + size)
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        kind = _NUMPY[entry["dtype"]]
        if kind.startswith(("bfloat", "float8")):
            import ml_dtypes

            dtype = np.dtype(getattr(ml_dtypes, kind))
        else:
            dtype = np.dtype(kind)
        out[name] = data[start:end].view(dtype).reshape(entry["shape"])
    return out


def write_npz(path: str, tensors: Mapping[str, Any]) -> None:
    """Write arrays as members `<name>.npy` of an uncompressed archive, one at a time.

    Raises:
        TypeError: a tensor of strings longer than NumPy can hold without pickling.
    """
    with publishing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, tensor in tensors.items():
            array = np.asarray(tensor)
            if array.dtype == object:
                array = _bytes_array(path, name, array)
            if array.dtype.kind == "V":  # bfloat16 and float8: NumPy alone could not read them
                array = array.astype(np.float32)
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def _bytes_array(path: str, name: str, array: np.ndarray) -> np.ndarray:
    fixed = array.astype("S")
    if any(a != b for a, b in zip(array.reshape(-1), fixed.reshape(-1), strict=True)):
        raise NoTensorFormError(f"{path} > {name}: strings that end in zero bytes have no form in .npz")
    return fixed

