import pytest
from tiny_set import draw, entry, tube, write_frames, write_ucf

from detect.data.records import KeyframeDataset
from detect.data.ucf24 import load_ucf24


@pytest.fixture
def make_set(tmp_path):
    """make_set({"Left/a": 9}) -> (its KeyframeDataset, {video: frames}); a box in every second half."""

    def make(lengths: dict[str, int], frames: str = "annotated"):
        annotations, pictures = {}, {}
        for seed, (name, length) in enumerate(lengths.items()):
            start = length // 2
            boxes = [[1 + i % 8, 2, 10, 12] for i in range(length - start)]
            annotations[name] = entry(length, tube(seed % 2, start, boxes))
            pictures[name] = draw(length, seed)
            write_frames(tmp_path / "rgb-images" / name, pictures[name])
        return KeyframeDataset(load_ucf24(write_ucf(tmp_path, annotations), "train"), frames), pictures

    return make
