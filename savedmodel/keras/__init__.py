"""Keras 2.15: `from savedmodel import keras`. Names are found when first used."""
