"""The architectures, a module for each family. `frame` holds what they share."""
