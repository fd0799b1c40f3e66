"""Writes the checkpoints under tests/golden/bundles with TensorFlow 2.15.1 (2026-11-22). Run: python tests/golden/make_bundles.py

`tensors()`, `many()`, `sliced()` and `shards()` say what is in them; the tests import these, so this module imports TensorFlow only to write.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np

HERE = Path(__file__).parent / "bundles"
NUMBERS = (
    "float32 float64 int32 uint8 int16 int8 complex64 int64 bool bfloat16 uint16 complex128 float16 uint32 uint64 "
    "float8_e5m2 float8_e4m3fn int4 uint4 qint8 quint8 qint32 qint16 quint16"
).split()


def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of a TensorFlow type name; a quantized type is held in plain integers."""
    return np.dtype(getattr(ml_dtypes, name, None) or name.removeprefix("q"))


def number_tensor(name: str) -> np.ndarray:
    """A 2 x 3 tensor of a type, with negative and imaginary parts where it has them."""
    dtype = numpy_dtype(name)
    values = np.array([[0, 1, 2], [3, 5, 7]])
    if "u" not in name and name != "bool":
        values = np.array([[0, 1, -2], [3, -4, 7]])
    if dtype.kind == "c":
        return (values + 1j * values[::-1]).astype(dtype)
    return values.astype(dtype)


def tensors() -> dict[str, np.ndarray]:
    """All types, scalars, empty shapes and strings, in the order of saving (which is not the order of the names)."""
    out = {f"z/{name}": number_tensor(name) for name in reversed(NUMBERS)}
    out["scalar"] = np.array(2.5, np.float32)
    out["empty"] = np.zeros((0, 3), np.float64)
    out["strings/scalar"] = np.array(b"one", object)
    out["strings/many"] = np.array(
        [[b"", b"a\x00b", "h\u00e9".encode()], [b"x" * 127, b"y" * 128, b"z" * 20000]], object
    )
    out["strings/empty"] = np.empty((2, 0), object)
    out["\u00fcnicode/.ATTRIBUTES/VARIABLE_VALUE"] = np.arange(3, dtype=np.int64)
    return out


def many() -> dict[str, np.ndarray]:
    """2,001 tensors with long and short names: an index of several data blocks."""
    out = {}
    for number in range(2001):
        name = f"layer_{number * 7919 % 2001}/" + "kernel_" * (number % 40) + "/.ATTRIBUTES/VARIABLE_VALUE"
        out[name] = np.full((number % 3,), number, np.int32)
    return out


def sliced() -> list[tuple[str, str, np.ndarray]]:
    """(name, shape_and_slice, value): rows, columns, a spelled-out full extent, large offsets, a full slice."""
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    grid = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    return [
        ("rows", "4 3 2,2:-", rows[2:]),
        ("rows", "4 3 0,2:-", rows[:2]),
        ("plain", "", np.arange(3, dtype=np.int16)),
        ("grid", "2 3 4 0,2:0,1:-", grid[:, :1]),
        ("grid", "2 3 4 -:1,2:0,2", grid[:, 1:, :2]),
        ("grid", "2 3 4 -:1,2:2,2", grid[:, 1:, 2:]),
        ("whole", "4 3 0,4:-", rows),
        ("far", "9000 0,64", np.zeros(64, np.uint8)),
        ("far", "9000 64,8191", np.ones(8191, np.uint8)),
        ("far", "9000 8255,745", np.full(745, 2, np.uint8)),
        ("gap", "4 0,1", np.zeros(1, np.float32)),
        ("n\x00\u00ff", "2 0,1", np.zeros(1, np.float32)),
    ]


def shards() -> list[dict[str, np.ndarray]]:
    """The contents of three bundles that are merged."""
    return [
        {"b": np.arange(4, dtype=np.float32), "a": np.array([b"s"], object)},
        {"c": np.ones((2, 2))},
        {"0": np.array(7)},
    ]


def save(tf, prefix: str, named: list[tuple[str, str, object]]) -> None:
    """One SaveV2."""
    names, slices, values = zip(*named)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=slices, tensors=values)


def to_tf(tf, name: str, value: np.ndarray):
    """The tensor of a value; `name` ends in the type where NumPy does not tell it."""
    if value.dtype == object:
        return tf.constant(value.tolist(), tf.string, shape=value.shape)
    kind = name.split("/")[-1]
    if kind.startswith(("q", "int4", "uint4")) and value.ndim:
        dtype = getattr(tf.dtypes.experimental, kind, None) or getattr(tf, kind)
        plain = tf.constant(value.astype(np.int8 if "int4" in kind else value.dtype))
        return tf.bitcast(plain, dtype) if kind.startswith("q") else tf.cast(plain, dtype)
    return tf.constant(value)


def write_v1(tf) -> None:
    """TF1 variables in the V1 format: one file, and as shards."""
    tf1 = tf.compat.v1
    with tf1.Graph().as_default(), tf1.Session() as session:
        make = {
            name: tf1.get_variable(f"v/{name}", initializer=tf.constant(number_tensor(name)), use_resource=False)
            for name in "float32 float64 int32 uint8 int16 int8 complex64 int64 bool complex128 float16".split()
        }
        tf1.get_variable("strings", initializer=tf.constant([b"ab", b"", b"c"]), use_resource=False)
        tf1.get_variable("scalar", initializer=tf.constant(7), use_resource=False)
        tf1.get_variable("empty", initializer=tf.zeros([0, 2]), use_resource=False)
        value = tf.reshape(tf.range(15.0), [5, 3])
        tf1.get_variable("parts", initializer=value, partitioner=tf1.fixed_size_partitioner(2), use_resource=False)
        assert make
        session.run(tf1.global_variables_initializer())
        for name, sharded in (("v1", False), ("v1_sharded", True)):
            saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1, sharded=sharded)
            saver.save(session, str(HERE / name), write_meta_graph=False, write_state=False)


def main() -> None:
    """Writes everything anew."""
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    import tensorflow as tf

    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    save(tf, str(HERE / "tensors"), [(name, "", to_tf(tf, name, value)) for name, value in tensors().items()])
    save(tf, str(HERE / "sliced"), [(name, spec, tf.constant(value)) for name, spec, value in sliced()])
    reserved = tf.raw_ops.TensorListReserve(element_shape=[2], num_elements=3, element_dtype=tf.float32)
    filled = tf.raw_ops.TensorListSetItem(input_handle=reserved, index=1, item=[1.0, 2.0])
    save(tf, str(HERE / "variants"), [("one", "", filled), ("two", "", tf.stack([filled, filled]))])
    parts = []
    for number, part in enumerate(shards()):
        parts.append(str(HERE / f"part{number}"))
        named = [(name, "", to_tf(tf, name, value)) for name, value in part.items()]
        save(tf, parts[-1], [*named, ("across", f"3 2 {number},1:-", tf.fill([1, 2], float(number)))])
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(HERE / "merged"))
    write_v1(tf)
    save(tf, str(HERE / "many"), [(name, "", tf.constant(value)) for name, value in many().items()])
    digests = {}
    for path in sorted(HERE.glob("many.*")):
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
    (HERE / "digests.json").write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
