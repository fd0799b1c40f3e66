"""keras.callbacks: hooks into training loops."""

from savedmodel.keras.callbacks.base import (
    BaseLogger,
    Callback,
    CallbackList,
    History,
    LambdaCallback,
    ProgbarLogger,
    TerminateOnNaN,
)
from savedmodel.keras.callbacks.checkpoints import BackupAndRestore, ModelCheckpoint
from savedmodel.keras.callbacks.control import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau
from savedmodel.keras.callbacks.logs import CSVLogger, RemoteMonitor
from savedmodel.keras.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "BaseLogger",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "TensorBoard",
    "TerminateOnNaN",
]
