"""Light classes with the fields of tf.train's Example and SequenceExample, that serialize to and parse from bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracer.public import public
from tracer.wire import Feature as _Values
from tracer.wire import bytes_field, read_example, read_sequence_example, write_example, write_feature

__all__ = [
    "BytesList", "Example", "Feature", "FeatureList", "FeatureLists", "Features", "FloatList", "Int64List", "SequenceExample",
]  # fmt: skip


class _List:
    """A list of values of one kind."""

    def __init__(self, value: Iterable[Any] = ()):
        self.value = list(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.value == other.value  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(value={self.value!r})"


@public("train.BytesList")
class BytesList(_List):
    """Byte strings."""


@public("train.FloatList")
class FloatList(_List):
    """Float32 numbers."""


@public("train.Int64List")
class Int64List(_List):
    """Int64 numbers."""


@public("train.Feature")
@dataclass
class Feature:
    """One of the three lists, or none."""

    bytes_list: BytesList | None = None
    float_list: FloatList | None = None
    int64_list: Int64List | None = None

    def WhichOneof(self, group: str = "kind") -> str | None:
        return next((n for n in ("bytes_list", "float_list", "int64_list") if getattr(self, n) is not None), None)

    @property
    def _values(self) -> _Values:
        name = self.WhichOneof()
        return ("", ()) if name is None else (name.partition("_")[0], getattr(self, name).value)


def _feature_of(values: _Values) -> Feature:
    kind, items = values
    if not kind:
        return Feature()
    made = {"bytes": BytesList, "float": FloatList, "int64": Int64List}[kind]
    return Feature(**{f"{kind}_list": made(items if isinstance(items, list) else items.tolist())})


@public("train.Features")
@dataclass
class Features:
    """Features by name."""

    feature: dict[str, Feature] = field(default_factory=dict)


@public("train.Example")
@dataclass
class Example:
    """The features of one example."""

    features: Features = field(default_factory=Features)

    def SerializeToString(self, deterministic: bool = True) -> bytes:
        """The wire form, features by ascending name."""
        return write_example(_sorted_values(self.features.feature))

    @classmethod
    def FromString(cls, data: bytes) -> Example:
        """Parse the wire form. Raises InvalidArgumentError for damaged bytes."""
        return cls(Features({k.decode(): _feature_of(v) for k, v in read_example(data).items()}))


def _sorted_values(features: Mapping[str, Feature]) -> dict[bytes, Any]:
    return {name.encode(): features[name]._values for name in sorted(features)}


@public("train.FeatureList")
@dataclass
class FeatureList:
    """The steps of one feature."""

    feature: list[Feature] = field(default_factory=list)


@public("train.FeatureLists")
@dataclass
class FeatureLists:
    """Feature lists by name."""

    feature_list: dict[str, FeatureList] = field(default_factory=dict)


@public("train.SequenceExample")
@dataclass
class SequenceExample:
    """Features of the whole and features of each step."""

    context: Features = field(default_factory=Features)
    feature_lists: FeatureLists = field(default_factory=FeatureLists)

    def SerializeToString(self, deterministic: bool = True) -> bytes:
        """The wire form, names ascending."""
        entries = b""
        for name in sorted(self.feature_lists.feature_list):
            steps = b""
            for step in self.feature_lists.feature_list[name].feature:
                kind, items = step._values
                steps += bytes_field(1, write_feature(kind, items) if kind else b"")
            entries += bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, steps))
        # An Example and a SequenceExample both begin with their features as field 1.
        return write_example(_sorted_values(self.context.feature)) + bytes_field(2, entries)

    @classmethod
    def FromString(cls, data: bytes) -> SequenceExample:
        """Parse the wire form. Raises InvalidArgumentError for damaged bytes."""
        context, lists = read_sequence_example(data)
        return cls(
            Features({k.decode(): _feature_of(v) for k, v in context.items()}),
            FeatureLists({k.decode(): FeatureList([_feature_of(f) for f in v]) for k, v in lists.items()}),
        )
