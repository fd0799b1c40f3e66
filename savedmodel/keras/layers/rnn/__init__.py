"""Recurrent layers, their cells and wrappers."""

from __future__ import annotations

from savedmodel.keras.layers.rnn.base import RNN
from savedmodel.keras.layers.rnn.cells import AbstractRNNCell, GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from savedmodel.keras.layers.rnn.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from savedmodel.keras.layers.rnn.layers import GRU, LSTM, SimpleRNN
from savedmodel.keras.layers.rnn.wrappers import Bidirectional, TimeDistributed

__all__ = [
    "GRU", "LSTM", "RNN", "AbstractRNNCell", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell", "LSTMCell", "SimpleRNN",
    "SimpleRNNCell", "StackedRNNCells", "TimeDistributed",
]  # fmt: skip
