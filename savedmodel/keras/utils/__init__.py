"""Utilities of Keras 2.15. Names are found when first used."""
