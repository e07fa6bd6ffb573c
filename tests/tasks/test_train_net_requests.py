"""tools/train_net.py without what it needs."""

from tests.running import run_tool


def test_neither_config_nor_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for tool in ("train_net", "train_classifier"):
        done = run_tool(tool)
        assert done.returncode == 2 and "give --config-file FILE, such as one of configs/" in done.stderr
    assert not list(tmp_path.iterdir())
