"""The words of `detect.d2` behave alike with and without Detectron2.

Every behaviour is tested on the fallback and, where Detectron2 is installed, on its own classes with the same
expectations; the last part compares the two side by side.
"""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from detect import _d2_fallback as mine
from detect import d2

WORDS = [name for name in d2.__all__ if name != "HAS_DETECTRON2"]


def real_words() -> SimpleNamespace:
    pytest.importorskip("detectron2", reason="Detectron2 is not installed")
    if not d2.HAS_DETECTRON2:
        pytest.skip("DETECT_FORCE_FALLBACK is set")
    return SimpleNamespace(**{name: getattr(d2, name) for name in WORDS})


@pytest.fixture(params=["fallback", "detectron2"])
def w(request):
    """One of the two vocabularies."""
    return mine if request.param == "fallback" else real_words()


def test_both_have_every_word():
    assert all(hasattr(d2, name) and hasattr(mine, name) for name in WORDS)


# --------------------------------------------------------------------------------------------- configurable
def component(w):
    class Component:
        @w.configurable
        def __init__(self, size, *, depth=2, extra=None):
            self.values = (size, depth, extra)

        @classmethod
        def from_config(cls, cfg, shape=None):
            return {"size": cfg.SIZE, "depth": shape or 7}

    return Component


def test_configurable_constructor(w):
    make, cfg = component(w), w.CfgNode({"SIZE": 3})
    assert make(5).values == (5, 2, None)
    assert make(size=5, depth=1).values == (5, 1, None)
    assert make(cfg).values == make(cfg=cfg).values == (3, 7, None)
    assert make(cfg, 9).values == make(cfg, shape=9).values == (3, 9, None)  # to from_config
    assert make(cfg, extra="e", depth=4).values == (3, 4, "e")  # past from_config, and winning over it


def test_configurable_subclass_and_clone_of_config(w):
    class Child(component(w)):
        @classmethod
        def from_config(cls, cfg, **rest):
            return {"size": -cfg.SIZE, **rest}

    assert Child(w.CfgNode({"SIZE": 3}), depth=1).values == (-3, 1, None)


def test_configurable_misuse(w):
    class NoTranslator:
        @w.configurable
        def __init__(self, a):
            pass

    class NotAClassmethod(NoTranslator):
        def from_config(self, cfg):
            pass

    class WrongFirst(NoTranslator):
        @classmethod
        def from_config(cls, config):
            pass

    cfg = w.CfgNode()
    with pytest.raises(AttributeError):
        NoTranslator(cfg)
    with pytest.raises(TypeError):
        NotAClassmethod(cfg)
    with pytest.raises(TypeError, match="cfg"):
        WrongFirst(cfg)
    with pytest.raises(AssertionError):
        w.configurable(lambda a: a)


# ------------------------------------------------------------------------------------------------ modeling
def test_shape_spec(w):
    assert w.ShapeSpec(channels=3, stride=16) == w.ShapeSpec(3, None, None, 16)
    assert w.ShapeSpec() != w.ShapeSpec(channels=1) and w.ShapeSpec().height is None


def test_backbone(w):
    class Trunk(w.Backbone):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self._out_features = ["res4"]
            self._out_feature_channels, self._out_feature_strides = (
                {"res4": 2, "stem": 9},
                {"res4": 16, "stem": 2},
            )

        def forward(self, x):
            return {"res4": self.conv(x)}

    trunk = Trunk()
    assert isinstance(trunk, nn.Module) and trunk(torch.zeros(1, 1, 2, 2))["res4"].shape == (1, 2, 2, 2)
    assert trunk.output_shape() == {"res4": w.ShapeSpec(channels=2, stride=16)}
    assert trunk.size_divisibility == 0 and trunk.padding_constraints == {}


REGISTRIES = ["META_ARCH_REGISTRY", "BACKBONE_REGISTRY", "PROPOSAL_GENERATOR_REGISTRY", "ROI_HEADS_REGISTRY"]


@pytest.mark.parametrize("name", REGISTRIES)
def test_registries(w, name):
    registry = getattr(w, name)
    own = copy.deepcopy(registry)  # not to leave a trace in the global one

    @own.register()
    class ContractThing:
        pass

    assert own.get("ContractThing") is ContractThing and "ContractThing" in own
    assert "ContractThing" not in registry
    with pytest.raises(AssertionError):
        own.register(ContractThing)
    with pytest.raises(KeyError, match="Nothing"):
        own.get("Nothing")


# ------------------------------------------------------------------------------------------------ structures
def test_boxes_geometry(w):
    boxes = w.Boxes([[-2.0, 1.0, 4.0, 5.0], [3.0, 3.0, 3.0, 9.0], [1.0, 2.0, 5.0, 4.0]])
    clipped = boxes.clone()
    assert clipped.clip((6, 3)) is None
    assert clipped.tensor.tolist() == [[0, 1, 3, 5], [3, 3, 3, 6], [1, 2, 3, 4]]
    clipped.scale(2, 10)
    assert clipped.tensor.tolist() == [[0, 10, 6, 50], [6, 30, 6, 60], [2, 20, 6, 40]]
    assert boxes.tensor[0, 0] == -2  # the clone was changed only
    with pytest.raises(AssertionError):
        w.Boxes([[0.0, 0.0, float("nan"), 1.0]]).clip((2, 2))


def test_boxes_are_a_list_of_float32_rows(w):
    boxes = w.Boxes(torch.arange(12).reshape(3, 4))
    assert boxes.tensor.dtype == torch.float32 and len(boxes) == 3 and boxes.device.type == "cpu"
    assert boxes[1].tensor.tolist() == [[4, 5, 6, 7]] and boxes[-1].tensor.tolist() == [[8, 9, 10, 11]]
    assert boxes[1:].tensor.tolist() == boxes[torch.tensor([False, True, True])].tensor.tolist()
    assert boxes[torch.tensor([2, 0])].tensor[:, 0].tolist() == [8, 0]
    assert boxes.to("cpu").tensor.equal(boxes.tensor)
    with pytest.raises(AssertionError):
        w.Boxes(torch.zeros(2, 3))


@pytest.mark.parametrize("empty", [[], torch.zeros(0), torch.zeros(0, 4)])
def test_no_boxes(w, empty):
    boxes = w.Boxes(empty)
    assert boxes.tensor.shape == (0, 4) and len(boxes) == 0
    boxes.clip((3, 3))
    boxes.scale(2, 2)
    assert boxes[torch.zeros(0, dtype=torch.bool)].tensor.shape == (0, 4)


def three(w):
    return w.Instances(
        (10, 20), pred_boxes=w.Boxes(torch.arange(12).reshape(3, 4)), scores=torch.tensor([0.1, 0.2, 0.3])
    )


def test_instances_fields(w):
    instances = three(w)
    instances.names = ["a", "b", "c"]
    assert len(instances) == 3 and instances.image_size == (10, 20)
    assert instances.has("scores") and not instances.has("gt_boxes") and "scores" in instances.get_fields()
    assert instances.get("names") is instances.names
    assert list(instances.get_fields()) == ["pred_boxes", "scores", "names"]
    with pytest.raises(AttributeError, match="absent"):
        _ = instances.absent
    with pytest.raises(KeyError):
        instances.get("absent")
    with pytest.raises(AssertionError):
        instances.labels = torch.zeros(2)
    assert "num_instances=3, image_height=10, image_width=20" in str(instances)


def test_instances_indexing(w):
    instances = three(w)
    instances.names = ["a", "b", "c"]
    last = instances[-1]
    assert len(last) == 1 and last.names == ["c"] and last.pred_boxes.tensor.tolist() == [[8, 9, 10, 11]]
    assert instances[1:].names == ["b", "c"] and last.image_size == (10, 20)
    instances = three(w)  # lists take no mask
    high = instances[instances.scores > 0.15]
    assert len(high) == 2 and isinstance(high.pred_boxes, w.Boxes)
    assert len(instances[torch.tensor([2, 2, 0, 1])]) == 4
    assert len(instances[instances.scores > 1]) == 0
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            instances[wrong]
    with pytest.raises(NotImplementedError):
        iter(instances)
    with pytest.raises(NotImplementedError):
        len(w.Instances((1, 1)))


def test_instances_to(w):
    instances = three(w)
    instances.names = ["a", "b", "c"]
    moved = instances.to("cpu")
    assert moved.names == instances.names and moved is not instances and isinstance(moved.pred_boxes, w.Boxes)


def test_instances_copy(w):
    instances = three(w)
    again = copy.deepcopy(instances)
    again.scores[0] = 9
    assert instances.scores[0] == pytest.approx(0.1) and again.image_size == (10, 20)


def test_image_list(w):
    images = w.ImageList(torch.zeros(2, 3, 4, 8), [(2, 5), (4, 1)])
    assert len(images) == 2 and images.image_sizes == [(2, 5), (4, 1)] and images.tensor.shape == (2, 3, 4, 8)


# -------------------------------------------------------------------------------------------------- catalogs
def test_dataset_catalog(w):
    name = "contract_dataset"
    w.DatasetCatalog.register(name, lambda: [{"image_id": 1}])
    try:
        assert w.DatasetCatalog.get(name) == [{"image_id": 1}] and name in w.DatasetCatalog.list()
        assert name in w.DatasetCatalog
        with pytest.raises(AssertionError):
            w.DatasetCatalog.register(name, list)
        with pytest.raises(AssertionError):
            w.DatasetCatalog.register("contract_other", [])
    finally:
        w.DatasetCatalog.remove(name)
    with pytest.raises(KeyError, match=name):
        w.DatasetCatalog.get(name)


def test_metadata_catalog(w):
    name = "contract_dataset"
    meta = w.MetadataCatalog.get(name)
    try:
        assert meta is w.MetadataCatalog.get(name) and meta.name == name
        assert meta.set(thing_classes=["a"], evaluator_type="action") is meta
        meta.thing_classes = ["a"]  # the same again is fine
        with pytest.raises(AssertionError):
            meta.thing_classes = ["b"]
        assert meta.get("thing_classes") == ["a"] and meta.get("colours", 3) == 3
        with pytest.raises(AttributeError, match="colours"):
            _ = meta.colours
        assert meta.evaluator_type == "action"
        assert name in w.MetadataCatalog.list()
    finally:
        w.MetadataCatalog.remove(name)
    assert name not in w.MetadataCatalog.list()


def test_dataset_evaluator(w):
    base = w.DatasetEvaluator()
    assert base.reset() is None and base.process([], []) is None and base.evaluate() is None


# ---------------------------------------------------------------------------------------------------- events
def test_event_storage(w):
    with pytest.raises(AssertionError):
        w.get_event_storage()
    with w.EventStorage(5) as storage:
        assert w.get_event_storage() is storage and storage.iter == 5
        storage.put_scalar("loss", torch.tensor(2.0))
        storage.put_scalars(a=1, b=2.5, smoothing_hint=False)
        storage.iter = 6
        storage.put_scalar("loss", 6)
        with w.EventStorage() as inner:
            assert w.get_event_storage() is inner
        assert w.get_event_storage() is storage
        assert storage.latest() == {"loss": (6.0, 6), "a": (1.0, 5), "b": (2.5, 5)}
        assert storage.latest_with_smoothing_hint()["loss"] == (4.0, 6)
        assert storage.latest_with_smoothing_hint(1)["loss"] == (6.0, 6)
        assert storage.history("loss").values() == [(2.0, 5), (6.0, 6)]
        with pytest.raises(KeyError, match="nothing"):
            storage.history("nothing")
        with pytest.raises(AssertionError):
            storage.put_scalar("loss", 1, smoothing_hint=False)
        storage.iter = 40
        storage.put_scalar("late", 1.0, cur_iter=38)
        assert storage.latest()["late"] == (1.0, 38) and storage.iter == 40


def test_smoothing_counts_iterations_not_values(w):
    with w.EventStorage() as storage:
        for iteration in (0, 10, 11):
            storage.iter = iteration
            storage.put_scalar("rare", float(iteration))
        assert storage.latest_with_smoothing_hint(5)["rare"] == (10.5, 11)


# ------------------------------------------------------------------------------------------- side by side
def public(thing) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


CLASSES = ["Boxes", "Instances", "ImageList", "ShapeSpec", "DatasetEvaluator", "EventStorage", "Backbone"]


@pytest.mark.parametrize("name", [*CLASSES, "DatasetCatalog", "MetadataCatalog"])
def test_the_fallback_invents_nothing(name):
    """Whatever public name the fallback has, Detectron2 has too, so that code on it runs on both."""
    real = real_words()
    theirs = public(getattr(real, name)) | (public(real.EventStorage()) if name == "EventStorage" else set())
    assert public(getattr(mine, name)) <= theirs


def test_the_fallback_configs_are_the_same_classes():
    real = real_words()
    assert issubclass(real.CfgNode, mine.CfgNode)
    for name in REGISTRIES:
        assert type(getattr(real, name)) is type(getattr(mine, name))
        assert getattr(real, name)._name == getattr(mine, name)._name


def test_random_boxes_agree():
    real = real_words()
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 4, generator=generator) * 30 - 5
    ours, theirs = mine.Boxes(corners.clone()), real.Boxes(corners.clone())
    for call in (lambda b: b.clip((20, 15)) or b.tensor, lambda b: b.scale(1.3, 0.7) or b.tensor):
        assert torch.equal(call(ours), call(theirs))
