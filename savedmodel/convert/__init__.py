"""Converters: a model on disk becomes a file of another format. Each writes the whole file or nothing."""

from __future__ import annotations

from savedmodel.convert.formats import FORMATS, ConversionError, convert

__all__ = ["FORMATS", "ConversionError", "convert"]
