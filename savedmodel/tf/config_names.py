"""tf.config: whether functions run eagerly; there is one device."""

from tracer.functions import functions_run_eagerly, run_functions_eagerly

__all__ = ["functions_run_eagerly", "list_physical_devices", "run_functions_eagerly"]


def list_physical_devices(device_type: str | None = None) -> list[str]:
    """The devices of that type: one CPU."""
    return ["/physical_device:CPU:0"] if device_type in (None, "CPU") else []


list_logical_devices = list_physical_devices
