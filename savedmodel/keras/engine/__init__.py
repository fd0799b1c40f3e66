"""The Keras engine: layers, the functional graph, models and their training. Each module owns one part; this one is empty."""
