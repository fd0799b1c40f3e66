"""Attributes of layers and modules: what becomes a child, and which changes of containers can be saved."""

from __future__ import annotations

import copy
import json

import pytest

from savedmodel import keras, tf
from savedmodel.trackable import ListWrapper, UntrackableError


def test_lists_dicts_and_tuples_of_layers_are_found_in_order() -> None:
    layer = keras.layers.Layer()
    layer.items = [keras.layers.Dense(1)]
    layer.by_name = {"b": keras.layers.Dense(2), "a": keras.layers.Dense(3)}
    layer.pair = (keras.layers.Dense(4), 5)
    layer.items.append(keras.layers.Dense(6))
    assert [d.units for d in layer._flatten_layers(include_self=False)] == [1, 6, 3, 2, 4]
    assert list(layer._trackable_children()) == ["items", "by_name", "pair"]


def test_wrapped_containers_behave_as_their_builtins() -> None:
    module = tf.Module()
    plain = [1, 2]
    module.items = plain
    module.table = {"x": [1]}
    module.items.append(3)
    assert plain == [1, 2, 3]
    assert isinstance(module.items, list) and isinstance(module.table, dict)
    assert json.dumps([module.items, module.table]) == '[[1, 2, 3], {"x": [1]}]'
    assert copy.deepcopy(module.items) == [1, 2, 3] and isinstance(copy.deepcopy(module.items), ListWrapper)
    assert module.items[:2] == [1, 2] and module.items + [4] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.items.__setitem__(0, tf.Variable(2.0)), "A list element was replaced"),
        (lambda m: m.items.insert(0, tf.Variable(2.0)), "A list element was replaced"),
        (lambda m: m.items.pop(), "A list element was replaced"),
        (lambda m: m.given.append(tf.Variable(2.0)), "was modified outside the wrapper"),
        (lambda m: m.table.__setitem__(1, tf.Variable(2.0)), "non-string key"),
    ],
)
def test_changes_that_a_checkpoint_cannot_express_are_refused_when_saving(change, words) -> None:
    module = tf.Module()
    given = [tf.Variable(1.0)]
    module.items, module.table = given, {"a": tf.Variable(1.0)}
    object.__setattr__(module, "given", given)
    change(module)
    with pytest.raises(UntrackableError, match=words):
        module.items._trackable_children()
        module.table._trackable_children()


def test_replacing_a_variable_attribute_keeps_its_place() -> None:
    layer = keras.layers.Layer()
    layer.a, layer.b = tf.Variable(1.0), tf.Variable(2.0)
    layer.a = tf.Variable(3.0)
    assert [float(v) for v in layer.weights] == [3.0, 2.0]
    del layer.a
    assert [float(v) for v in layer.weights] == [2.0]


def test_a_value_that_waits_for_a_child_is_told_when_it_arrives() -> None:
    module = tf.Module()
    seen = []
    module._defer_dependency("v", seen.append)
    module.v = tf.Variable(1.0)
    assert seen == [module.v]
