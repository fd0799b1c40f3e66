"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from savedmodel.keras.metrics.base import Metric
from tracer import dtypes
from tracer.public import tf


class _IoUBase(Metric):
    def __init__(
        self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None, sparse_y_true: bool = True,
        sparse_y_pred: bool = True, axis: int = -1,
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_weight("total_confusion_matrix", shape=(num_classes, num_classes), initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take class numbers, or scores of classes along `axis`."""
        if not self.sparse_y_true:
            y_true = tf.argmax(y_true, axis=self.axis)
        if not self.sparse_y_pred:
            y_pred = tf.argmax(y_pred, axis=self.axis)
        y_true = tf.reshape(tf.cast(y_true, self._dtype), [-1])
        y_pred = tf.reshape(tf.cast(y_pred, self._dtype), [-1])
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self._dtype), [-1])
        if self.ignore_class is not None:
            valid = tf.not_equal(y_true, tf.cast(self.ignore_class, y_true.dtype))
            y_true, y_pred = tf.boolean_mask(y_true, valid), tf.boolean_mask(y_pred, valid)
            if sample_weight is not None:
                sample_weight = tf.boolean_mask(sample_weight, valid)
        return self.total_cm.assign_add(self._confusion(y_true, y_pred, sample_weight))

    def _confusion(self, y_true: Any, y_pred: Any, weights: Any) -> Any:
        pairs = tf.stack([tf.cast(y_true, dtypes.int64), tf.cast(y_pred, dtypes.int64)], axis=1)
        values = tf.ones_like(y_pred, self._dtype) if weights is None else weights
        return tf.scatter_nd(pairs, values, tf.constant([self.num_classes] * 2, dtype=dtypes.int64))


class IoU(_IoUBase):
    """Mean over `target_class_ids` of (right) / (predicted or labelled)."""

    def __init__(
        self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
        ignore_class: int | None = None, sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            name=name, num_classes=num_classes, ignore_class=ignore_class, sparse_y_true=sparse_y_true, sparse_y_pred=sparse_y_pred,
            axis=axis, dtype=dtype,
        )  # fmt: skip
        if max(target_class_ids) >= num_classes:
            raise ValueError(f"Target class id {max(target_class_ids)} is out of range, which is [0, {num_classes}).")
        self.target_class_ids = list(target_class_ids)

    def result(self) -> Any:
        """The mean; classes that nothing predicts or labels do not count."""
        matrix = self.total_cm.value()
        hits = tf.cast(tf.linalg.tensor_diag_part(matrix), self._dtype)
        union = tf.cast(tf.reduce_sum(matrix, axis=0), self._dtype) + tf.cast(tf.reduce_sum(matrix, axis=1), self._dtype) - hits
        ids = list(self.target_class_ids)
        hits, union = tf.gather(hits, ids), tf.gather(union, ids)
        valid = tf.reduce_sum(tf.cast(tf.not_equal(union, 0), self._dtype))
        return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(hits, union)), valid)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings("num_classes target_class_ids ignore_class sparse_y_true sparse_y_pred axis")}

    def _settings(self, names: str) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in names.split()}
        if "target_class_ids" in settings:
            settings["target_class_ids"] = list(self.target_class_ids)
        return settings


class BinaryIoU(IoU):
    """`IoU` of predictions cut at `threshold`."""

    def __init__(
        self, target_class_ids: Sequence[int] = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels 0 and 1 and scores."""
        y_pred = tf.cast(y_pred, self._dtype)
        return super().update_state(y_true, tf.cast(y_pred >= self.threshold, self._dtype), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return self._settings("target_class_ids threshold name dtype")


class MeanIoU(IoU):
    """`IoU` of all classes."""

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None, sparse_y_true: bool = True,
        sparse_y_pred: bool = True, axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            name=name, num_classes=num_classes, target_class_ids=list(range(num_classes)), axis=axis, dtype=dtype,
            ignore_class=ignore_class, sparse_y_true=sparse_y_true, sparse_y_pred=sparse_y_pred,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return self._settings("num_classes name dtype ignore_class sparse_y_true sparse_y_pred axis")


class OneHotIoU(IoU):
    """`IoU` of one-hot labels and scores of classes."""

    def __init__(
        self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
        ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            num_classes=num_classes, target_class_ids=target_class_ids, name=name, dtype=dtype, ignore_class=ignore_class,
            sparse_y_true=False, sparse_y_pred=sparse_y_pred, axis=axis,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return self._settings("num_classes target_class_ids name dtype ignore_class sparse_y_pred axis")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot labels and scores of classes."""

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None, sparse_y_pred: bool = False,
        axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            num_classes=num_classes, axis=axis, name=name, dtype=dtype, ignore_class=ignore_class, sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return self._settings("num_classes name dtype ignore_class sparse_y_pred axis")
