"""Writes tests/golden/format with real TensorFlow: run it in a Python that has TensorFlow 2.15.

    python tests/golden/make_format.py

- plain, prefixes, strings: SavedModels without their data files: saved_model.pb, fingerprint.pb, variables.index.
  `prefixes` has map keys that begin one another and functions with several argument attributes (integer keys);
  `strings` has an asset and constants of strings, whose values the hash of the graph leaves out.
- text.pbtxt: the text of `plain` and, in a collection of TF1, an Any.
- tensors.pb: a GraphDef; each node's name is "dtype shape", its attr `value` what make_tensor_proto wrote.
- hashes.json: Fingerprint64 of the first n bytes of 0, 7, 14, ... (mod 256), by n.

Written 2026-11 with TensorFlow 2.15.1 and NumPy 1.26.4.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

OUT = Path(__file__).parent / "format"
DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64 complex128 "
    "float8_e5m2 float8_e4m3fn int4 uint4 qint8 quint8 qint16 quint16 qint32"
).split()
SHAPES = ((), (1,), (2,), (3, 2), (0, 3))


class Plain(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.0, 2.0], [3.0, 4.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x @ self.weights}


class Prefixes(tf.Module):
    @tf.function
    def __call__(self, a: tf.Tensor, nested: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        total = a + nested["k"] + nested["key"]
        return {"out": total, "output": tf.reduce_sum(total), "o": tf.transpose(total)}


class Strings(tf.Module):
    def __init__(self, asset: str) -> None:
        super().__init__()
        self.asset = tf.saved_model.Asset(asset)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self.asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            -1,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, words: tf.Tensor) -> tf.Tensor:
        return self.table.lookup(tf.strings.join([words, ""]))


def write_model(name: str, module: tf.Module, scratch: Path, **options: object) -> None:
    target = OUT / name
    target.mkdir()
    tf.saved_model.save(module, str(scratch / name), **options)
    for source in ("saved_model.pb", "fingerprint.pb", "variables/variables.index"):
        shutil.copyfile(scratch / name / source, target / Path(source).name)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        (scratch / "words.txt").write_text("a\nb\n")
        write_model("plain", Plain(), scratch)
        spec = tf.TensorSpec([2, 2], tf.float32)
        prefixes = Prefixes()
        prefixes.__call__.get_concrete_function(spec, {"k": spec, "key": spec})
        write_model("prefixes", prefixes, scratch)
        write_model("strings", Strings(str(scratch / "words.txt")), scratch)

    model = saved_model_pb2.SavedModel.FromString((OUT / "plain" / "saved_model.pb").read_bytes())
    asset = meta_graph_pb2.AssetFileDef(filename="words.txt")
    model.meta_graphs[0].collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
    (OUT / "text.pbtxt").write_text(text_format.MessageToString(model))

    graph = tf.compat.v1.GraphDef()
    for name in DTYPES:
        for shape in SHAPES:
            whole = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3 + 1
            tensor = tf.make_tensor_proto(whole.astype(tf.as_dtype(name).as_numpy_dtype), dtype=name)
            graph.node.add(name=f"{name} {list(shape)}").attr["value"].tensor.CopyFrom(tensor)
    (OUT / "tensors.pb").write_bytes(graph.SerializeToString(deterministic=True))

    sizes = [*range(130), 1000, 4096, 70000, (1 << 20) + 17]
    data = [(np.arange(size) * 7).astype(np.uint8).tobytes() for size in sizes]
    rows = tf.raw_ops.Fingerprint(data=tf.constant(data), method="farmhash64").numpy()
    hashes = {str(size): int.from_bytes(row.tobytes(), "little") for size, row in zip(sizes, rows, strict=True)}
    (OUT / "hashes.json").write_text(json.dumps(hashes) + "\n")


if __name__ == "__main__":
    main()
