import pytest
from video_tree import write

from detect.classification.labels import read_label_map
from detect.data.checks import AnnotationError


def test_a_class_a_line_in_the_order_of_the_indices(tmp_path):
    path = write(tmp_path / "label_map.txt", "riding a bike", "", " wave ", "massaging person's head")
    assert read_label_map(path) == ("riding a bike", "wave", "massaging person's head")


def test_json_map_is_in_the_order_of_its_indices(tmp_path):
    path = write(tmp_path / "labels.json", '{"wave": "1", "jump": 0, "sit": "2"}')
    assert read_label_map(path) == ("jump", "wave", "sit")


def test_bad_maps(tmp_path):
    path = write(tmp_path / "label_map.txt", "wave", "jump", "wave")
    with pytest.raises(AnnotationError, match="label_map.txt: the class 'wave' is there twice, as 0 and 2"):
        read_label_map(path)
    for index in ("1.7", "true", "Infinity", "null", "[1]", '"one"', "[" * 100_000):
        labels = write(tmp_path / "labels.json", f'{{"wave": 0, "jump": {index}}}')
        with pytest.raises(AnnotationError, match='labels.json: expected {"class": "index", ...}'):
            read_label_map(labels)
    with pytest.raises(AnnotationError, match="label_map.txt: the file is empty"):
        read_label_map(write(path, ""))
