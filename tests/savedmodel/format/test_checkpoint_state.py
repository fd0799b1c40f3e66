"""The `checkpoint` file: its text, relative paths, and what counts as the latest checkpoint."""

from __future__ import annotations

import os

import numpy as np
import pytest

from savedmodel.format.bundle import BundleWriter
from savedmodel.format.checkpoint_state import (
    checkpoint_exists,
    get_checkpoint_state,
    latest_checkpoint,
    update_checkpoint_state,
)


def save(prefix):
    with BundleWriter(prefix) as writer:
        writer.add("x", np.zeros(1))


def test_the_text_is_that_of_tensorflow(tmp_path):
    update_checkpoint_state(tmp_path, tmp_path / "ck-1", save_relative_paths=True)
    expected = 'model_checkpoint_path: "ck-1"\nall_model_checkpoint_paths: "ck-1"\n'
    assert (tmp_path / "checkpoint").read_text() == expected
    update_checkpoint_state(
        tmp_path,
        "ck-2",
        ["ck-1", "ck-2"],
        "other",
        [1700000000.25, 1700000001.5],
        1700000000.25,
        save_relative_paths=True,
    )
    assert (tmp_path / "other").read_text() == (
        'model_checkpoint_path: "ck-2"\nall_model_checkpoint_paths: "ck-1"\nall_model_checkpoint_paths: "ck-2"\n'
        "all_model_checkpoint_timestamps: 1700000000.25\nall_model_checkpoint_timestamps: 1700000001.5\n"
        "last_preserved_timestamp: 1700000000.25\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "other"]


def test_the_latest_checkpoint_is_found_after_the_directory_moved(tmp_path):
    save(tmp_path / "a" / "ck-1")
    update_checkpoint_state(tmp_path / "a", tmp_path / "a" / "ck-1", save_relative_paths=True)
    os.rename(tmp_path / "a", tmp_path / "b")
    assert latest_checkpoint(tmp_path / "b") == str(tmp_path / "b" / "ck-1")
    assert list(get_checkpoint_state(tmp_path / "b").all_model_checkpoint_paths) == [str(tmp_path / "b" / "ck-1")]
    assert latest_checkpoint(tmp_path / "a") is None


def test_absolute_paths_stay_and_must_exist(tmp_path, caplog):
    save(tmp_path / "elsewhere" / "ck")
    os.mkdir(tmp_path / "d")
    update_checkpoint_state(tmp_path / "d", tmp_path / "elsewhere" / "ck")
    assert latest_checkpoint(tmp_path / "d") == str(tmp_path / "elsewhere" / "ck")
    os.unlink(tmp_path / "elsewhere" / "ck.index")
    assert latest_checkpoint(tmp_path / "d") is None
    assert "Couldn't match files for checkpoint" in caplog.text
    (tmp_path / "elsewhere" / "ck").touch()  # a checkpoint of the first format
    assert checkpoint_exists(tmp_path / "elsewhere" / "ck")
    assert latest_checkpoint(tmp_path / "d") == str(tmp_path / "elsewhere" / "ck")


def test_a_relative_directory_is_taken_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("d/ck-1")
    update_checkpoint_state("d", "d/ck-1")
    assert (tmp_path / "d" / "checkpoint").read_text().splitlines()[0] == 'model_checkpoint_path: "ck-1"'
    assert latest_checkpoint("d") == "d/ck-1"


@pytest.mark.parametrize("text", ["model_checkpoint_path", "\x00\xff", "unknown: 3", b"\xff\xfe"])
def test_a_file_that_cannot_be_parsed_counts_as_none(text, tmp_path, caplog):
    (tmp_path / "checkpoint").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    assert get_checkpoint_state(tmp_path) is None
    assert latest_checkpoint(tmp_path) is None
    assert "Checkpoint ignored" in caplog.text


def test_states_that_make_no_sense_are_refused(tmp_path):
    (tmp_path / "checkpoint").write_text("")
    with pytest.raises(ValueError, match="Invalid checkpoint state loaded from"):
        latest_checkpoint(tmp_path)
    with pytest.raises(ValueError, match="Checkpoint timestamps, if provided, must match checkpoint paths"):
        update_checkpoint_state(tmp_path, "a", ["a"], all_model_checkpoint_timestamps=[1.0, 2.0])
    with pytest.raises(RuntimeError, match="conflicts with path used for checkpoint state"):
        update_checkpoint_state(tmp_path, str(tmp_path / "checkpoint"))
