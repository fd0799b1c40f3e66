"""Optimizers as Keras had them before version 2.11: hyperparameters as variables, slots by variable and name."""

from __future__ import annotations

from savedmodel.keras.optimizers.legacy.algorithms import SGD, Adadelta, Adagrad, Adam, Adamax, Ftrl, Nadam, RMSprop
from savedmodel.keras.optimizers.legacy.base import Optimizer, RestoredOptimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop", "RestoredOptimizer"]
