"""Tensors as messages, against what TensorFlow wrote (golden/format/tensors.pb) and against abuse."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from savedmodel.format import dtypes, protos
from savedmodel.format.errors import DataLossError, FormatError, TooLargeError, UnknownDTypeError
from savedmodel.format.tensor_proto import (
    ResourceHandle,
    VariantValue,
    shape_from_proto,
    shape_to_proto,
    tensor_from_proto,
    tensor_to_proto,
)
from savedmodel.format.text import parse_text

GOLDEN = Path(__file__).parents[2] / "golden" / "format"
TENSORS = {
    node.name: node.attr["value"].tensor
    for node in protos.GraphDef.FromString((GOLDEN / "tensors.pb").read_bytes()).node
}


def _tensor(text: str) -> protos.TensorProto:
    return parse_text(protos.TensorProto, text)


@pytest.mark.parametrize("title", TENSORS)
def test_tensors_written_by_tensorflow_are_read_and_written_again_byte_for_byte(title: str) -> None:
    name, shape = title.split(" ", 1)
    size = ast.literal_eval(shape)
    message = TENSORS[title]
    value = tensor_from_proto(message)
    assert value.dtype == dtypes.numpy_dtype(dtypes.datatype_number(name))
    expected = (np.arange(np.prod(size, dtype=int)).reshape(size) % 3 + 1).astype(value.dtype)
    np.testing.assert_array_equal(value, expected)
    assert not value.flags.writeable
    assert tensor_to_proto(expected, name).SerializeToString() == message.SerializeToString()


def test_short_lists_repeat_their_last_value() -> None:
    assert tensor_from_proto(_tensor("dtype: DT_INT32 tensor_shape { dim { size: 4 } } int_val: [1, 2]")).tolist() == [
        1,
        2,
        2,
        2,
    ]
    assert tensor_from_proto(_tensor("dtype: DT_STRING tensor_shape { dim { size: 2 } }")).tolist() == [b"", b""]
    assert tensor_from_proto(_tensor("dtype: DT_HALF tensor_shape { dim { size: 2 } }")).tolist() == [0, 0]


def test_strings_keep_every_byte() -> None:
    values = np.array([[b"a\0", b"\xff\x00"], [b"", b"x" * 300]], object)
    read = tensor_from_proto(tensor_to_proto(values))
    assert read.dtype == object
    assert read.tolist() == values.tolist()
    assert tensor_from_proto(tensor_to_proto(["é"])).tolist() == ["é".encode()]
    assert tensor_from_proto(tensor_to_proto(b"a\0")).item() == b"a\0"


def test_special_floats_keep_their_bits() -> None:
    for dtype, unit in ((np.float32, np.uint32), (np.float64, np.uint64), (np.float16, np.uint16)):
        values = np.array([np.nan, -0.0, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal], dtype)
        for value in (values, values[:1], values[1:2], values[4:]):
            read = tensor_from_proto(tensor_to_proto(value))
            np.testing.assert_array_equal(read.view(unit), value.view(unit))


def test_splat_writes_equal_elements_once() -> None:
    message = tensor_to_proto(np.full((3, 4), 2.5, np.float32), splat=True)
    assert list(message.float_val) == [2.5]
    np.testing.assert_array_equal(tensor_from_proto(message), np.full((3, 4), 2.5, np.float32))
    assert tensor_to_proto(np.array([0.0, -0.0], np.float32), splat=True).tensor_content


def test_variants_and_resources_survive_a_round_trip() -> None:
    inner = np.arange(3, dtype=np.int8)
    values = np.empty(2, object)
    values[0] = VariantValue("tensorflow::TensorList", b"\x00\x01", (inner,), (11,))
    values[1] = VariantValue()
    read = tensor_from_proto(tensor_to_proto(values, "variant"))
    assert read[0].type_name == "tensorflow::TensorList"
    assert read[0].dtype_numbers == (11,)
    np.testing.assert_array_equal(read[0].tensors[0], inner)
    assert read[1] == VariantValue()
    handle = ResourceHandle("/cpu:0", "c", "n", 7, "t", ((1, (2, None)), (3, None)))
    boxed = np.empty((), object)
    boxed[()] = handle
    assert tensor_from_proto(tensor_to_proto(boxed, "resource")).item() == handle


@pytest.mark.parametrize("shape", [None, (), (None, 3), (0, 2)], ids=str)
def test_shapes_survive_a_round_trip(shape: tuple[int | None, ...] | None) -> None:
    assert shape_from_proto(shape_to_proto(shape)) == shape


BAD = {
    "more than the limit": ("dtype: DT_FLOAT tensor_shape { dim { size: 1099511627776 } } float_val: 1", TooLargeError),
    "count overflows": (
        "dtype: DT_FLOAT tensor_shape { dim { size: 4294967296 } dim { size: 4294967296 } }",
        TooLargeError,
    ),
    "overflow hidden by a zero": (
        "dtype: DT_FLOAT tensor_shape { dim { size: 9223372036854775807 } dim { size: 8 } dim { size: 0 } }",
        TooLargeError,
    ),
    "too many dimensions": (
        "dtype: DT_FLOAT tensor_shape { " + "dim { size: 1 } " * 300 + "} float_val: 1",
        TooLargeError,
    ),
    "strings beyond the limit": ("dtype: DT_STRING tensor_shape { dim { size: 1099511627776 } }", TooLargeError),
    "negative size": ("dtype: DT_FLOAT tensor_shape { dim { size: -1 } }", FormatError),
    "content too short": ('dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: "abcd"', DataLossError),
    "content too long": ('dtype: DT_INT8 tensor_shape { dim { size: 2 } } tensor_content: "abcd"', DataLossError),
    "content no bool": ('dtype: DT_BOOL tensor_shape { dim { size: 1 } } tensor_content: "\\002"', FormatError),
    "content of variants": ('dtype: DT_VARIANT tensor_shape { dim { size: 1 } } tensor_content: "a"', FormatError),
    "string lengths cut": ('dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: "\\001"', DataLossError),
    "string length endless": (
        'dtype: DT_STRING tensor_shape { dim { size: 1 } } tensor_content: "' + "\\377" * 12 + '"',
        DataLossError,
    ),
    "no type": ("tensor_shape { dim { size: 1 } }", UnknownDTypeError),
    "unknown type": ("dtype: 77 tensor_shape { dim { size: 1 } }", UnknownDTypeError),
    "reference type": ("dtype: DT_FLOAT_REF tensor_shape { dim { size: 1 } }", UnknownDTypeError),
}


@pytest.mark.parametrize(("text", "error"), BAD.values(), ids=BAD)
def test_messages_that_break_a_rule_are_refused_before_memory_is_taken(text: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="layer 3"):
        tensor_from_proto(_tensor(text), where="layer 3")


def test_values_that_are_not_of_the_type_are_refused() -> None:
    for value, dtype in (([1.5], "int32"), ([300], "uint8"), ([1j], "float32"), (["a"], "int32"), ([9], "int4")):
        with pytest.raises(FormatError):
            tensor_to_proto(value, dtype)
    with pytest.raises(UnknownDTypeError):
        tensor_to_proto(np.zeros(2, "datetime64[s]"))


def test_names_numbers_and_numpy_dtypes_agree() -> None:
    for number in range(1, 31):
        if number in (26, 27, 28):
            continue
        kind = dtypes.tensor_type(number)
        assert dtypes.datatype_number(kind.name) == dtypes.datatype_number(kind.datatype) == number
        assert protos.DataType[kind.datatype] == number
        assert dtypes.datatype_name(number + 100) == protos.DataType(number + 100).name
    assert dtypes.datatype_number(np.dtype(np.int8)) == 6  # and not the quantized type of the same layout
    assert dtypes.item_size(29) == 1
    assert dtypes.item_size(7) is None
