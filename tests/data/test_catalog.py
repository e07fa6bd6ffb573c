import pytest
from tiny_set import entry, tube, write_ucf

from detect.d2 import DatasetCatalog, MetadataCatalog
from detect.data import catalog, jhmdb, ucf24
from detect.data.media import MissingDataError

NAMES = [f"jhmdb_split{k}_{s}" for k in (1, 2, 3) for s in ("train", "test")] + ["ucf24_train", "ucf24_test"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECT_DATASETS", str(tmp_path))
    return tmp_path


def write_two(root):
    annotations = {"Diving/v": entry(5, tube(5, 1, [[1, 1, 5, 5]] * 2))}
    for split in ("train", "test"):
        write_ucf(root / "ucf24", annotations, split, "\n".join(ucf24.CLASSES))


def test_built_in_names_are_described_without_data():
    for name in NAMES:
        assert name in DatasetCatalog.list()
        expected = jhmdb.CLASSES if name.startswith("jhmdb") else ucf24.CLASSES
        assert MetadataCatalog.get(name).thing_classes == list(expected)
        assert MetadataCatalog.get(name).evaluator_type == "action"
    assert len(ucf24.CLASSES) == 24 and len(jhmdb.CLASSES) == 21


@pytest.mark.parametrize("name", NAMES)
def test_missing_root_says_what_was_looked_for_and_how_to_get_it(root, name):
    with pytest.raises(MissingDataError) as error:
        DatasetCatalog.get(name)
    assert f"{name}: the folder of the dataset not found" in str(error.value)
    assert str(root / name.split("_")[0]) in str(error.value)
    assert "DETECT_DATASETS" in str(error.value) and "http" in str(error.value)


def test_train_has_annotated_frames_and_test_all(root):
    write_two(root)
    assert [sample["frame_index"] for sample in DatasetCatalog.get("ucf24_train")] == [1, 2]
    assert [sample["frame_index"] for sample in DatasetCatalog.get("ucf24_test")] == [0, 1, 2, 3, 4]
    assert catalog.load_action_dataset("ucf24_train") is catalog.load_action_dataset("ucf24_train")
    assert catalog.load_action_dataset("ucf24_train").name == "ucf24_train"


def test_root_chosen_in_the_program(root, tmp_path):
    write_two(tmp_path / "elsewhere")
    catalog.set_datasets_root(tmp_path / "elsewhere")
    try:
        assert len(DatasetCatalog.get("ucf24_train")) == 2
    finally:
        catalog.set_datasets_root(None)
    with pytest.raises(MissingDataError):
        DatasetCatalog.get("ucf24_train")


def test_set_of_ones_own(tmp_path, caplog):
    root = write_ucf(tmp_path, {"Left/v": entry(5, tube(1, 1, [[1, 1, 5, 5]]))})
    for _ in range(2):  # registering again replaces
        catalog.register_ucf24("toy_train", root, "train")
        assert DatasetCatalog.get("toy_train")[0]["annotations"][0]["category_id"] == 1
    assert MetadataCatalog.get("toy_train").thing_classes == ["Left", "Right"]
    assert "toy_train: 1 videos without media" in caplog.text
    changed = tmp_path / "changed"
    catalog.register_ucf24("toy_train", write_ucf(changed, {"Left/v": entry(5)}, classes="Up\nDown"), "train")
    assert len(DatasetCatalog.get("toy_train")) == 0
    assert MetadataCatalog.get("toy_train").thing_classes == ["Up", "Down"]


def test_unknown_name():
    with pytest.raises(KeyError, match="no set 'ucf24_val'; did you mean ucf24_"):
        catalog.load_action_dataset("ucf24_val")
