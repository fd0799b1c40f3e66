"""tf.compat.v1.saved_model: loading as TensorFlow 2 does, and the constants; `load` into a session is not among them."""

from types import SimpleNamespace as _Space

from savedmodel.loader import load as load_v2
from savedmodel.reader import contains_saved_model
from savedmodel.reader import contains_saved_model as maybe_saved_model_directory

__all__ = ["contains_saved_model", "load_v2", "maybe_saved_model_directory"]

ASSETS_DIRECTORY = "assets"
ASSETS_KEY = "saved_model_assets"
CLASSIFY_INPUTS = "inputs"
CLASSIFY_METHOD_NAME = "tensorflow/serving/classify"
CLASSIFY_OUTPUT_CLASSES = "classes"
CLASSIFY_OUTPUT_SCORES = "scores"
DEFAULT_SERVING_SIGNATURE_DEF_KEY = "serving_default"
GPU = "gpu"
LEGACY_INIT_OP_KEY = "legacy_init_op"
MAIN_OP_KEY = "saved_model_main_op"
PREDICT_INPUTS = "inputs"
PREDICT_METHOD_NAME = "tensorflow/serving/predict"
PREDICT_OUTPUTS = "outputs"
REGRESS_INPUTS = "inputs"
REGRESS_METHOD_NAME = "tensorflow/serving/regress"
REGRESS_OUTPUTS = "outputs"
SAVED_MODEL_FILENAME_PB = "saved_model.pb"
SAVED_MODEL_FILENAME_PBTXT = "saved_model.pbtxt"
SAVED_MODEL_SCHEMA_VERSION = 1
SERVING = "serve"
TPU = "tpu"
TRAINING = "train"
VARIABLES_DIRECTORY = "variables"
VARIABLES_FILENAME = "variables"

_OWN = dict(globals())
signature_constants = _Space(
    **{k: v for k, v in _OWN.items() if k.startswith(("CLASSIFY", "DEFAULT", "PREDICT", "REGRESS"))}
)
tag_constants = _Space(**{k: _OWN[k] for k in ("GPU", "SERVING", "TPU", "TRAINING")})
constants = _Space(
    **{k: v for k, v in _OWN.items() if k.startswith(("ASSETS", "LEGACY", "MAIN", "SAVED_MODEL", "VARIABLES"))}
)
