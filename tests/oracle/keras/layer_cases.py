"""Every layer of Keras with arguments and inputs for comparison with TensorFlow: the table that test_layers.py runs through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Case:
    """A layer class, its arguments, and the shapes (or arrays) it is called with."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: Any = (2, 4)  # a shape, or a list of shapes
    dtype: str = "float32"
    high: int = 9  # integer inputs are below
    call: dict[str, Any] = field(default_factory=dict)
    mask: tuple[int, ...] | None = None
    gradients: bool = True
    training: bool = True
    tolerance: float = 2e-6

    @property
    def id(self) -> str:
        """The test's name."""
        arguments = ",".join(f"{k}={v}" for k, v in self.kwargs.items() if not callable(v))
        return f"{self.name}({arguments})" + (f" {self.inputs}" if self.inputs != (2, 4) else "")


C = Case
_SEQ = (2, 5, 4)
_IMAGE = (2, 7, 6, 3)
_VOLUME = (2, 5, 6, 4, 2)

CORE = [
    C("Dense", {"units": 3}),
    C("Dense", {"units": 3, "activation": "relu", "use_bias": False}),
    C("Dense", {"units": 3, "kernel_regularizer": "l2", "activity_regularizer": "l1", "kernel_constraint": "max_norm"}),
    C("Dense", {"units": 3, "activation": "softmax"}, _SEQ),
    C("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 6, "bias_axes": "c"}),
    C("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 6}, _SEQ),
    C("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 6), "bias_axes": "d"}, _SEQ),
    C("Embedding", {"input_dim": 10, "output_dim": 3}, (2, 5), "int32", gradients=False),
    C("Embedding", {"input_dim": 10, "output_dim": 3, "mask_zero": True, "input_length": 5}, (2, 5), "int64", gradients=False),
    *(
        C("Activation", {"activation": a})
        for a in "elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish tanh".split()
    ),
    C("Masking", {"mask_value": 0.0}, _SEQ),
    C("Identity"),
    C("ReLU"),
    C("ReLU", {"max_value": 6}),
    C("ReLU", {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.2}),
    C("LeakyReLU"),
    C("ELU"),
    C("ELU", {"alpha": 0.5}),
    C("PReLU", {}, _SEQ),
    C("PReLU", {"shared_axes": [1, 2], "alpha_initializer": "ones"}, _IMAGE),
    C("ThresholdedReLU"),
    C("Softmax"),
    C("Softmax", {"axis": (1, 2)}, _SEQ),
    C("Add", {}, [(2, 4), (2, 4), (2, 4)]),
    C("Add", {}, [(2, 3, 4), (2, 4)]),
    C("Subtract", {}, [(2, 4), (2, 4)]),
    C("Multiply", {}, [(2, 4), (2, 4)]),
    C("Average", {}, [(2, 4), (2, 4), (2, 4)]),
    C("Maximum", {}, [(2, 4), (2, 4)]),
    C("Minimum", {}, [(2, 4), (2, 4)]),
    C("Concatenate", {}, [(2, 4), (2, 3)]),
    C("Concatenate", {"axis": 1}, [(2, 4, 3), (2, 2, 3)]),
    C("Dot", {"axes": 1}, [(2, 4), (2, 4)]),
    C("Dot", {"axes": (2, 1), "normalize": True}, [(2, 5, 4), (2, 4, 3)]),
    C("Dot", {"axes": 2}, [(2, 5, 4), (2, 3, 4)]),
    C("Flatten", {}, _SEQ),
    C("Flatten", {"data_format": "channels_first"}, _SEQ),
    C("Reshape", {"target_shape": (2, 2)}),
    C("Reshape", {"target_shape": (-1, 2)}, _SEQ),
    C("Permute", {"dims": (2, 1)}, _SEQ),
    C("RepeatVector", {"n": 3}),
    C("Cropping1D", {"cropping": (1, 2)}, _SEQ),
    C("Cropping2D", {"cropping": ((1, 0), (2, 1))}, _IMAGE),
    C("Cropping3D", {"cropping": 1}, _VOLUME),
    C("ZeroPadding1D", {"padding": 2}, _SEQ),
    C("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}, _IMAGE),
    C("ZeroPadding3D", {"padding": 1, "data_format": "channels_first"}, _VOLUME),
    C("UpSampling1D", {"size": 2}, _SEQ),
    C("UpSampling2D", {"size": (2, 3)}, _IMAGE),
    C("UpSampling2D", {"interpolation": "bilinear"}, _IMAGE),
    C("UpSampling3D", {}, _VOLUME),
]

POOLING = [
    *(C(f"{kind}Pooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, _SEQ) for kind in ("Max", "Average")),
    *(C(f"{kind}Pooling2D", {}, _IMAGE) for kind in ("Max", "Average")),
    *(C(f"{kind}Pooling2D", {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}, _IMAGE) for kind in ("Max", "Average")),
    *(C(f"{kind}Pooling3D", {"pool_size": 2}, _VOLUME) for kind in ("Max", "Average")),
    *(C(f"Global{kind}Pooling1D", {}, _SEQ) for kind in ("Max", "Average")),
    *(C(f"Global{kind}Pooling2D", {"keepdims": True}, _IMAGE) for kind in ("Max", "Average")),
    *(C(f"Global{kind}Pooling3D", {"data_format": "channels_first"}, _VOLUME) for kind in ("Max", "Average")),
    C("GlobalAveragePooling1D", {}, _SEQ, mask=(2, 5)),
]

NORMALIZATION = [
    C("BatchNormalization"),
    C("BatchNormalization", {"momentum": 0.5, "scale": False}, _SEQ),
    C("BatchNormalization", {"momentum": 0.5}, _IMAGE, tolerance=1e-5),
    C("BatchNormalization", {"fused": False, "center": False}, _IMAGE, tolerance=1e-5),
    C("BatchNormalization", {"axis": [1, 2]}, _SEQ),
    C("BatchNormalization", {"renorm": True, "renorm_clipping": {"rmax": 1.5, "dmax": 0.5}}, _SEQ, tolerance=1e-5),
    C("BatchNormalization", {"synchronized": True}, (4, 3), tolerance=1e-5),
    C("LayerNormalization", {}, tolerance=1e-5),
    C("LayerNormalization", {"axis": [1, 2]}, _SEQ, tolerance=1e-5),
    C("LayerNormalization", {"epsilon": 1e-6}, _SEQ, tolerance=1e-5),
    C("LayerNormalization", {"axis": 1}, _SEQ, tolerance=1e-5),
    C("GroupNormalization", {"groups": 2}, _SEQ, tolerance=1e-5),
    C("GroupNormalization", {"groups": -1}, _IMAGE, tolerance=1e-5),
    C("UnitNormalization"),
]

REGULARIZATION = [
    C("Dropout", {"rate": 0.5}),
    C("Dropout", {"rate": 0.3, "seed": 4}, _SEQ),
    C("Dropout", {"rate": 0.3, "noise_shape": (None, 1, 4)}, _SEQ),
    C("SpatialDropout1D", {"rate": 0.5}, _SEQ),
    C("SpatialDropout2D", {"rate": 0.5}, _IMAGE),
    C("SpatialDropout3D", {"rate": 0.5}, _VOLUME),
    C("GaussianNoise", {"stddev": 0.5}),
    C("GaussianDropout", {"rate": 0.5}),
    C("AlphaDropout", {"rate": 0.5, "seed": 1}),
    C("ActivityRegularization", {"l1": 0.1, "l2": 0.2}),
]

_CONV = {"filters": 4, "kernel_size": 3}
CONVOLUTION = [
    C("Conv1D", {**_CONV, "activation": "relu"}, (2, 8, 4)),
    C("Conv1D", {**_CONV, "padding": "causal", "dilation_rate": 2}, (2, 8, 4)),
    C("Conv2D", {**_CONV, "strides": 2, "padding": "same"}, _IMAGE),
    C("Conv2D", {**_CONV, "dilation_rate": 2}, _IMAGE),
    C("Conv2D", {**_CONV, "filters": 6, "groups": 3, "use_bias": False}, _IMAGE),
    C("Conv2D", _CONV, (2, 2, 7, 6, 3)),
    C("Conv3D", {**_CONV, "padding": "same"}, _VOLUME, tolerance=2e-5),
    C("Conv1DTranspose", {**_CONV, "strides": 2}, _SEQ),
    C("Conv2DTranspose", {**_CONV, "strides": 2, "padding": "same", "output_padding": 1}, _IMAGE),
    C("Conv2DTranspose", {**_CONV, "dilation_rate": 2}, _IMAGE),
    C("Conv3DTranspose", {**_CONV, "strides": 2}, (1, 2, 3, 2, 2)),
    C("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, _SEQ),
    C("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "activation": "tanh"}, _IMAGE),
    C("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}, _IMAGE),
    C("SeparableConv1D", {**_CONV, "padding": "causal"}, _SEQ),
    C("SeparableConv2D", {**_CONV, "depth_multiplier": 2, "activation": "relu"}, _IMAGE),
]

CASES = CORE + POOLING + NORMALIZATION + REGULARIZATION + CONVOLUTION


def _cells(kinds: str) -> Any:
    """A function of the library's layers that makes cells of 3 units."""
    return lambda module: [getattr(module, f"{k}Cell")(3) for k in kinds.split()]


def _layer(kind: str, *args: Any, **kwargs: Any) -> Any:
    return lambda module: getattr(module, kind)(*args, **kwargs)


_GATED = [
    {}, {"return_sequences": True}, {"return_state": True, "go_backwards": True, "return_sequences": True}, {"unroll": True},
    {"activation": "softsign"}, {"dropout": 0.3}, {"dropout": 0.3, "recurrent_dropout": 0.2}, {"use_bias": False, "time_major": True},
]  # fmt: skip
RECURRENT = [
    *(C(kind, {"units": 3, **k}, _SEQ, tolerance=5e-6) for kind in ("LSTM", "GRU", "SimpleRNN") for k in _GATED),
    *(C(kind, {"units": 3, **k}, _SEQ, mask=(2, 5), tolerance=5e-6) for kind in ("LSTM", "GRU", "SimpleRNN") for k in _GATED[:4]),
    C("GRU", {"units": 3, "reset_after": False}, _SEQ, tolerance=5e-6),
    C("LSTM", {"units": 3, "implementation": 1, "activation": "softsign", "unit_forget_bias": False}, _SEQ, tolerance=5e-6),
    *(C(kind, {"units": 3, "stateful": True}, _SEQ, tolerance=5e-6) for kind in ("LSTM", "GRU", "SimpleRNN")),
    C("RNN", {"cell": lambda m: m.LSTMCell(3)}, _SEQ, tolerance=5e-6),
    C("RNN", {"cell": _cells("LSTM GRU SimpleRNN"), "return_sequences": True}, _SEQ, tolerance=5e-6),
    C("Bidirectional", {"layer": _layer("LSTM", 3, name="lstm")}, _SEQ, tolerance=5e-6),
    C("Bidirectional", {"layer": _layer("GRU", 3, return_sequences=True, name="gru"), "merge_mode": "ave"}, _SEQ, mask=(2, 5), tolerance=5e-6),
    C("TimeDistributed", {"layer": _layer("Dense", 3, name="dense")}, _SEQ),
    C("TimeDistributed", {"layer": _layer("Conv2D", 3, 2, name="conv")}, (2, 3, 4, 4, 2)),
    C("ConvLSTM1D", {"filters": 2, "kernel_size": 3}, (2, 3, 6, 3), tolerance=1e-5),
    C("ConvLSTM2D", {"filters": 2, "kernel_size": 3, "padding": "same", "return_sequences": True}, (2, 3, 4, 5, 3), tolerance=1e-5),
    C("ConvLSTM2D", {"filters": 2, "kernel_size": 2, "dropout": 0.2, "recurrent_dropout": 0.2}, (2, 3, 4, 5, 3), tolerance=1e-5),
    C("ConvLSTM3D", {"filters": 2, "kernel_size": 2, "return_state": True}, (1, 2, 3, 4, 3, 2), tolerance=1e-5),
]
ATTENTION = [
    C("Attention", {}, [(2, 5, 4), (2, 3, 4)]),
    C("Attention", {"use_scale": True, "score_mode": "concat", "dropout": 0.3}, [(2, 5, 4), (2, 3, 4), (2, 3, 4)], call={"use_causal_mask": True}),
    C("AdditiveAttention", {}, [(2, 5, 4), (2, 3, 4)]),
]
CASES += RECURRENT + ATTENTION
_PHOTO = (2, 8, 10, 3)
PREPROCESSING = [
    C("Rescaling", {"scale": 0.5, "offset": 1.0}),
    C("Normalization", {"mean": 1.5, "variance": 4.0}),
    C("Normalization", {"mean": [1.0, 2.0, 3.0, 4.0], "variance": 2.0, "invert": True}),
    C("Discretization", {"bin_boundaries": [-0.5, 0.0, 1.0]}, gradients=False),
    C("Discretization", {"bin_boundaries": [-0.5, 0.0, 1.0], "output_mode": "multi_hot"}, gradients=False),
    *(C("CategoryEncoding", {"num_tokens": 10, "output_mode": m}, (3, 4), "int64", gradients=False) for m in ("multi_hot", "count")),
    C("CategoryEncoding", {"num_tokens": 10, "output_mode": "one_hot"}, (3,), "int64", gradients=False),
    C("Hashing", {"num_bins": 5}, (3, 4), "int64", gradients=False),
    C("Hashing", {"num_bins": 5, "salt": 133, "mask_value": "3"}, (3, 4), "string", gradients=False),
    C("HashedCrossing", {"num_bins": 7}, [(3, 1), (3, 1)], "int64", gradients=False),
    C("StringLookup", {"vocabulary": ["1", "2", "3"], "mask_token": "0"}, (3, 4), "string", gradients=False),
    C("StringLookup", {"vocabulary": ["1", "2", "3"], "num_oov_indices": 2, "output_mode": "count"}, (3, 4), "string", gradients=False),
    C("StringLookup", {"vocabulary": ["a", "b"], "invert": True}, (3, 4), "int64", gradients=False),
    C("IntegerLookup", {"vocabulary": [2, 4, 6], "output_mode": "multi_hot"}, (3, 4), "int64", gradients=False),
    C("TextVectorization", {"vocabulary": ["1", "2", "3"], "output_sequence_length": 3}, (3, 1), "string", gradients=False),
    C("Resizing", {"height": 5, "width": 6}, _PHOTO),
    C("Resizing", {"height": 5, "width": 6, "crop_to_aspect_ratio": True}, _PHOTO),
    C("CenterCrop", {"height": 5, "width": 6}, _PHOTO, gradients=False),
    C("RandomCrop", {"height": 5, "width": 6, "seed": 1}, _PHOTO, gradients=False),
    C("RandomFlip", {"seed": 1}, _PHOTO, gradients=False),
    C("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2, "seed": 1}, _PHOTO, gradients=False, tolerance=1e-4),
    C("RandomRotation", {"factor": 0.2, "seed": 1, "fill_mode": "constant"}, _PHOTO, gradients=False, tolerance=1e-4),
    C("RandomZoom", {"height_factor": 0.3, "seed": 1, "fill_mode": "nearest"}, _PHOTO, gradients=False, tolerance=1e-4),
    C("RandomContrast", {"factor": 0.3, "seed": 1}, _PHOTO, gradients=False, tolerance=1e-5),
    C("RandomBrightness", {"factor": 0.3, "seed": 1}, _PHOTO, gradients=False, tolerance=1e-5),
    C("RandomHeight", {"factor": 0.3, "seed": 1}, _PHOTO, gradients=False, tolerance=1e-5),
    C("RandomWidth", {"factor": 0.3, "seed": 1}, _PHOTO, gradients=False, tolerance=1e-5),
]
CASES += PREPROCESSING

CASES += [
    C(f"LocallyConnected{n}D", {"filters": 3, "kernel_size": 2, **kw}, _SEQ if n == 1 else (2, 5, 4, 3), tolerance=1e-5)
    for n in (1, 2)
    for kw in (
        {"strides": 2, "activation": "relu"},
        {"data_format": "channels_first"},
        {"implementation": 2, "padding": "same"},
        {"implementation": 2, "data_format": "channels_first"},
        {"implementation": 3, "padding": "same"},
        {"implementation": 3, "data_format": "channels_first"},
    )
]
_SELF_ATTENTION = {"value": np.linspace(-1, 1, 2 * 6 * 3).reshape(2, 6, 3).astype("float32")}
CASES += [
    C("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **kw}, _SEQ, call=call, tolerance=1e-5)
    for kw, call in (
        ({}, _SELF_ATTENTION),
        ({"value_dim": 5, "dropout": 0.3, "output_shape": 7, "use_bias": False}, _SELF_ATTENTION),
        ({}, {**_SELF_ATTENTION, "return_attention_scores": True}),
        ({"kernel_regularizer": "l2"}, {**_SELF_ATTENTION, "use_causal_mask": True}),
        ({}, {**_SELF_ATTENTION, "attention_mask": np.arange(60).reshape(2, 5, 6) % 4 > 0}),
    )
]
CASES += [
    C("SpectralNormalization", {"layer": lambda m: m.Dense(3)}),
    C("SpectralNormalization", {"layer": lambda m: m.Conv2D(3, 2), "power_iterations": 2}, _IMAGE, tolerance=1e-5),
    C("LSTMCell", {"units": 3}, (2, 4), call={"states": [np.ones((2, 3), "float32")] * 2}, tolerance=5e-6),
    C("GRUCell", {"units": 3, "reset_after": False}, (2, 4), call={"states": [np.ones((2, 3), "float32")]}, tolerance=5e-6),
    C("SimpleRNNCell", {"units": 3}, (2, 4), call={"states": [np.ones((2, 3), "float32")]}, tolerance=5e-6),
]
