"""Checkpoints and the system around them: killed writers, full disks, readers at work, memory of large tensors."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from savedmodel.format.bundle import BundleReader, BundleWriter

ROOT = Path(__file__).parents[3]

SAVE_LOOP = """
import sys, numpy as np
from savedmodel.format.bundle import BundleWriter
value = 0
while True:
    with BundleWriter(sys.argv[1], sync=False) as writer:
        for name in "abc":
            writer.add(name, np.full(20000, value))
    value += 1
    print(value, flush=True)
"""


def run(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, **options)


def one_value(prefix):
    reader = BundleReader(prefix)
    values = {float(value) for name in "abc" for value in np.unique(reader.read(name))}
    assert len(values) == 1
    return values.pop()


def test_a_checkpoint_is_whole_whenever_its_writer_is_killed(tmp_path):
    chance = random.Random(3)
    for _ in range(6):
        process = run(SAVE_LOOP, tmp_path / "a", stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        one_value(tmp_path / "a")


def test_a_reader_sees_the_old_or_the_new_checkpoint_while_one_is_written(tmp_path):
    process = run(SAVE_LOOP, tmp_path / "a", stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        seen = [one_value(tmp_path / "a") for _ in range(300)]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


def test_of_two_writers_one_wins_whole(tmp_path):
    def save(value):
        for _ in range(20):
            with BundleWriter(tmp_path / "a", sync=False) as writer:
                for name in "abc":
                    writer.add(name, np.full(1000, value))

    threads = [threading.Thread(target=save, args=(value,)) for value in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one_value(tmp_path / "a") in (0, 1, 2)
    assert sorted(os.listdir(tmp_path)) == ["a.data-00000-of-00001", "a.index"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, monkeypatch):
    with BundleWriter(tmp_path / "a") as writer:
        writer.add("x", np.arange(3))
    before = sorted(os.listdir(tmp_path))
    for size in (3, 3 << 20):
        writer = BundleWriter(tmp_path / "a")
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._file.fileno())
        os.close(full)
        with pytest.raises(OSError, match="No space left on device; nothing was published"):
            writer.add("x", np.arange(size))
            writer.finish()
        with pytest.raises(ValueError, match="closed"):
            writer.finish()
    assert sorted(os.listdir(tmp_path)) == before
    assert BundleReader(tmp_path / "a").read("x").tolist() == [0, 1, 2]


LARGE = """
import sys, numpy as np
from savedmodel.format.bundle import BundleReader, BundleWriter
def peak():
    return int([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]) >> 10
before = peak()
with BundleWriter(sys.argv[1], sync=False) as writer:
    for number in range(4):
        writer.add(f"t{number}", np.broadcast_to(np.float32(number), (1 << 13, 1 << 13)))  # 256 MiB each
print(peak() - before)
reader = BundleReader(sys.argv[1])
for name in reader:
    reader.verify(name)
print(peak() - before)
assert reader["t3"][8000, 7] == 3 and reader["t2"][::4000, ::4000].tolist() == [[2] * 3] * 3
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_tensors_are_written_checked_and_read_in_part_in_little_memory(tmp_path):
    process = run(LARGE, tmp_path / "a", stdout=subprocess.PIPE, text=True)
    figures = [int(line) for line in process.communicate()[0].split()]
    assert process.returncode == 0
    assert len(figures) == 3
    assert max(figures) < 100, figures
    os.unlink(tmp_path / "a.data-00000-of-00001")


def test_parts_of_a_map_outlive_the_reader_and_the_file(tmp_path):
    with BundleWriter(tmp_path / "a") as writer:
        writer.add("x", np.arange(1 << 20))
    value = BundleReader(tmp_path / "a").read("x")
    part = value[5:10]
    del value
    os.unlink(tmp_path / "a.data-00000-of-00001")
    assert part.tolist() == [5, 6, 7, 8, 9]
