"""Strings, patterns, Unicode and hashes against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.compare import compare_errors, compare_op
from tracer import regex
from tracer.public import tf as ours


def s(*items: Any) -> np.ndarray:
    return np.array([i if isinstance(i, bytes) else i.encode() for i in items], object)


def s0(item: Any) -> np.ndarray:
    out = np.empty((), object)
    out[()] = item if isinstance(item, bytes) else item.encode()
    return out


def i32(values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def i64(values: Any) -> np.ndarray:
    return np.array(values, np.int64)


TEXTS = s("", " ", " a b  c ", "a", "a  b c d", "Hello, World", "ÀÉÎ ß", b"\xff\x80", "a,,b", ",")
GRID = np.array([[b"a", b"b", b"c"], [b"d", b"", b"f"]], object)
FLOATS = np.array([1.5, -3.14159, np.nan, np.inf, -np.inf, 1e10, 0.0, -0.0, 1e-7], np.float64)

CASES: list[Any] = [
    ("StringLower", [TEXTS], {}),
    ("StringLower", [s("ÀÉΣΑΣ ß", b"A\xffB")], {"encoding": "utf-8"}),
    ("StringUpper", [TEXTS], {}),
    ("StringUpper", [s("àéiςß ŉ")], {"encoding": "utf-8"}),
    ("StringStrip", [s(" a ", "\t\n\x0b\x0c\rb", "", "c d")], {}),
    ("StringLength", [TEXTS], {}),
    ("StringLength", [TEXTS], {"unit": "UTF8_CHAR"}),
    ("Substr", [s("hello", "world"), i32(1), i32(3)], {}),
    ("Substr", [s("hello", "hi"), i32([-2, 0]), i32([3, 1])], {}),
    ("Substr", [s("hello", "hi"), i64(1), i64(-1)], {}),
    ("Substr", [s0("hello"), i32([1, 2]), i32([1, 2])], {}),
    ("Substr", [s("hello", "hithere"), i32([[1, 2], [0, 1]]), i32([[1, 2], [3, 4]])], {}),
    ("Substr", [s0("héllo"), i32([1, -3]), i32([1, 2])], {"unit": "UTF8_CHAR"}),
    ("StringJoin", [[s("a", "b"), s0("-"), s("c", "d")]], {"separator": "+"}),
    ("ReduceJoin", [GRID, i32([0, 1])], {"separator": ":"}),
    ("ReduceJoin", [GRID, i32([1, 0])], {"separator": ":"}),
    ("ReduceJoin", [GRID, i32([-1])], {"separator": ":", "keep_dims": True}),
    ("ReduceJoin", [GRID, i32([])], {}),
    ("ReduceJoin", [np.zeros((2, 0), object), i32([1])], {}),
    ("UnsortedSegmentJoin", [GRID, i32([1, 0]), i32(3)], {"separator": ":"}),
    ("UnsortedSegmentJoin", [GRID, i64([[1, 0, 1], [1, 2, 0]]), i32(3)], {"separator": ":"}),
    *[("StringSplitV2", [TEXTS, s0(sep)], {"maxsplit": m}) for sep in ("", ",", "a ") for m in (-1, 0, 1, 2)],
    *[("StringSplit", [s("a,b;c", ";,x", ""), s0(d)], {"skip_empty": e}) for d in (",;", "", ",") for e in (True, False)],
    ("StringSplitV2", [np.zeros(0, object), s0("")], {}),
    ("StringFormat", [[GRID, i32([[1, 2], [3, 4]])]], {"template": "a %s b %s"}),
    ("StringFormat", [[np.arange(24, dtype=np.float32).reshape(2, 3, 4)]], {"summarize": 1}),
    ("StringFormat", [[np.arange(100).reshape(10, 10)]], {"summarize": -1}),
    ("StringFormat", [[FLOATS.astype(np.float32)]], {"summarize": 9}),
    ("StringFormat", [[FLOATS, np.array([True]), s0("x"), np.array(0.1, np.float16), np.array(1, np.complex64)]], {"template": "%s" * 5, "summarize": 9}),
    ("StringToNumber", [s("1", " 1.5 ", "1e40", "-inf", "nan", "0x10", ".5", "+3", " ")], {}),
    ("StringToNumber", [s("1", " 1.5 ", "1e400", "1e-50", "0.1")], {"out_type": "float64"}),
    ("StringToNumber", [s("1", " -5 ")], {"out_type": "int32"}),
    ("StringToNumber", [s("9223372036854775807")], {"out_type": "int64"}),
    *[
        ("AsString", [FLOATS.astype(dtype)], attrs)
        for dtype in (np.float32, np.float64)
        for attrs in (
            {}, {"precision": 2}, {"scientific": True}, {"shortest": True}, {"shortest": True, "precision": 3}, {"width": 12},
            {"width": 10, "fill": "0"}, {"width": 10, "fill": "-"}, {"width": 10, "fill": "+"}, {"width": 10, "fill": " "},
        )
    ],
    *[
        ("AsString", [np.array([1, 42, 0], dtype)], attrs)
        for dtype in (np.int8, np.uint8, np.int32, np.int64, np.uint64)
        for attrs in ({}, {"width": 5}, {"width": 5, "fill": "0"}, {"width": 5, "fill": "+"})
    ],
    ("AsString", [np.array([True, False])], {"width": 8}),
    ("AsString", [np.array([1 + 2j], np.complex64)], {"precision": 1, "width": 8}),
    ("AsString", [s("x", "yz")], {"width": 5}),
    ("EncodeBase64", [s(b"a\xff\xfe", "ab", "")], {"pad": True}),
    ("EncodeBase64", [s(b"a\xff\xfe", "ab", "")], {}),
    ("DecodeBase64", [s("YQ", "YQ==", "Y-_Q", "YR", "")], {}),
    ("StringToHashBucket", [TEXTS], {"num_buckets": 2**40}),
    ("StringToHashBucketFast", [TEXTS], {"num_buckets": 2**40}),
    ("StringToHashBucketFast", [s(*[b"x" * n for n in range(0, 200, 7)])], {"num_buckets": 2**62 + 1}),
    ("StringToHashBucketStrong", [TEXTS], {"num_buckets": 2**40, "key": [123, -7]}),
    ("Fingerprint", [TEXTS, s0("farmhash64")], {}),
    ("Fingerprint", [GRID, s0("farmhash64")], {}),
    ("Fingerprint", [np.arange(12, dtype=np.float32).reshape(3, 4), s0("farmhash64")], {}),
    *[
        ("StringNGrams", [s("a", "b", "c", "d"), i64([0, 3, 4, 4])], {
            "separator": "|", "ngram_widths": w, "left_pad": "L", "right_pad": "R", "pad_width": p, "preserve_short_sequences": k,
        })
        for w in ([2], [2, 3], [5]) for p in (-1, 0, 1) for k in (True, False)
    ],
    *[
        ("UnicodeDecodeWithOffsets", [s(b"a\xffb", b"\xe2\x82", b"\xe2\x82a", b"\xed\xa0\x80", b"\x00\x01\x7f", "né😀")], {
            "input_encoding": "UTF-8", "errors": e, "replace_control_characters": c,
        })
        for e in ("replace", "ignore") for c in (True, False)
    ],
    *[("UnicodeDecodeWithOffsets", [s(b"\x00a\xd8\x00\x00b\x80")], {"input_encoding": e})
      for e in ("UTF-16-BE", "UTF-16-LE", "UTF-16", "UTF-32-BE", "US-ASCII", "ISO-8859-1", "Shift_JIS", "windows-1252")],
    *[("UnicodeEncode", [i32([97, 0xD800, 0x110000, -1, 0x1F600]), i64([0, 2, 2, 5])], {"output_encoding": o, "errors": e})
      for o in ("UTF-8", "UTF-16-BE", "UTF-32-BE") for e in ("replace", "ignore")],
    ("UnicodeTranscode", [s(b"a\xff\xf0\x9f\x98\x80")], {"input_encoding": "UTF-8", "output_encoding": "UTF-16-BE"}),
    ("UnicodeScript", [i32([[65, 945, 0x4E00], [-1, 0x110000, 0x378]])], {}),
    ("EditDistance", [i64([[0, 0], [0, 1], [2, 0]]), s("a", "b", "c"), i64([3, 2]), i64([[0, 0], [1, 0]]), s("a", "z"), i64([3, 2])], {}),
    ("EditDistance", [i64([[0, 0], [0, 1]]), i32([1, 2]), i64([1, 2]), i64([[0, 0]]), i32([2]), i64([1, 1])], {"normalize": False}),
    ("StaticRegexFullMatch", [TEXTS], {"pattern": r"\s*[a-z].*"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_op_gives_what_tensorflow_gives(case: Any) -> None:
    name, inputs, attrs = case
    compare_op(name, inputs, **attrs)


REFUSED: list[Any] = [
    ("Substr", [s("hi"), i32(5), i32(1)], {}),
    ("Substr", [s0("hi"), i32([1]), i32(1)], {}),
    ("AsString", [i32([1])], {"precision": 2}),
    ("AsString", [i32([1])], {"fill": "x"}),
    ("StringToNumber", [s("1_0")], {}),
    ("StringToNumber", [s("")], {}),
    ("StringToNumber", [s("2147483648")], {"out_type": "int32"}),
    ("DecodeBase64", [s("Y+/Q")], {}),
    ("DecodeBase64", [s("Y")], {}),
    ("ReduceJoin", [GRID, i32([0, 0])], {}),
    ("UnsortedSegmentJoin", [s("a"), i32([-1]), i32(2)], {}),
    ("StringLower", [s("a")], {"encoding": "utf-16"}),
    ("UnicodeDecode", [s(b"\xff")], {"input_encoding": "UTF-8", "errors": "strict"}),
    ("UnicodeDecode", [s("a")], {"input_encoding": "foo"}),
    ("StringFormat", [[i32(1)]], {"template": "no place"}),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c[0])
def test_op_refuses_what_tensorflow_refuses(case: Any) -> None:
    name, inputs, attrs = case
    compare_errors(name, inputs, **attrs)


PATTERNS = [
    r"x*", r"a|ab", r"(a+)(b?)", r"[!\"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']", r"\s+", r"\bfoo\b", r"(?i)foo", r"a(?i)b|c",
    r"(?m)^a$", r"^a$", r"a$", r"\d{2,3}", r"[[:alpha:]]+", r"[[:^alpha:]]", r"\pL", r"\p{Greek}+", r"\P{Lu}", r"[^\x00-\x7F]",
    r".", r"(?s).", r".*", r".*?", r"(?U)a+", r"a{,3}", r"a**", r"a++", r"(?=a)", r"(a)\1", r"\Qa.b\E+", r"[]a]", r"[^]a]",
    r"[-a]", r"[\S]", r"[\W_]+", r"(?P<n>a)b", r"(a|b|ab)*c", r"(a*)*b", r"(a*)+", r"()", r"|a", r"\x{e9}", r"[é-ü]+", r"\z",
    r"\Z", r"\012", r"a{2}{3}", r"[z-a]", r"(", r"*a", r"(?i)[k]", r"(?i)[^a]", r"\b", r"(?m)$", r"(?i-s)a.", r"[[:foo:]]",
    r"[a-\d]", r"[\d-z]", r"(a??)b", r"(|a)+b", r"(|a)*",
]  # fmt: skip
SUBJECTS = [
    "", "a", "abxd", "foo bar Foo_foo", "aaabbb", "Hello, World! It's (a) [test]\\ ~`", "  x \t\n y\v\f ", "a\nab\na\n", "12 345 6789",
    "αβγ Δ abc", "éàü ÉÀ", "K\u212ak \u017fs", "aXbBcCC", "a.ba.bb]-", "abcabcab", b"\xff\xfea\x80b\xc3",
]  # fmt: skip


@pytest.mark.parametrize("budget", [regex.BUDGET, -1], ids=["re", "linear"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_what_re2_matches(pattern: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "BUDGET", budget)
    regex.compile_regex.cache_clear()
    subjects = s(*SUBJECTS)

    def outcome(call: Any, errors: Any) -> Any:
        try:
            return call().numpy().tolist()
        except errors:
            return "refused"

    for everywhere in (True, False):
        expected = outcome(lambda e=everywhere: tf.strings.regex_replace(subjects, pattern, r"<\0>", e), tf.errors.InvalidArgumentError)
        actual = outcome(lambda e=everywhere: ours.strings.regex_replace(subjects, pattern, r"<\0>", e), ValueError)
        assert expected == actual
    expected = outcome(lambda: tf.strings.regex_full_match(subjects, pattern), tf.errors.InvalidArgumentError)
    assert expected == outcome(lambda: ours.strings.regex_full_match(subjects, pattern), ValueError)


def lists(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [lists(v) for v in value]
    return value.to_list() if hasattr(value, "to_list") else np.asarray(value).tolist()


PUBLIC: list[Any] = [
    ("split", lambda t: t.strings.split(["a b", "", "c d e"])),
    ("split scalar", lambda t: t.strings.split("a b")),
    ("split matrix", lambda t: t.strings.split([["a b", "c"], ["", "d"]])),
    ("split sep", lambda t: t.strings.split(["a,b,c"], ",", maxsplit=1)),
    ("split ragged", lambda t: t.strings.split(t.ragged.constant([["a b"], ["c", "d e"]]))),
    ("bytes_split", lambda t: t.strings.bytes_split(["ab", "", "c"])),
    ("ngrams", lambda t: t.strings.ngrams(t.ragged.constant([["a", "b", "c"], ["d"], []]), [2, 3], pad_values=("L", "R"), padding_width=1)),
    ("ngrams dense", lambda t: t.strings.ngrams([["a", "b", "c"], ["d", "e", "f"]], 2)),
    ("ngrams vector", lambda t: t.strings.ngrams(["a", "b", "c"], 2, separator="")),
    ("reduce_join", lambda t: t.strings.reduce_join([["a", "b"], ["c", "d"]], separator=":")),
    ("lower ragged", lambda t: t.strings.lower(t.ragged.constant([["A"], ["B", "C"]]))),
    ("join", lambda t: t.strings.join(["a", ["b", "c"]], "-")),
    ("format", lambda t: t.strings.format("{} and {}", (t.constant([1, 2]), t.constant("x")))),
    ("unicode_decode", lambda t: t.strings.unicode_decode(["añb", "c"], "UTF-8")),
    ("unicode_decode scalar", lambda t: t.strings.unicode_decode("añb", "UTF-8")),
    ("unicode_split", lambda t: t.strings.unicode_split(["añb", "c"], "UTF-8")),
    ("unicode_split_with_offsets", lambda t: t.strings.unicode_split_with_offsets([["añb", "c"]], "UTF-8")),
    ("unicode_encode ragged", lambda t: t.strings.unicode_encode(t.ragged.constant([[[97, 98], [99]], [[100]]]), "UTF-8")),
    ("unicode_encode vector", lambda t: t.strings.unicode_encode([97, 98], "UTF-8")),
    ("unicode_encode matrix", lambda t: t.strings.unicode_encode([[97, 98], [99, 100]], "UTF-16-BE")),
    ("unicode_encode cube", lambda t: t.strings.unicode_encode([[[97], [98]], [[99], [100]]], "UTF-8")),
    ("edit_distance", lambda t: t.edit_distance(t.sparse.from_dense([["a", "b"]]), t.sparse.from_dense([["a", "c"]]))),
]


@pytest.mark.parametrize("case", PUBLIC, ids=lambda c: c[0])
def test_public_function_gives_what_tensorflow_gives(case: Any) -> None:
    assert lists(case[1](tf)) == lists(case[1](ours))
