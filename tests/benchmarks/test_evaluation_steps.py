"""The benchmark of the evaluation runs every step and says what each came to."""

import json

from detect.benchmarks.evaluation import benchmark_evaluation


def test_every_step_at_a_small_scale(tmp_path, capsys):
    benchmark_evaluation(0.002, json_file=tmp_path / "figures.json")
    steps = {row["step"]: row for row in json.loads((tmp_path / "figures.json").read_text())["steps"]}
    assert steps["read .parquet"]["result"] == steps["read .npz"]["result"] == steps["read .csv.gz"]["result"]
    assert all(row["seconds"] >= 0 and row["result"] for row in steps.values())
    assert steps["link, act"]["result"].endswith("tubes")
    assert "| link, peng" in capsys.readouterr().out
