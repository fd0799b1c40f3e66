"""Messages against TensorFlow itself: the bytes of tensors, what its kernels read, fingerprints, two libraries in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from savedmodel.format import protos
from savedmodel.format.errors import FormatError
from savedmodel.format.fingerprint import fingerprint_of, read_fingerprint, singleprint, verify
from savedmodel.format.tensor_proto import tensor_from_proto, tensor_to_proto
from savedmodel.format.text import print_text
from savedmodel.format.wire import parse, serialize

tf = pytest.importorskip("tensorflow")

NUMERIC = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64 complex128 "
    "float8_e5m2 float8_e4m3fn int4 uint4"
).split()
QUANTIZED = "qint8 quint8 qint16 quint16 qint32".split()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2,), (3, 2), (0, 3)], ids=str)
@pytest.mark.parametrize("name", NUMERIC)
def test_tensor_bytes_are_those_of_make_tensor_proto(name: str, shape: tuple[int, ...]) -> None:
    dtype = tf.as_dtype(name).as_numpy_dtype
    value = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3 - (name[0] in "fbic")).astype(dtype)
    theirs = tf.make_tensor_proto(value, dtype=name)
    ours = tensor_to_proto(value, name)
    assert ours.SerializeToString() == theirs.SerializeToString()
    read = tensor_from_proto(ours)
    assert read.dtype == value.dtype
    np.testing.assert_array_equal(read, tf.make_ndarray(theirs))


@pytest.mark.parametrize("shape", [(), (1,), (2,), (0, 3)], ids=str)
@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_tensor_bytes_are_those_of_make_tensor_proto(name: str, shape: tuple[int, ...]) -> None:
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape) + 1
    theirs = tf.make_tensor_proto(whole.astype(tf.as_dtype(name).as_numpy_dtype), dtype=name)
    assert tensor_to_proto(whole, name).SerializeToString() == theirs.SerializeToString()


@pytest.mark.parametrize("value", ["abc", b"a\0", [b"a\0", b"\xff"], ["é", "b"], np.array([b"a", b"bc"])], ids=repr)
def test_string_tensor_bytes_are_those_of_make_tensor_proto(value: object) -> None:
    assert tensor_to_proto(value).SerializeToString() == tf.make_tensor_proto(value).SerializeToString()


#: Messages no writer makes today; TensorFlow's kernel is the judge of what they mean.
ODD = {
    "last value repeats": "dtype: DT_FLOAT tensor_shape { dim { size: 3 } } float_val: [1, 2]",
    "nothing is zeros": "dtype: DT_FLOAT tensor_shape { dim { size: 3 } }",
    "too many values": "dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: [1, 2]",
    "values for no element": "dtype: DT_FLOAT tensor_shape { dim { size: 0 } } float_val: [1, 2]",
    "content wins": 'dtype: DT_FLOAT tensor_shape { dim { size: 1 } } tensor_content: "abcd" float_val: 3',
    "content too short": 'dtype: DT_FLOAT tensor_shape { dim { size: 1 } } tensor_content: "abc"',
    "content bool": 'dtype: DT_BOOL tensor_shape { dim { size: 3 } } tensor_content: "\\001\\000\\001"',
    "content no bool": 'dtype: DT_BOOL tensor_shape { dim { size: 3 } } tensor_content: "\\001\\000\\002"',
    "content int4": 'dtype: DT_INT4 tensor_shape { dim { size: 3 } } tensor_content: "\\001\\000\\017"',
    "content uint16": 'dtype: DT_UINT16 tensor_shape { dim { size: 2 } } tensor_content: "abcd"',
    "content string": 'dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: "\\001\\002abb"',
    "content string too long": 'dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: "\\001\\002abbc"',
    "list int4": "dtype: DT_INT4 tensor_shape { dim { size: 3 } } int_val: [1, -3, 9]",
    "list uint4": "dtype: DT_UINT4 tensor_shape { dim { size: 3 } } int_val: [1, -3, 19]",
    "list int8 wraps": "dtype: DT_INT8 tensor_shape { dim { size: 3 } } int_val: [300, -129]",
    "list qint16 wraps": "dtype: DT_QINT16 tensor_shape { dim { size: 2 } } int_val: [-3, 70000]",
    "list complex": "dtype: DT_COMPLEX64 tensor_shape { dim { size: 2 } } scomplex_val: [1, 2]",
    "list complex odd": "dtype: DT_COMPLEX64 tensor_shape { dim { size: 2 } } scomplex_val: [1, 2, 3]",
    "list half": "dtype: DT_HALF tensor_shape { dim { size: 2 } } half_val: [15360]",
    "list float8": 'dtype: DT_FLOAT8_E5M2 tensor_shape { dim { size: 2 } } float8_val: "<"',
    "list string": 'dtype: DT_STRING tensor_shape { dim { size: 3 } } string_val: "a" string_val: "b"',
    "list string empty": "dtype: DT_STRING tensor_shape { dim { size: 2 } }",
    "other list": "dtype: DT_INT64 tensor_shape { dim { size: 1 } } int_val: 3",
    "no shape": "dtype: DT_FLOAT float_val: 2",
    "negative size": "dtype: DT_FLOAT tensor_shape { dim { size: -1 } }",
    "huge": "dtype: DT_FLOAT tensor_shape { dim { size: 4611686018427387904 } dim { size: 4 } }",
    "huge and empty": "dtype: DT_FLOAT tensor_shape { dim { size: 4611686018427387904 } dim { size: 4 } dim { size: 0 } }",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_tensors_are_read_as_the_const_kernel_reads_them(text: str) -> None:
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 1286
    node = graph.node.add(name="c", op="Const")
    text_format.Parse(text, node.attr["value"].tensor)
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    ours = protos.TensorProto.FromString(node.attr["value"].tensor.SerializeToString())
    try:
        with tf.Graph().as_default():
            (output,) = tf.import_graph_def(graph, return_elements=["c:0"])
            with tf.compat.v1.Session() as session:
                expected = session.run(output)
    except (ValueError, tf.errors.InvalidArgumentError):
        with pytest.raises(FormatError):
            tensor_from_proto(ours)
        return
    actual = tensor_from_proto(ours)
    assert actual.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("first", ["tensorflow", "savedmodel"])
def test_tensorflow_and_this_library_share_a_process(first: str) -> None:
    ours = "from savedmodel.format import protos; message = protos.SavedModel(saved_model_schema_version=1)"
    theirs = "import tensorflow; from tensorflow.core.protobuf import saved_model_pb2"
    lines = [theirs, ours] if first == "tensorflow" else [ours, theirs]
    lines.append("saved_model_pb2.SavedModel.FromString(message.SerializeToString())")
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True)


def test_tensorflow_reads_what_is_serialized_here(tmp_path: Path) -> None:
    module = tf.Module()
    module.table = tf.Variable([1.0, 2.0])
    module.call = tf.function(lambda x: {"o": x + module.table, "out": x}, input_signature=[tf.TensorSpec([2])])
    tf.saved_model.save(module, str(tmp_path))
    data = (tmp_path / "saved_model.pb").read_bytes()
    model = parse(protos.SavedModel, data)
    index = (tmp_path / "variables" / "variables.index").read_bytes()
    stored = read_fingerprint(tmp_path)
    assert stored is not None
    assert verify(stored, model, index) == {}
    (tmp_path / "saved_model.pb").write_bytes(serialize(model))
    (tmp_path / "fingerprint.pb").write_bytes(serialize(fingerprint_of(model, index)))
    assert tf.saved_model.experimental.read_fingerprint(str(tmp_path)).singleprint() == singleprint(stored)
    (tmp_path / "saved_model.pb").unlink()
    (tmp_path / "saved_model.pbtxt").write_text(print_text(model))
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.call(tf.constant([1.0, 1.0]))["o"].numpy().tolist() == [2.0, 3.0]
