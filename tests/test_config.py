import pickle

import pytest
import yaml

from detect import d2
from detect.config import KEYS, changed_keys, check_read, check_values, get_cfg, load_cfg, load_cfg_of_checkpoint
from detect.config_node import ConfigError, leaves
from detect.evaluation import FRAME_RULES, PRESETS


def test_every_key_of_the_table_has_its_default_and_a_sourced_meaning():
    cfg = dict(leaves(get_cfg()))
    names = [key.name for key in KEYS]
    assert len(names) == len(set(names))
    for key in KEYS:
        assert key.meaning.startswith(("[P] ", "[O] ", "[D2] ", "[D] ")) and len(key.meaning) > 8, key.name
        if key.name not in ("MODEL.DEVICE", "MODEL.CONTEXT.OVERRIDES", "MODEL.FLOW.OVERRIDES"):
            assert cfg[key.name] == key.default, key.name


def test_defaults_of_the_paper():
    """Section 5.3 of the paper: 320 x 400, 20 frames, Mixed_4e, the anchors, lr 3e-4, 600k steps, clip 10."""
    cfg = get_cfg()
    assert (cfg.INPUT.SIZE, cfg.INPUT.NUM_FRAMES, cfg.MODEL.CONTEXT.TAP) == ((320, 400), 20, "mixed_4e")
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[64, 128, 256, 512]]
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == (3e-4, 600000)
    assert cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE == 10.0
    weights = (cfg.MODEL.RPN.LOSS_WEIGHT, cfg.MODEL.RPN.BBOX_REG_LOSS_WEIGHT)
    weights += (cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS_WEIGHT, cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT)
    assert weights == (1.0, 2.0, 1.0, 2.0)


def test_configs_do_not_share_values():
    one, two = get_cfg(), get_cfg()
    one.MODEL.ANCHOR_GENERATOR.SIZES[0].append(7)
    one.MODEL.CONTEXT.WIDTH = 0.5
    assert two.MODEL.ANCHOR_GENERATOR.SIZES == [[64, 128, 256, 512]] and two.MODEL.CONTEXT.WIDTH == 1.0


def test_file_over_bases_then_overrides(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text("SOLVER: {BASE_LR: 0.5, MAX_ITER: 10}\nINPUT: {SIZE: [64, 80]}\n")
    (tmp_path / "b.yaml").write_text("_BASE_: base/a.yaml\nSOLVER: {MAX_ITER: 20}\n")
    cfg = load_cfg(tmp_path / "b.yaml", ["MODEL.CONTEXT.NAME", "i2d"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.INPUT.SIZE) == (0.5, 20, (64, 80))
    assert cfg.MODEL.CONTEXT.NAME == "i2d"
    with pytest.raises(AttributeError):
        cfg.SEED = 3
    with pytest.raises(AttributeError, match="frozen"):
        cfg.merge_from_list(["SEED", 3])


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("SOLVER.BASE_LR", "1e-3", 1e-3),
        ("SOLVER.BASE_LR", 1, 1.0),
        ("INPUT.SIZE", "64,80", (64, 80)),
        ("INPUT.SIZE", [64, 80], (64, 80)),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 24.5]]", [[16, 24.5]]),
        ("DATASETS.TRAIN", "('a','b')", ("a", "b")),
        ("SOLVER.STEPS", "(10, 20)", (10, 20)),
        ("SOLVER.STEPS", "()", ()),
        ("SOLVER.WEIGHT_DECAY_BIAS", "0.1", 0.1),
        ("OUTPUT_DIR", "2024", "2024"),  # a folder name that looks like a number stays a name
        ("SOLVER.NESTEROV", "True", True),
        ("MODEL.CONTEXT.OVERRIDES.gate_bias", "1.5", 1.5),
    ],
)
def test_values_take_the_type_of_the_default(key, text, value):
    cfg = get_cfg()
    cfg.merge_from_list([key, text])
    found = dict(leaves(cfg))[key]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("SOLVER.BASE_LRR", 1, "unknown key SOLVER.BASE_LRR, closest legal keys: SOLVER.BASE_LR"),
        ("NUM_CLASSES", 3, "unknown key NUM_CLASSES, closest legal keys: MODEL.ROI_HEADS.NUM_CLASSES"),
        ("SOLVERS.MAX_ITER", 3, "unknown key SOLVERS, closest legal keys: SOLVER"),
        ("solver.max_iter", 3, "unknown key solver, closest legal keys: SOLVER"),
        ("QQQQQQ", 3, "no legal key is close"),
        ("SOLVER.MAX_ITER", 1.5, r"SOLVER.MAX_ITER must be like its default 600000 \(int\), not 1.5"),
        ("SOLVER.MAX_ITER", "many", "SOLVER.MAX_ITER must be like its default 600000"),
        ("SOLVER.MAX_ITER", None, "SOLVER.MAX_ITER must be like its default 600000"),
        ("TEST.COCO", 1, r"TEST.COCO must be like its default False \(bool\), not 1"),
        ("SOLVER.BASE_LR", True, "SOLVER.BASE_LR must be like its default 0.0003"),
        ("DATASETS.TRAIN", "jhmdb", r"DATASETS.TRAIN must be like its default \(\) \(tuple\), not 'jhmdb'"),
        ("INPUT.SIZE", "(64, 'x')", "INPUT.SIZE must hold numbers"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[64]", "MODEL.ANCHOR_GENERATOR.SIZES must be like"),
        ("MODEL.CONTEXT", "s3d", "MODEL.CONTEXT is a section of KEY: VALUE lines, not 's3d'"),
        ("SEED.X", 1, "SEED must be like its default -1"),
    ],
)
def test_a_mistake_is_one_clear_message_and_changes_nothing(tmp_path, key, value, message):
    cfg = get_cfg()
    before = cfg.dump()
    with pytest.raises(ConfigError, match=message):
        cfg.merge_from_list(["OUTPUT_DIR", "elsewhere", key, value])
    tree = {}
    for part in reversed(key.split(".")):
        tree = {part: tree or value}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({"OUTPUT_DIR": "elsewhere", **tree}))
    with pytest.raises(ConfigError, match=rf"wrong.yaml: {message}|wrong.yaml: .*{message}") as error:
        cfg.merge_from_file(str(path))
    assert cfg.dump() == before
    assert "\n" not in str(error.value) and not str(error.value).startswith('"')


def test_all_mistakes_at_once(tmp_path):
    (tmp_path / "c.yaml").write_text("SOLVER: {MAX_ITR: 3, GAMA: 1}\nSEED: no\n")
    with pytest.raises(ConfigError, match=r"MAX_ITR.*GAMA.*SEED must be"):
        get_cfg().merge_from_file(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    "text, message",
    [("", "no KEY: VALUE lines"), ("- a\n- b\n", "a config is a mapping"), ("A: [1", "cannot be read"),
     ("_BASE_: none.yaml\nSEED: 1\n", "none.yaml"), ("SEED: !!python/name:os.system\n", "cannot be read")],
)  # fmt: skip
def test_files_that_are_no_config(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"c.yaml: .*{message}"):
        get_cfg().merge_from_file(str(path))
    with pytest.raises(ConfigError, match="none.yaml"):
        get_cfg().merge_from_file(str(tmp_path / "none.yaml"))


def test_overrides_come_in_pairs():
    with pytest.raises(ConfigError, match="KEY VALUE pairs"):
        get_cfg().merge_from_list(["SEED"])


def test_dump_and_pickle_round_trip(tmp_path):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.CONTEXT.OVERRIDES.gate_bias", 1.5, "SOLVER.STEPS", (3, 4), "INPUT.SIZE", (8, 9)])
    (tmp_path / "c.yaml").write_text(cfg.dump())
    again = get_cfg()
    again.merge_from_file(str(tmp_path / "c.yaml"))
    assert again == cfg and pickle.loads(pickle.dumps(cfg)) == cfg
    copy = cfg.clone()
    copy.merge_from_list(["MODEL.CONTEXT.OVERRIDES.stem", "x"])
    assert "stem" not in cfg.MODEL.CONTEXT.OVERRIDES


def test_detectron2s_name_of_the_pooled_feature_map():
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.ROI_HEADS.IN_FEATURES", "['mixed_3c']", "MODEL.ROI_HEADS.NUM_CLASSES", 3])
    assert cfg.MODEL.CONTEXT.TAP == "mixed_3c" and cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3
    with pytest.raises(ConfigError, match="IN_FEATURES is .*; one feature map is pooled"):
        cfg.merge_from_list(["MODEL.ROI_HEADS.IN_FEATURES", ["a", "b"]])


@pytest.mark.parametrize(
    "reader, key, value, message",
    [
        ("detector", "INPUT.MODALITY", "flow", "INPUT.MODALITY is 'flow', and only a classifier .* reads it"),
        ("detector", "TEST.CLIPS", 10, "TEST.CLIPS is 10, and only a classifier"),
        ("detector", "MODEL.CLASSIFIER.DROPOUT", 0.5, "only a classifier"),
        ("detector", "MODEL.RPN.CONV_DIMS", [256], "only Detectron2's RPN reads it"),
        ("detector", "MODEL.RESNETS.OUT_FEATURES", ["res5"], "only Detectron2's build_resnet_backbone reads it"),
        ("classifier", "TEST.PICTURES", 3, "TEST.PICTURES is 3, and only the detector"),
        ("classifier", "MODEL.RPN.NMS_THRESH", 0.5, "only the detector"),
        ("classifier", "MODEL.CONTEXT.TAP", "mixed_3c", "only the detector"),
    ],
)
def test_a_key_that_nobody_reads_is_an_error(reader, key, value, message):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "ActionClassifier" if reader == "classifier" else "ActionRCNN"
    check_read(cfg, reader)
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        check_read(cfg, reader)


def test_what_is_read_passes():
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.PROPOSAL_GENERATOR.NAME", "RPN", "MODEL.RPN.CONV_DIMS", [256], "TEST.PICTURES", 3])
    cfg.merge_from_list(["SOLVER.EMA_DECAY", 0.9, "INPUT.COLOR_JITTER", 0.1])
    check_read(cfg, "detector")
    with pytest.raises(ConfigError, match="SOLVER.EMA_DECAY is 0.9, and the engine does not read it. Leave it"):
        check_read(cfg, "detector", unread=("SOLVER.EMA_DECAY",), tool="the engine")
    with pytest.raises(ConfigError, match="use tools/train_net.py"):
        check_read(cfg, "classifier")


# A value of each kind that is not legal; of every key with legal values at least one is tried below.
ILLEGAL = {
    "OUTPUT_DIR": ["", " "], "MODEL.DEVICE": ["gpu", "cuda:77", ""],
    "MODEL.PIXEL_STD": [[0, 1, 1], [1, 1], [float("nan")] * 3],
    "MODEL.PIXEL_MEAN": [[1], [1, 2, float("nan")]], "MODEL.CONTEXT.WIDTH": [0, -1, float("inf")],
    "MODEL.CONTEXT.NAME": ["s4d"], "MODEL.CONTEXT.TAP": ["mixed_9z", ""], "MODEL.RESNETS.DEPTH": [51],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[], [[]], [[0]]], "MODEL.RPN.IOU_THRESHOLDS": [[0.7, 0.3], [0.5], [0.1, 1.5]],
    "MODEL.RPN.BBOX_REG_WEIGHTS": [(1, 1, 1), (1, 1, 0, 1)], "MODEL.ROI_HEADS.NUM_CLASSES": [0, -3],
    "MODEL.ROI_HEADS.IOU_THRESHOLDS": [[], [0.5, 0.6]], "MODEL.ROI_BOX_HEAD.DROPOUT": [1.0, -0.1],
    "INPUT.SIZE": [(0, 5), (5,), (5, 5.5)], "INPUT.SCALE_JITTER": [(2, 1), (0, 1), (1,)], "INPUT.FLIP_PROB": [1.1],
    "INPUT.SPEED_JITTER": [(2, 1), (0, 1), (1,), (1, float("nan"))], "INPUT.BACKGROUND_PROB": [-0.1, 1.1],
    "SOLVER.MAX_ITER": [0, -5], "SOLVER.MOMENTUM": [5, 1], "SOLVER.BASE_LR": [0, -1, float("nan")],
    "SOLVER.STEPS": [(5, 3), (5, 5), (0,)], "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": [-1, 0], "SOLVER.OPTIMIZER": ["adam"],
    "SOLVER.WEIGHT_DECAY_BIAS": [-1, "x"], "DATALOADER.NUM_WORKERS": [-1], "DATASETS.TEST": [("",), (3,)],
    "TEST.PRESET": ["coco"], "TEST.FRAMES": ["some"], "TEST.CROPS": [2], "TEST.CHUNK_FRAMES": [20, 0],
    "TEST.IOU_THRESHOLD": [0, 1.5, float("nan")], "TEST.PICTURES": [-1], "TEST.EVAL_PERIOD": [-1],
}  # fmt: skip


def test_illegal_values_are_named_with_the_legal_ones():
    for name, values in ILLEGAL.items():
        (key,) = (key for key in KEYS if key.name == name)
        for value in values:
            with pytest.raises(ConfigError) as error:
                load_cfg("", [name, value])
            assert name in str(error.value) and (
                f"must be {key.legal.text}" in str(error.value) or "must hold" in str(error.value)
            ), (name, value)


def test_every_default_is_legal_and_numbers_have_a_range():
    check_values(get_cfg())
    free = ("VERSION", "SEED", "MODEL.RPN.BOUNDARY_THRESH")
    for key in KEYS:
        if isinstance(key.default, (int, float)) and not isinstance(key.default, bool) and key.name not in free:
            assert key.legal is not None and not key.legal.holds(float("nan")), key.name


def test_all_illegal_values_at_once():
    with pytest.raises(ConfigError, match="SOLVER.MOMENTUM is 5.*SOLVER.MAX_ITER is 0.*TEST.PRESET is 'coco'"):
        load_cfg("", ["TEST.PRESET", "coco", "SOLVER.MAX_ITER", 0, "SOLVER.MOMENTUM", 5])
    with pytest.raises(ConfigError, match="must be one of 'voc', 'tfod'"):
        load_cfg("", ["TEST.PRESET", "coco"])
    with pytest.raises(ConfigError, match="INPUT.SIZE is .*; it must fit into INPUT.RESIZE"):
        load_cfg("", ["MODEL.META_ARCHITECTURE", "ActionClassifier", "INPUT.SIZE", (300, 20)])
    with pytest.raises(ConfigError, match="PAD_FRAMES is 400; it must be at most TEST.CHUNK_FRAMES, 320"):
        load_cfg("", ["TEST.PAD_FRAMES", 400])


def test_the_tables_of_other_rooms_agree():
    legal = {key.name: key.legal for key in KEYS}
    assert all(legal["TEST.PRESET"].holds(name) for name in PRESETS)
    assert legal["TEST.PRESET"].text.count("'") == 2 * len(PRESETS)
    assert all(legal["TEST.FRAMES"].holds(name) for name in FRAME_RULES)


@pytest.mark.parametrize("choice, key, value", [
    (["SOLVER.OPTIMIZER", "adamw"], "SOLVER.MOMENTUM", 0.5), (["SOLVER.OPTIMIZER", "adamw"], "SOLVER.NESTEROV", True),
    (["SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR"], "SOLVER.STEPS", (5,)),
    (["SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR"], "SOLVER.BASE_LR_END", 0.1),
])  # fmt: skip
def test_a_choice_leaves_keys_without_effect(choice, key, value):
    with pytest.raises(ConfigError, match=f"{key} is .*, and {' '.join(choice)} does not read it"):
        check_read(load_cfg("", [*choice, key, value]), "detector")


def test_bases_that_lead_back(tmp_path):
    (tmp_path / "a.yaml").write_text("_BASE_: b.yaml\n")
    (tmp_path / "b.yaml").write_text("_BASE_: a.yaml\n")
    with pytest.raises(ConfigError, match="a.yaml: its _BASE_ leads back to itself"):
        load_cfg(tmp_path / "a.yaml")
    (tmp_path / "c.yaml").write_bytes(b"OUTPUT_DIR: \xff\n")
    with pytest.raises(ConfigError, match="c.yaml: cannot be read as a config"):
        load_cfg(tmp_path / "c.yaml")


def test_readers_of_keys():
    readers = {key.name: key.readers for key in KEYS}
    assert readers["SOLVER.BASE_LR"] == readers["INPUT.NUM_FRAMES"] == ("detector", "classifier")
    assert readers["TEST.CHUNK_FRAMES"] == ("classifier",) and readers["TEST.PRESET"] == ("detector",)
    assert readers["MODEL.RPN.HEAD_NAME"] == ("RPN",)
    assert readers["INPUT.BACKGROUND_PROB"] == ("detector",)
    assert readers["INPUT.SPEED_JITTER"] == ("detector", "classifier")


def test_a_config_out_of_a_checkpoint(tmp_path):
    """Its device and its output folder are not those of this machine."""
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", "cuda:7", "OUTPUT_DIR", "/elsewhere", "SEED", 3])
    path = tmp_path / "m.pth"
    path.touch()
    found = load_cfg_of_checkpoint(cfg.dump(), str(path), ["TEST.COCO", True])
    assert (found.MODEL.DEVICE, found.OUTPUT_DIR) == (get_cfg().MODEL.DEVICE, str(tmp_path))
    assert (found.SEED, found.TEST.COCO, found.MODEL.WEIGHTS) == (3, True, str(path))
    assert load_cfg_of_checkpoint("SEED: 1", "https://host/m.pth").OUTPUT_DIR == get_cfg().OUTPUT_DIR
    for text in ("SEED: [", "- 1", "MODEL: {WEIGHT: 1}"):
        with pytest.raises(ConfigError, match="the config in m.pth"):
            load_cfg_of_checkpoint(text, "m.pth")


def test_what_is_not_the_default():
    cfg = get_cfg()
    cfg.merge_from_list(["SEED", 3, "MODEL.CONTEXT.OVERRIDES.stem", "joint"])
    assert changed_keys(cfg) == {"SEED": 3, "MODEL.CONTEXT.OVERRIDES.stem": "joint"}


def test_dump_holds_the_table_only():
    """So that a config saved with Detectron2 installed loads without it."""
    names = {name for name, _ in leaves(yaml.safe_load(get_cfg().dump()))}
    assert names == {key.name for key in KEYS if not key.name.endswith(".OVERRIDES")}


@pytest.mark.skipif(not d2.HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_with_detectron2_its_keys_are_there_too():
    cfg = get_cfg()
    assert cfg.MODEL.FPN.OUT_CHANNELS == 256
    cfg.merge_from_list(["MODEL.FPN.OUT_CHANNELS", 64])
    assert yaml.safe_load(cfg.dump())["MODEL"]["FPN"] == {"OUT_CHANNELS": 64}


@pytest.mark.skipif(d2.HAS_DETECTRON2, reason="Detectron2 is installed")
def test_without_detectron2_its_keys_are_explained():
    with pytest.raises(ConfigError, match="unknown key MODEL.FPN.*Detectron2 installed"):
        get_cfg().merge_from_list(["MODEL.FPN.OUT_CHANNELS", 64])
