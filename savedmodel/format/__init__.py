"""Bytes ↔ messages ↔ arrays: the files of a SavedModel and of a checkpoint; knows no graph, no object and no op.

A leaf: it imports NumPy, ml_dtypes, protobuf and the standard library, never `tracer` nor the rest of `savedmodel`.
Importing this package imports none of its modules: take what you need (`from savedmodel.format import protos`).
"""
