"""Training, evaluation and prediction of models: compile, fit, evaluate, predict and the steps that users override.

Behaviour follows Keras 2.15. A step is traced once per signature, with an unknown batch dimension; a batch then costs one lookup.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.engine import compile_containers, data_adapter
from savedmodel.keras.engine.base_layer import converted
from savedmodel.trackable import Trackable, no_automatic_dependency_tracking
from tracer import dispatch, nest
from tracer.composite import RaggedTensor, SparseTensor
from tracer.errors import InvalidArgumentError
from tracer.functions import Function, functions_run_eagerly
from tracer.public import tf
from tracer.specs import TypeSpec
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor

__all__ = ["StepFunction", "Training", "sync_to_numpy_or_python_type"]

_log = logging.getLogger("savedmodel")


def sync_to_numpy_or_python_type(structure: Any) -> Any:
    """Tensors as arrays; scalars as Python numbers; strings as bytes."""

    def one(t: Any) -> Any:
        if isinstance(t, Tensor):
            t = t.numpy()
        elif hasattr(t, "_is_variable"):
            t = t.numpy()
        if isinstance(t, (np.ndarray, np.generic)):
            return t.item() if np.ndim(t) == 0 else t
        return t

    return nest.map_structure(one, structure)


class StepFunction:
    """What `make_train_function` and its like return: called with an iterator, it runs one batch (or several: `steps`).

    Args:
        step: the Python step, `step(data) -> outputs`.
        eager: run it as Python instead of tracing it.
        joined: how the outputs of several batches become one (None: the last).
    """

    def __init__(self, step: Callable[[Any], Any], eager: bool, name: str, joined: Callable[[list[Any]], Any] | None = None):
        self._step = step
        self._eager = eager
        self._traced = None if eager else Function(step, name, autograph=False)
        self._joined = joined
        self._concrete: dict[Any, Any] = {}
        self.steps = 1

    def __call__(self, iterator: Iterator[Any]) -> Any:
        if self.steps == 1:
            return self._run(iterator)
        outputs: list[Any] = []
        for _ in range(self.steps):
            try:
                outputs.append(self._run(iterator))
            except StopIteration:
                if not outputs:
                    raise
                break
        return outputs[-1] if self._joined is None else self._joined(outputs)

    def _run(self, iterator: Iterator[Any]) -> Any:
        data = next(iterator)
        if self._eager or functions_run_eagerly():
            return self._step(data)
        spec = getattr(iterator, "element_spec", None)
        key = id(iterator)
        found = self._concrete.get("last")
        if found is None or found[0] != key or found[1] is not spec:
            found = (key, spec, self._find(data, spec))
            self._concrete["last"] = found
        concrete = found[2]
        flat = nest.flatten(data, expand_composites=True)
        return concrete.call_flat([t if isinstance(t, EagerTensor) else convert_to_tensor(t) for t in flat])

    def _find(self, data: Any, spec: Any) -> Any:
        """The trace for an element spec; traced where it is new."""
        if spec is None:
            spec = nest.map_structure(data_adapter._free_batch, data)
        leaves = nest.flatten(spec)
        key = (repr(nest.map_structure(lambda _: 0, spec)), tuple(leaves)) if all(isinstance(s, TypeSpec) for s in leaves) else None
        found = self._concrete.get(key)
        if found is None:
            assert self._traced is not None
            found = self._traced.get_concrete_function(spec)
            if key is not None:
                self._concrete[key] = found
        return found


class Training:
    """The training half of `Model`."""

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run as plain Python."""
        if self.dynamic and self._run_eagerly is False:
            raise InvalidArgumentError(
                "Your model contains layers that can only be successfully run in eager execution (layers constructed with `dynamic=True`). You "
                "cannot set `run_eagerly=False`."
            )
        return bool(self.dynamic or self._run_eagerly or (functions_run_eagerly() and self._run_eagerly is None))

    @run_eagerly.setter
    def run_eagerly(self, value: bool | None) -> None:
        self.__dict__["_run_eagerly"] = value

    @property
    def jit_compile(self) -> Any:
        return self._jit_compile

    @jit_compile.setter
    def jit_compile(self, value: Any) -> None:
        self.__dict__["_jit_compile"] = value
        self._reset_compile_cache()

    @property
    def steps_per_execution(self) -> Any:
        return self._steps_per_execution

    @steps_per_execution.setter
    def steps_per_execution(self, value: Any) -> None:
        self.__dict__["_steps_per_execution"] = int(value)

    @property
    def distribute_strategy(self) -> Any:
        return None

    # -- compile -----------------------------------------------------------------------------------------------------

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, loss_weights: Any = None, weighted_metrics: Any = None,
        run_eagerly: bool | None = None, steps_per_execution: Any = None, jit_compile: Any = None, pss_evaluation_shards: Any = 0, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Set optimizer, losses and metrics.

        Args:
            optimizer, loss, metrics, weighted_metrics: objects, names, configs or functions; losses and metrics also per output, as lists or
                dicts by output name. "accuracy" and "crossentropy" mean the kind that fits the output.
            loss_weights: factors of the outputs' losses.
            run_eagerly: run steps as Python. steps_per_execution: batches between callbacks.

        Raises:
            TypeError: an unknown keyword.
        """
        self.__dict__["_compile_config"] = {
            "optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights, "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly, "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
        }  # fmt: skip
        from_serialized = kwargs.pop("from_serialized", False)
        if "experimental_steps_per_execution" in kwargs:
            steps_per_execution = steps_per_execution or kwargs.pop("experimental_steps_per_execution")
        self._validate_compile(kwargs)
        self._run_eagerly = run_eagerly
        self.optimizer = self._get_optimizer(optimizer)
        if isinstance(loss, compile_containers.LossesContainer):
            self.compiled_loss = loss
        else:
            self.compiled_loss = compile_containers.LossesContainer(loss, loss_weights, output_names=self.output_names)
        self.compiled_metrics = compile_containers.MetricsContainer(
            metrics, weighted_metrics, output_names=self.output_names, from_serialized=from_serialized
        )
        self.__dict__["_steps_per_execution"] = 1 if steps_per_execution in (None, "auto") else int(steps_per_execution)
        self._reset_compile_cache()
        self._is_compiled = True
        self.loss = loss or {}
        if (self._run_eagerly or self.dynamic) and jit_compile:
            raise InvalidArgumentError("You cannot enable `run_eagerly` and `jit_compile` at the same time.")
        self.__dict__["_jit_compile"] = jit_compile

    @staticmethod
    def _validate_compile(kwargs: dict[str, Any]) -> None:
        rest = {k: v for k, v in kwargs.items() if k not in ("cloning", "experimental_run_tf_function")}
        if rest.pop("distribute", None) is not None:
            raise InvalidArgumentError("`distribute` argument in compile is not available: models run on one device here.")
        if rest.pop("target_tensors", None) is not None:
            raise InvalidArgumentError("`target_tensors` argument is not supported when executing eagerly.")
        invalid = set(rest) - {"sample_weight_mode"}
        if invalid:
            raise TypeError(
                f'Invalid keyword argument(s) in `compile()`: {(invalid,)}. Valid keyword arguments include "cloning", '
                f'"experimental_run_tf_function", "distribute", "target_tensors", or "sample_weight_mode".'
            )

    def _get_optimizer(self, optimizer: Any) -> Any:
        from savedmodel.keras import optimizers

        def one(identifier: Any) -> Any:
            found = optimizers.get(identifier)
            if self.dtype_policy.name == "mixed_float16":
                from savedmodel.keras import mixed_precision

                if not hasattr(found, "get_scaled_loss"):
                    found = mixed_precision.LossScaleOptimizer(found)
            return found

        return nest.map_structure(one, optimizer)

    @no_automatic_dependency_tracking
    def _reset_compile_cache(self) -> None:
        self.train_function = None
        self.test_function = None
        self.predict_function = None
        self.train_tf_function = None
        self._compiled_trainable_state = self._get_trainable_state()

    @property
    def _compile_was_called(self) -> bool:
        return self._is_compiled

    def _assert_compile_was_called(self) -> None:
        if not self._is_compiled:
            raise RuntimeError("You must compile your model before training/testing. Use `model.compile(optimizer, loss)`.")

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, serialized; None before it was called."""
        if not self._is_compiled or "_compile_config" not in self.__dict__:
            return None
        from savedmodel.keras.saving import serialization

        return serialization.serialize_keras_object(self._compile_config)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gave; a class with its own `compile` is left uncompiled, with a warning."""
        if type(self).compile is not Training.compile:
            _log.warning(
                "`compile()` was not called as part of model loading because the model's `compile()` method is custom. All subclassed Models "
                "that have `compile()` overridden should also override `get_compile_config()` and `compile_from_config(config)`. Alternatively, "
                "you can call `compile()` manually after loading."
            )
            return
        from savedmodel.keras.saving import serialization

        self.compile(**serialization.deserialize_keras_object(config))
        if self.optimizer is not None and self.built and hasattr(self.optimizer, "build"):
            self.optimizer.build(self.trainable_variables)

    def _get_compile_args(self, user_metrics: bool = True) -> dict[str, Any]:
        """What the model was compiled with; metrics as objects where not `user_metrics`."""
        self._assert_compile_was_called()
        container = self.compiled_metrics
        metrics, weighted = container._user_metrics, container._user_weighted_metrics
        if not user_metrics:
            metrics = None if metrics is None else container._metrics
            weighted = None if weighted is None else container._weighted_metrics
        return {
            "optimizer": self.optimizer,
            "loss": self.compiled_loss._user_losses,
            "metrics": metrics,
            "weighted_metrics": weighted,
            "loss_weights": self.compiled_loss._user_loss_weights,
        }

    # -- metrics -----------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The compiled losses' means, the compiled metrics, then those of the layers."""
        out: list[Any] = []
        if self._is_compiled:
            if self.compiled_loss is not None:
                out += self.compiled_loss.metrics
            if self.compiled_metrics is not None:
                out += self.compiled_metrics.metrics
        for layer in self._flatten_layers():
            out.extend(layer.__dict__.get("_metrics", ()))
        return out

    @property
    def metrics_names(self) -> list[str]:
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Start all metrics anew."""
        for m in self.metrics:
            m.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The results of all metrics by name."""
        out: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            if isinstance(result, dict):
                out.update(result)
            else:
                out[metric.name] = result
        return out

    def _validate_and_get_metrics_result(self, logs: Any) -> Any:
        found = self.get_metrics_result()
        if isinstance(logs, dict) and set(logs) == set(found):
            return sync_to_numpy_or_python_type(found)
        return logs

    # -- steps -------------------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Any:
        """One batch of training: forward, loss, gradients, update. Returns the metrics. May be overridden."""
        x, y, sample_weight = data_adapter.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        self._validate_target_and_loss(y, loss)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> Any:
        """One batch of evaluation. Returns the metrics. May be overridden."""
        x, y, sample_weight = data_adapter.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self.compute_loss(x, y, y_pred, sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """One batch of prediction. Returns the outputs. May be overridden."""
        x, _, _ = data_adapter.unpack_x_y_sample_weight(data)
        return self(x, training=False)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        """The total loss of a batch, regularisation included; None where there is none. May be overridden."""
        return self.compiled_loss(y, y_pred, sample_weight, regularization_losses=self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        """Update the compiled metrics; the results of all. May be overridden."""
        self.compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _validate_target_and_loss(self, y: Any, loss: Any) -> None:
        if self.loss and y is None:
            raise InvalidArgumentError(
                f"Target data is missing. Your model was compiled with loss={self.loss}, and therefore expects target data to be provided in "
                f"`fit()`."
            )
        if loss is None:
            raise InvalidArgumentError("No loss found. You may have forgotten to provide a `loss` argument in the `compile()` method.")

    def _make(self, kind: str, joined: Callable[[list[Any]], Any] | None = None) -> StepFunction:
        step_of = {"train": "train_step", "test": "test_step", "predict": "predict_step"}[kind]

        def step(data: Any) -> Any:
            method = getattr(self, step_of)
            if dispatch.executing_eagerly():
                outputs = method(data)
                getattr(self, f"_{kind}_counter").assign_add(1)
            else:
                outputs = converted(method, getattr(method, "__module__", "savedmodel"))(data)
                first = next((t for t in nest.flatten(outputs, expand_composites=True) if isinstance(t, Tensor)), None)
                with dispatch.control_dependencies([first] if first is not None else []):
                    getattr(self, f"_{kind}_counter").assign_add(1)
            return outputs

        if not self.run_eagerly:  # checkpoints have a node, without a value, for the function that runs batches
            node = Trackable()
            for name in ("train_tf_function", "train_function") if kind == "train" else (f"{kind}_function",):
                self._tracked[name] = node
        return StepFunction(step, self.run_eagerly, f"{kind}_function", joined)

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `fit` calls with an iterator for each batch. May be overridden."""
        if self.train_function is None or force:
            self.__dict__["train_function"] = self._make("train")
        return self.train_function

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `evaluate` calls with an iterator for each batch. May be overridden."""
        if self.test_function is None or force:
            self.__dict__["test_function"] = self._make("test")
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `predict` calls with an iterator for each batch. May be overridden."""
        if self.predict_function is None or force:
            self.__dict__["predict_function"] = self._make("predict", _concat_batches)
        return self.predict_function

    # -- loops -------------------------------------------------------------------------------------------------------

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto", callbacks: Any = None,
        validation_split: float = 0.0, validation_data: Any = None, shuffle: Any = True, class_weight: Any = None, sample_weight: Any = None,
        initial_epoch: int = 0, steps_per_epoch: int | None = None, validation_steps: int | None = None,
        validation_batch_size: int | None = None, validation_freq: Any = 1, max_queue_size: int = 10, workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> Any:  # fmt: skip
        """Train the model for `epochs` passes over the data.

        Args:
            x, y, sample_weight: arrays, lists or dicts of arrays; or x alone a dataset, generator or Sequence of `(x, y[, sample_weight])`.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch.
            validation_split: last part of the arrays to evaluate on after each epoch; or give `validation_data`.
            class_weight: {class: weight}. steps_per_epoch: batches that make an epoch.

        Returns:
            A History whose `history` holds the values of each epoch.

        Raises:
            RuntimeError: not compiled. ValueError: the data do not fit together.
        """
        from savedmodel.keras import callbacks as callbacks_module

        self._assert_compile_was_called()
        self._check_call_args("fit")
        _disallow_inside_function("fit")
        verbose = _verbosity(verbose)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = data_adapter.train_validation_split((x, y, sample_weight), validation_split)
        if validation_data:
            val_x, val_y, val_weight = data_adapter.unpack_x_y_sample_weight(validation_data)
        with self._compiled_trainable():
            handler = data_adapter.DataHandler(
                x, y, sample_weight, batch_size, steps_per_epoch, initial_epoch, epochs, shuffle, class_weight, max_queue_size, workers,
                use_multiprocessing, self, self._steps_per_execution or 1,
            )  # fmt: skip
            if not isinstance(callbacks, callbacks_module.CallbackList):
                callbacks = callbacks_module.CallbackList(
                    callbacks, add_history=True, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=epochs,
                    steps=handler.inferred_steps,
                )  # fmt: skip
            self.stop_training = False
            self.__dict__["train_function"] = self.make_train_function()
            self._train_counter.assign(0)
            callbacks.on_train_begin()
            training_logs = None
            if self._training_state is not None:
                handler._initial_epoch, handler._initial_step = self._training_state.maybe_load_initial_counters_from_ckpt(
                    steps_per_epoch or handler.inferred_steps, initial_epoch
                )
            logs = None
            cached: list[Any] = []
            for epoch, iterator in handler.enumerate_epochs():
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                with handler.catch_stop_iteration():
                    for step in handler.steps():
                        callbacks.on_train_batch_begin(step)
                        _set_steps(self.train_function, handler.execution_steps)
                        logs = self.train_function(iterator)
                        callbacks.on_train_batch_end(step + handler.step_increment, logs)
                        if self.stop_training:
                            break
                if logs is None:
                    raise InvalidArgumentError(
                        "Unexpected result of `train_function` (Empty logs). This could be due to issues in input pipeline that resulted in an "
                        "empty dataset. Otherwise, please use `Model.compile(..., run_eagerly=True)` for more information of where went wrong."
                    )
                logs = self._validate_and_get_metrics_result(sync_to_numpy_or_python_type(logs))
                epoch_logs = copy.copy(logs)
                if validation_data and _should_evaluate(epoch, validation_freq):
                    val_logs = self.evaluate(
                        val_x, val_y, sample_weight=val_weight, batch_size=validation_batch_size or batch_size, steps=validation_steps,
                        callbacks=callbacks, max_queue_size=max_queue_size, workers=workers, use_multiprocessing=use_multiprocessing,
                        return_dict=True, _cached_handler=cached,
                    )  # fmt: skip
                    epoch_logs.update({f"val_{name}": value for name, value in val_logs.items()})
                callbacks.on_epoch_end(epoch, epoch_logs)
                training_logs = epoch_logs
                if self.stop_training:
                    break
            if epochs > 0 and hasattr(self.optimizer, "finalize_variable_values"):
                self.optimizer.finalize_variable_values(self.trainable_variables)
            callbacks.on_train_end(logs=training_logs)
            return self.history

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto", sample_weight: Any = None,
        steps: int | None = None, callbacks: Any = None, max_queue_size: int = 10, workers: int = 1, use_multiprocessing: bool = False,
        return_dict: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """The loss and metrics on the data: a number, a list in the order of `metrics_names`, or a dict where `return_dict`."""
        from savedmodel.keras import callbacks as callbacks_module

        self._assert_compile_was_called()
        self._check_call_args("evaluate")
        self._check_sample_weight_warning(x, sample_weight)
        _disallow_inside_function("evaluate")
        cached = kwargs.pop("_cached_handler", None)
        if kwargs:
            raise TypeError(f"Invalid keyword arguments: {list(kwargs)}")
        verbose = _verbosity(verbose)
        if cached:
            handler = cached[0]
            handler._insufficient_data = False
        else:
            handler = data_adapter.DataHandler(
                x, y, sample_weight, batch_size, steps, 0, 1, False, None, max_queue_size, workers, use_multiprocessing, self,
                self._steps_per_execution or 1,
            )  # fmt: skip
            if cached is not None:
                cached.append(handler)
        if not isinstance(callbacks, callbacks_module.CallbackList):
            callbacks = callbacks_module.CallbackList(
                callbacks, add_history=True, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1, steps=handler.inferred_steps
            )
        logs: Any = {}
        self.__dict__["test_function"] = self.make_test_function()
        self._test_counter.assign(0)
        callbacks.on_test_begin()
        for _, iterator in handler.enumerate_epochs():
            self.reset_metrics()
            with handler.catch_stop_iteration():
                for step in handler.steps():
                    callbacks.on_test_batch_begin(step)
                    _set_steps(self.test_function, handler.execution_steps)
                    logs = self.test_function(iterator)
                    callbacks.on_test_batch_end(step + handler.step_increment, logs)
        logs = self._validate_and_get_metrics_result(sync_to_numpy_or_python_type(logs))
        callbacks.on_test_end(logs=logs)
        return logs if return_dict else flatten_metrics_in_order(logs, self.metrics_names)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None,
        max_queue_size: int = 10, workers: int = 1, use_multiprocessing: bool = False,
    ) -> Any:  # fmt: skip
        """The outputs for the data, as arrays in the structure that the model returns."""
        from savedmodel.keras import callbacks as callbacks_module

        self._check_call_args("predict")
        _disallow_inside_function("predict")
        verbose = _verbosity(verbose)
        handler = data_adapter.DataHandler(
            x, None, None, batch_size, steps, 0, 1, False, None, max_queue_size, workers, use_multiprocessing, self,
            self._steps_per_execution or 1,
        )  # fmt: skip
        if not isinstance(callbacks, callbacks_module.CallbackList):
            callbacks = callbacks_module.CallbackList(
                callbacks, add_history=True, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1, steps=handler.inferred_steps
            )
        self.__dict__["predict_function"] = self.make_predict_function()
        self._predict_counter.assign(0)
        callbacks.on_predict_begin()
        found: list[Any] = []
        for _, iterator in handler.enumerate_epochs():
            with handler.catch_stop_iteration():
                for step in handler.steps():
                    callbacks.on_predict_batch_begin(step)
                    _set_steps(self.predict_function, handler.execution_steps)
                    outputs = self.predict_function(iterator)
                    found.append(outputs)
                    callbacks.on_predict_batch_end(step + handler.step_increment, {"outputs": outputs})
        if not found:
            raise InvalidArgumentError(
                "Unexpected result of `predict_function` (Empty batch_outputs). Please use `Model.compile(..., run_eagerly=True)` for more "
                "information of where went wrong."
            )
        callbacks.on_predict_end()
        return sync_to_numpy_or_python_type(_concat_batches(found))

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, reset_metrics: bool = True, return_dict: bool = False
    ) -> Any:
        """One training step on one batch. Returns the metrics like `evaluate`."""
        self._assert_compile_was_called()
        self._check_call_args("train_on_batch")
        _disallow_inside_function("train_on_batch")
        if reset_metrics:
            self.reset_metrics()
        with self._compiled_trainable():
            iterator = data_adapter.single_batch_iterator(x, y, sample_weight, class_weight)
            self.__dict__["train_function"] = self.make_train_function()
            _set_steps(self.train_function, 1)
            logs = sync_to_numpy_or_python_type(self.train_function(iterator))
        return logs if return_dict else flatten_metrics_in_order(logs, self.metrics_names)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, reset_metrics: bool = True, return_dict: bool = False
    ) -> Any:
        """One evaluation step on one batch."""
        self._assert_compile_was_called()
        self._check_call_args("test_on_batch")
        _disallow_inside_function("test_on_batch")
        if reset_metrics:
            self.reset_metrics()
        iterator = data_adapter.single_batch_iterator(x, y, sample_weight)
        self.__dict__["test_function"] = self.make_test_function()
        _set_steps(self.test_function, 1)
        logs = sync_to_numpy_or_python_type(self.test_function(iterator))
        return logs if return_dict else flatten_metrics_in_order(logs, self.metrics_names)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as arrays."""
        self._check_call_args("predict_on_batch")
        _disallow_inside_function("predict_on_batch")
        iterator = data_adapter.single_batch_iterator(x)
        self.__dict__["predict_function"] = self.make_predict_function()
        _set_steps(self.predict_function, 1)
        return sync_to_numpy_or_python_type(self.predict_function(iterator))

    # -- checks ------------------------------------------------------------------------------------------------------

    def _compiled_trainable(self) -> Any:
        import contextlib

        @contextlib.contextmanager
        def scope() -> Iterator[None]:
            now, compiled = self._get_trainable_state(), self._compiled_trainable_state
            same = all(k in compiled and compiled[k][1] == v[1] for k, v in now.items())
            if not same:
                self._set_trainable_state(compiled)
            try:
                yield
            finally:
                if not same:
                    self._set_trainable_state(now)

        return scope()

    def _check_call_args(self, method: str) -> None:
        names = [n for n in self._call_spec.required if n != "training"]
        if len(names) > 1:
            raise InvalidArgumentError(
                f"Models passed to `{method}` can only have `training` and the first argument in `call()` as positional arguments, found: "
                f"{names[1:]}."
            )

    def _check_sample_weight_warning(self, x: Any, sample_weight: Any) -> None:
        spec = getattr(x, "element_spec", None)
        weighted = sample_weight is not None or (isinstance(spec, tuple) and len(spec) == 3)
        if weighted and self.compiled_metrics._user_weighted_metrics is None:
            _log.warning(
                "`evaluate()` received a value for `sample_weight`, but `weighted_metrics` were not provided.  Did you mean to pass metrics to "
                "`weighted_metrics` in `compile()`?  If this is intentional you can pass `weighted_metrics=[]` to `compile()` in order to silence "
                "this warning."
            )


def _set_steps(function: Any, steps: int) -> None:
    if isinstance(function, StepFunction):
        function.steps = steps


def _disallow_inside_function(method: str) -> None:
    if not dispatch.executing_eagerly():
        raise RuntimeError(
            f"Detected a call to `Model.{method}` inside a `tf.function`. `Model.{method} is a high-level endpoint that manages its own "
            f"`tf.function`. Please move the call to `Model.{method}` outside of all enclosing `tf.function`s. Note that you can call a `Model` "
            f"directly on `Tensor`s inside a `tf.function` like: `model(x)`."
        )


def _verbosity(verbose: Any) -> int:
    if verbose != "auto":
        return int(verbose)
    from savedmodel.keras import progbar

    return 1 if progbar.is_interactive_logging_enabled() else 2


def _should_evaluate(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, list):
        return epoch + 1 in frequency
    raise InvalidArgumentError(
        f"Expected `validation_freq` to be a list or int. Received: validation_freq={frequency} of the type {type(frequency)}."
    )


def flatten_metrics_in_order(logs: Any, names: Sequence[str]) -> Any:
    """The values of `logs` in the order of `names`, then others by name; one value alone is not in a list."""
    if not isinstance(logs, dict):
        return logs
    out = [logs[n] for n in names if n in logs]
    out += [logs[k] for k in sorted(logs) if k not in names]
    return out[0] if len(out) == 1 else out


def _concat_batches(batches: list[Any]) -> Any:
    """The outputs of several batches as one."""
    if len(batches) == 1:
        return batches[0]
    flats = [nest.flatten(b) for b in batches]
    return nest.pack_sequence_as(batches[0], [_concat(list(parts)) for parts in zip(*flats, strict=True)])


def _concat(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, SparseTensor):
        return tf.sparse.concat(axis=0, sp_inputs=parts)
    if isinstance(first, RaggedTensor):
        return tf.concat(parts, axis=0)
    arrays = [p._value if isinstance(p, EagerTensor) else np.asarray(p) for p in parts]
    if arrays[0].ndim == 0:
        return EagerTensor(np.stack(arrays), first.dtype)
    if all(a.shape[1:] == arrays[0].shape[1:] for a in arrays):
        return EagerTensor(np.concatenate(arrays), first.dtype)
    rows = [row.tolist() for a in arrays for row in a]
    return tf.ragged.constant(rows, dtype=first.dtype)
