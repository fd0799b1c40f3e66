"""tf.saved_model: re-exports, and the constants of the format."""

from savedmodel.loader import load
from savedmodel.options import LoadOptions, SaveOptions
from savedmodel.reader import contains_saved_model
from savedmodel.writer import save

__all__ = ["LoadOptions", "SaveOptions", "contains_saved_model", "load", "save"]

ASSETS_DIRECTORY = "assets"
DEFAULT_SERVING_SIGNATURE_DEF_KEY = "serving_default"
PREDICT_METHOD_NAME = "tensorflow/serving/predict"
CLASSIFY_METHOD_NAME = "tensorflow/serving/classify"
REGRESS_METHOD_NAME = "tensorflow/serving/regress"
SAVED_MODEL_FILENAME_PB = "saved_model.pb"
SAVED_MODEL_FILENAME_PBTXT = "saved_model.pbtxt"
SAVED_MODEL_SCHEMA_VERSION = 1
SERVING = "serve"
TRAINING = "train"
GPU = "gpu"
TPU = "tpu"
VARIABLES_DIRECTORY = "variables"
VARIABLES_FILENAME = "variables"
