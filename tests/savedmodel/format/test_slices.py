"""Slices of tensors: text, messages, intersection and cover, against NumPy masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from savedmodel.format.errors import FormatError
from savedmodel.format.slices import TensorSlice, covers, overlaps, parse_shape_and_slice

SHAPE = (4, 3, 5)


@st.composite
def boxes(draw):
    extents = []
    for size in SHAPE:
        start = draw(st.integers(0, size - 1))
        extents.append(draw(st.sampled_from([(0, -1), (start, draw(st.integers(1, size - start)))])))
    return TensorSlice(tuple(extents))


@given(boxes())
def test_text_and_message_keep_the_spelling(piece):
    assert TensorSlice.parse(str(piece)) == piece
    assert TensorSlice.from_message(piece.to_message()) == piece


def test_a_whole_dimension_is_an_empty_extent():
    assert TensorSlice.parse("-:1,2").to_message().SerializeToString() == bytes.fromhex("0a00 0a04 0801 1002")
    assert TensorSlice.parse("0,2").to_message().SerializeToString() == bytes.fromhex("0a02 1002")


@given(boxes(), st.lists(boxes(), max_size=6))
@settings(max_examples=150, deadline=None)
def test_cover_and_overlaps_agree_with_masks(target, pieces):
    mask = np.zeros(SHAPE, bool)
    values = np.arange(60).reshape(SHAPE)
    out = np.full(target.shape_in(SHAPE), -1)
    for piece in pieces:
        mask[piece.resolve(SHAPE)] = True
    for number, part, place in overlaps(target, pieces, SHAPE):
        out[place] = values[pieces[number].resolve(SHAPE)][part]
    wanted = target.resolve(SHAPE)
    assert covers(target, pieces, SHAPE) == mask[wanted].all()
    np.testing.assert_array_equal(out, np.where(mask, values, -1)[wanted])


def test_shape_and_slice_texts_are_read():
    assert parse_shape_and_slice("") is None
    assert parse_shape_and_slice("4 3 0,2:-") == ((4, 3), TensorSlice(((0, 2), (0, -1))))
    assert TensorSlice.from_index([slice(1, 3)], (4, 3)) == TensorSlice.parse("1,2:-")
    assert TensorSlice.parse("0,4:-").is_full((4, 3))
    assert TensorSlice.full(2).is_full((4, 3))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("4 3 0,2", "Mismatching ranks"),
        ("4 3 3,2:-", "out of bounds"),
        ("4 3 0,0:-", "positive length"),
        ("4 3 -1,2:-", "non-negative start"),
        ("4 3 0,-1:-", "positive length"),
        ("4 3 0:-", "pair of numbers"),
        ("4 x -:-", "non-negative sizes"),
        ("-4 3 -:-", "non-negative sizes"),
        ("4 9223372036854775807,9223372036854775807", "Expected non-negative"),
    ],
)
def test_texts_that_make_no_sense_are_refused(text, sentence):
    with pytest.raises(FormatError, match=sentence):
        parse_shape_and_slice(text)


def test_a_tensor_in_too_many_pieces_is_refused_in_time():
    pieces = [TensorSlice(((at, 1), (at, 1))) for at in range(3000)]
    with pytest.raises(FormatError, match="pieces"):
        covers(TensorSlice.full(2), pieces, (1 << 20, 1 << 20))
    assert covers(TensorSlice.full(1), [TensorSlice(((at, 1),)) for at in range(3000)], (3000,))
