"""Files written whole or not at all, on a full disk too; what killed runs left; one run in a folder."""

import errno
import os
import resource
import signal
import subprocess
from contextlib import contextmanager

import pytest
import torch

from detect.utils import files, lock
from detect.utils.files import UnusableFileError, atomic_file, remove_leftovers, write_text
from detect.utils.lock import FolderInUseError, only_run


@contextmanager
def files_up_to(size):
    """No file of this process may be longer, as on a full disk: write(2) fails then, in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_keeps_the_former_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(UnusableFileError) as error:
        write_text(path, "x" * 12_345)
    text = str(error.value)
    assert (
        text.startswith(f"{path}: cannot be written: No space left on device (about 12,345 bytes") and "\n" not in text
    )
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


def test_full_disk_below_torch_save(tmp_path):
    """torch raises an error of its own, in which the file system's is hidden."""
    path = tmp_path / "a.pth"
    path.write_bytes(b"before")
    with pytest.raises(UnusableFileError, match="a.pth: cannot be written: File too large;"):
        with files_up_to(50_000), atomic_file(path) as file:
            torch.save({"model": torch.zeros(100_000)}, file)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.pth"]


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path):
    for error in (OSError(errno.ENOENT, "another file"), ValueError("a bug")):
        with pytest.raises(type(error)) as raised, atomic_file(tmp_path / "a") as file:
            file.write(b"x")
            raise error
        assert raised.value is error
    assert os.listdir(tmp_path) == []


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    dead = tmp_path / f".model_0000009.pth.{dead_process()}.tmp"
    earlier = tmp_path / f".config.yaml.{os.getpid()}.tmp"  # in a container: an earlier run of the same id
    kept = [
        tmp_path / f".model.pth.{os.getppid()}.tmp",
        tmp_path / ".a.tmp",
        tmp_path / "model.1.tmp",
        tmp_path / ".lock",
    ]
    for path in (dead, earlier, *kept):
        path.touch()
    assert remove_leftovers(tmp_path) == sorted([dead, earlier])
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert remove_leftovers(tmp_path) == remove_leftovers(tmp_path / "nowhere") == []


def test_a_second_run_in_a_folder_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with only_run(folder):
        with pytest.raises(FolderInUseError, match=rf"run: another run \(process {os.getpid()} on .*OUTPUT_DIR"):
            with only_run(folder):
                pass
        monkeypatch.setattr(lock, "is_main_process", lambda: False)
        with only_run(folder):  # a rank above 0
            pass
        monkeypatch.undo()
    with only_run(folder):
        pass


def test_a_loader_process_does_not_hold_the_lock(tmp_path):
    """It outlives a killed run by seconds."""
    reader, writer = os.pipe()
    with only_run(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(writer, b"forked")
            signal.pause()
        assert os.read(reader, 6) == b"forked"
    try:
        with only_run(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with only_run(tmp_path):
        assert "this file system has no locks" in caplog.text
