import json

import pytest

from detect.d2 import EventStorage
from detect.engine.writers import JsonWriter, default_writers, log_line, max_memory_mib
from detect.utils.files import UnusableFileError


def test_json_lines_hold_each_value_once_and_smooth_the_noisy(tmp_path):
    writer = JsonWriter(tmp_path / "metrics.json", window_size=3)
    with EventStorage(10) as storage:
        for iteration, loss in enumerate([5.0, 1.0, 9.0, 2.0], start=10):
            storage.iter = iteration
            storage.put_scalar("loss", loss)
            storage.put_scalar("lr", loss, smoothing_hint=False)
            if iteration == 11:
                storage.put_scalar("AP", 50.0, smoothing_hint=False)
            if iteration in (11, 13):
                writer.write(storage)
        writer.write(storage)  # nothing new, no line
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    # medians: of (5, 1) it is 3, of (1, 9, 2) it is 2
    assert lines == [
        {"iteration": 11, "loss": 3.0, "lr": 1.0, "AP": 50.0},
        {"iteration": 13, "loss": 2.0, "lr": 2.0},
    ]


def test_resuming_appends(tmp_path):
    for start in (0, 5):
        writer = JsonWriter(tmp_path / "metrics.json")
        with EventStorage(start) as storage:
            storage.put_scalar("loss", 1.0)
            writer.write(storage)
        writer.close()
    assert [json.loads(x)["iteration"] for x in (tmp_path / "metrics.json").read_text().splitlines()] == [
        0,
        5,
    ]


@pytest.mark.parametrize(
    "left, lines",
    [
        ('{"iteration": 0}\n{"iteration": 1, "lo', [0, 5]),  # killed while it wrote
        ('{"iteration": 0}', [0, 5]),
        ('{"iteration": 0}\n', [0, 5]),
        ('{"iter', [5]),
        ("", [5]),
    ],
)
def test_lines_are_never_glued(tmp_path, left, lines):
    (tmp_path / "metrics.json").write_text(left)
    writer = JsonWriter(tmp_path / "metrics.json")
    with EventStorage(5) as storage:
        storage.put_scalars(loss=1.0, bad=float("nan"))  # JSON has no NaN
        writer.write(storage)
    writer.close()
    written = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in written] == lines and written[-1] == {"iteration": 5, "loss": 1.0}


def test_full_disk_is_named(tmp_path):
    with pytest.raises(UnusableFileError, match="/dev/full: cannot be written: No space left"):
        writer = JsonWriter("/dev/full")
        with EventStorage(0) as storage:
            storage.put_scalar("loss", 1.0)
            writer.write(storage)


def test_log_line_by_hand():
    with EventStorage(0) as storage:
        for iteration in range(20):
            storage.iter = iteration
            storage.put_scalars(total_loss=1.5, loss_cls=0.5, a_loss=1.0, time=2.0, data_time=0.25)
            storage.put_scalar("lr", 0.003, smoothing_hint=False)
        line = log_line(storage, max_iter=100)
    # 80 iterations of 2 s are left
    start = "eta: 0:02:40  iter: 19  total_loss: 1.5  a_loss: 1  loss_cls: 0.5  time: 2.0000  data_time: 0.2500"
    assert line.startswith(start + "  lr: 0.003  max_mem: ")


def test_memory_is_that_of_this_process():
    assert 50 < max_memory_mib() < 100_000  # Python with torch; a wrong unit is a factor of 1024


def test_all_files_are_written(tmp_path, caplog):
    writers = default_writers(tmp_path / "run", max_iter=2)
    with EventStorage(0) as storage, caplog.at_level("INFO"):
        storage.put_scalar("total_loss", 2.0)
        for writer in writers:
            writer.write(storage)
    for writer in writers:
        writer.close()
    assert "total_loss: 2" in caplog.text and (tmp_path / "run" / "metrics.json").exists()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("total_loss")] == [(0, pytest.approx(2.0))]
