"""Times what users wait for: opening, calling, saving and training networks, each case in a process of its own. It needs no TensorFlow.

    python tests/bench/run.py [CASE…] [--rounds 3] [--models FOLDER] [--markdown]

The networks are built and saved by savedmodel itself on the first run (see networks.py), or read from FOLDER where they are already there.
Given are the least time of all rounds and the most memory. `nodes` measures how the cost of tracing, planning and calling grows with a graph.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


# -- cases -----------------------------------------------------------------------------------------------------------


def median(run: Callable[[], Any], repeat: int) -> float:
    """The median seconds of a call, after two that warm up."""
    run(), run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    kept = run()
    return time.perf_counter() - start + 0 * bool(kept)


class Cases:
    """What is timed. Every method named `case_…` returns seconds."""

    def __init__(self, models: Path, started: float):
        self.models, self.started = models, started

    def _signature(self, model: str, *shape: int) -> Callable[[], Any]:
        import numpy as np

        from savedmodel import tf

        loaded = tf.saved_model.load(str(self.models / model))
        call = loaded.signatures["serving_default"]
        (key,) = call.structured_input_signature[1]
        x = tf.constant(np.random.default_rng(0).random(shape, "float32"))

        def run() -> Any:
            return [np.asarray(v) for v in call(**{key: x}).values()]

        run.keep = loaded  # type: ignore[attr-defined]
        return run

    def _cold(self, model: str, *shape: int) -> float:
        self._signature(model, *shape)()
        return time.perf_counter() - self.started

    def _keras(self, model: str) -> Any:
        from savedmodel import tf

        return tf.keras.models.load_model(str(self.models / model))

    def _load(self, model: str, how: str) -> float:
        from savedmodel import tf

        loader = tf.keras.models.load_model if how == "keras" else tf.saved_model.load
        return timed(lambda: loader(str(self.models / model)))

    def _digits(self) -> Any:
        import numpy as np

        random = np.random.default_rng(0)
        return random.random((60000, 784), "float32"), random.integers(0, 10, 60000)

    def case_cold_start(self) -> float:
        return self._cold("mlp", 1, 784)

    def case_cold_start_resnet50(self) -> float:
        return self._cold("resnet50", 1, 224, 224, 3)

    def case_load_mobilenetv2(self) -> float:
        return self._load("mobilenetv2", "keras")

    def case_load_resnet50(self) -> float:
        return self._load("resnet50", "plain")

    def case_save_mobilenetv2(self) -> float:
        loaded = self._keras("mobilenetv2")
        with tempfile.TemporaryDirectory() as folder:
            return timed(lambda: loaded.save(os.path.join(folder, "out")))

    def case_call_mlp_b1(self) -> float:
        return median(self._signature("mlp", 1, 784), 300)

    def case_call_mlp_b256(self) -> float:
        return median(self._signature("mlp", 256, 784), 100)

    def case_lstm_b32(self) -> float:
        return median(self._signature("lstm", 32, 100, 64), 9)

    def case_transformer_b8(self) -> float:
        return median(self._signature("transformer", 8, 128, 128), 15)

    def case_mobilenetv2_b1(self) -> float:
        return median(self._signature("mobilenetv2", 1, 224, 224, 3), 9)

    def case_mobilenetv2_b8(self) -> float:
        return median(self._signature("mobilenetv2", 8, 224, 224, 3), 5)

    def case_resnet50_b1(self) -> float:
        return median(self._signature("resnet50", 1, 224, 224, 3), 7)

    def case_resnet50_b8(self) -> float:
        return median(self._signature("resnet50", 8, 224, 224, 3), 3)

    def case_predict_mlp(self) -> float:
        model, (x, _) = self._keras("mlp"), self._digits()
        return median(lambda: model.predict(x, verbose=0), 3)

    def case_fit_mlp(self) -> float:
        model, (x, y) = self._keras("mlp"), self._digits()
        model.fit(x[:640], y[:640], batch_size=32, epochs=1, verbose=0)
        return timed(lambda: model.fit(x, y, batch_size=32, epochs=1, verbose=0))

    def case_fit_cnn(self) -> float:
        from savedmodel.keras import Sequential, layers

        model = Sequential(
            [
                layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)), layers.MaxPooling2D(),
                layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        )  # fmt: skip
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x, y = self._digits()
        x, y = x[:2000].reshape(-1, 28, 28, 1), y[:2000]
        model.fit(x, y, batch_size=64, epochs=1, verbose=0)
        return timed(lambda: model.fit(x, y, batch_size=64, epochs=1, verbose=0))

    def case_eager_add(self) -> float:
        from savedmodel import tf

        a, b = tf.constant(1.0), tf.constant(2.0)
        return median(lambda: [a + b for _ in range(1000)], 50) / 1000


def nodes(count: int) -> dict[str, float]:
    """Seconds to trace, plan and call a function of `count` nodes, and to turn its plan into code."""
    from savedmodel import tf
    from tracer.exec.numpy_engine import prepare

    def chain(x: Any) -> Any:
        for i in range(count // 2):
            x = tf.tanh(x) if i % 2 else x * 0.5 + x
        return x

    found = {}
    start = time.perf_counter()
    graph = tf.function(chain, autograph=False).get_concrete_function(tf.TensorSpec([4])).graph
    found["trace"] = time.perf_counter() - start
    made: list[Any] = []
    found["plan"] = timed(lambda: made.append(prepare(graph)))
    import numpy as np

    x = np.ones(4, np.float32)
    found["first call"] = timed(lambda: made[0](x))
    found["code"] = timed(made[0].compile)
    found["call"] = median(lambda: made[0](x), 5)
    return found


# -- running ---------------------------------------------------------------------------------------------------------

CASES = [name.removeprefix("case_") for name in vars(Cases) if name.startswith("case_")]


def _child(name: str, models: Path, started: float) -> None:
    if name.startswith("nodes:"):
        print(json.dumps(nodes(int(name[6:]))))
        return
    seconds = getattr(Cases(models, started), "case_" + name)()
    print(json.dumps({"seconds": seconds, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(name: str, models: Path) -> dict[str, Any]:
    """One case in one process. Returns what it printed, or {"error": …}."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, str(HERE / "run.py"), "--models", str(models), "--child", name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _text(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main() -> None:
    """Run the cases and print a table."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, nodes; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, default=Path.home() / ".cache" / "savedmodel-own-bench")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.models, started)
        return
    sys.path[:0] = [str(ROOT), str(HERE)]
    options.models.mkdir(parents=True, exist_ok=True)
    from networks import MAKERS, make

    for name in MAKERS:
        make(options.models, name)
    wanted = options.cases or [*CASES, "nodes"]
    print("| case | time | peak memory |\n|---|---:|---:|")
    for name in wanted:
        if name == "nodes":
            continue
        results = [measure(name, options.models) for _ in range(options.rounds)]
        failed = next((r["error"] for r in results if "error" in r), None)
        if failed is not None:
            print(f"| {name} | failed: {failed[:100]} | |", flush=True)
            continue
        print(f"| {name} | {_text(min(r['seconds'] for r in results))} | {max(r['rss_mb'] for r in results):.0f} MB |", flush=True)
    if "nodes" in wanted:
        rows = {count: measure(f"nodes:{count}", options.models) for count in (1_000, 10_000, 100_000)}
        stages = next(iter(rows.values()))
        print("\n| nodes | " + " | ".join(stages) + " |\n|---:|" + "---:|" * len(stages))
        for count, row in rows.items():
            print(f"| {count:,} | " + " | ".join(_text(v) if isinstance(v, float) else str(v) for v in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
