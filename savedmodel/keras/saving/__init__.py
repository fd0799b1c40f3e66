"""All persistence of Keras objects: configs, SavedModel, HDF5 and .keras archives."""
