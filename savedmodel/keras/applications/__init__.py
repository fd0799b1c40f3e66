"""Image classifiers of Keras 2.15, built layer by layer. Weights are drawn or read from a local file; nothing is downloaded."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

_A = __name__
# module of Keras → (module here, builders, how images are prepared)
_MODULES: dict[str, tuple[str, str, str]] = {
    "convnext": ("convnext", "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge", "none"),
    "densenet": ("densenet", "DenseNet121 DenseNet169 DenseNet201", "torch"),
    "efficientnet": ("efficientnet", " ".join(f"EfficientNetB{i}" for i in range(8)), "none"),
    "inception_resnet_v2": ("inception_resnet", "InceptionResNetV2", "tf"),
    "inception_v3": ("inception", "InceptionV3", "tf"),
    "mobilenet": ("mobilenet", "MobileNet", "tf"),
    "mobilenet_v2": ("mobilenet", "MobileNetV2", "tf"),
    "nasnet": ("nasnet", "NASNetMobile NASNetLarge", "tf"),
    "resnet": ("resnet", "ResNet50 ResNet101 ResNet152", "caffe"),
    "resnet_v2": ("resnet", "ResNet50V2 ResNet101V2 ResNet152V2", "tf"),
    "vgg16": ("vgg", "VGG16", "caffe"),
    "vgg19": ("vgg", "VGG19", "caffe"),
    "xception": ("xception", "Xception", "tf"),
}
_PREPARE = {"none": "prepare_nothing", "tf": "prepare_tf", "torch": "prepare_torch", "caffe": "prepare_caffe"}


def _namespace(name: str, builders: dict[str, Any], kind: str) -> LazyNamespace:
    shared = {
        "preprocess_input": f"{_A}.images:{_PREPARE[kind]}", "decode_predictions": f"{_A}.images:decode_predictions",
    }  # fmt: skip
    return LazyNamespace(f"{_A}.{name}", {**builders, **shared})


_NAMES: dict[str, Any] = {
    "mobilenet_v3": _namespace("mobilenet_v3", {}, "none"),
    "imagenet_utils": LazyNamespace(
        f"{_A}.imagenet_utils",
        {"preprocess_input": f"{_A}.images:preprocess_input", "decode_predictions": f"{_A}.images:decode_predictions"},
    ),
}
for _name, (_module, _builders, _kind) in _MODULES.items():
    _found = {b: f"{_A}.builders.{_module}:{b}" for b in _builders.split()}
    _NAMES |= _found
    _NAMES[_name] = _namespace(_name, _found, _kind)
_V3 = {f"MobileNetV3{size}": f"{_A}.builders.mobilenet_v3:MobileNetV3{size}" for size in ("Large", "Small")}
_NAMES |= _V3
_RESNET50 = {"ResNet50": f"{_A}.builders.resnet:ResNet50"}
_NAMES["resnet50"] = _namespace("resnet50", _RESNET50, "caffe")

__all__ = sorted(_NAMES)  # noqa: PLE0605

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
