"""tf.errors: TensorFlow's error names for ours."""

from savedmodel.errors import SavedModelError as OpError
from tracer.errors import InvalidArgumentError, OutOfRangeError
from tracer.errors import SymbolicTensorError as OperatorNotAllowedInGraphError
from tracer.errors import UninitializedError as FailedPreconditionError
from tracer.errors import UnknownOpError as UnimplementedError

NotFoundError = FileNotFoundError
PermissionDeniedError = PermissionError

__all__ = [
    "FailedPreconditionError",
    "InvalidArgumentError",
    "NotFoundError",
    "OpError",
    "OperatorNotAllowedInGraphError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "UnimplementedError",
]
