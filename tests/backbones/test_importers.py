"""Every source's network, endpoint by endpoint, against a reference that shares no code with it."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from foreign import Source, Weights
from foreign_tensorflow import DeepMind, Slim, SlimInceptionV1
from foreign_torch import Hassony2, HowTo100M, Kylemin, Piergiaj
from torch import Tensor, nn

from backbones import ENDPOINTS, InceptionNet
from backbones.importers import SOURCES, import_weights, load
from backbones.variants import ALL_UNITS

UNITS = {"Conv2d_2c_3x3": 1, "Mixed_4b": 4, "Mixed_4f": 8, "Mixed_5b": 9}  # temporal units by slim's names


class Case(NamedTuple):
    source: str
    reference: Callable[[Weights], Source]
    sizes: tuple[tuple[int, int, int], ...]
    millions: tuple[float, float]  # parameters with and without logits
    spec: dict[str, Any]  # what is to be worked out from the arrays


def slim(millions: tuple[float, float], stem=3, separable=True, temporal="Conv2d_2c_3x3", gates=None) -> Case:
    spec = {
        "separable": separable,
        "stem_kernel": stem,
        "temporal_units": ((0,) if stem > 1 else ()) + ALL_UNITS[UNITS[temporal] :],
        "gated_units": ALL_UNITS[UNITS[gates] :] if gates else (),
        "bn_gamma": False,
        "temporal_bn": False,
    }
    return Case("slim", lambda w: Slim(w, stem, separable, temporal, gates), ODD, millions, spec)


# 17 frames give three steps at the head; 33 x 47 leaves odd maps at four of five strides, 38 x 44 at others
ODD = ((17, 33, 47), (18, 38, 44))
EVEN = ((18, 34, 46), (20, 38, 44))
# The parameters are those of WEIGHTS' table (docs/weights.md), but for the last two, which follow from them: top-heavy
# from Mixed_4f, and gates from Mixed_4f on.
CASES = {
    "slim_s3d": slim((8.300, 7.890)),
    "slim_s3dg": slim((9.519, 9.109), gates="Conv2d_2c_3x3"),
    "slim_s3dg_stem_7": slim((9.556, 9.146), stem=7, gates="Conv2d_2c_3x3"),
    "slim_i3d": slim((12.690, 12.280), stem=7, separable=False),
    "slim_s3dg_top_heavy": slim(None, stem=1, temporal="Mixed_4b", gates="Mixed_5b"),
    "slim_i3d_top_heavy_gated": slim(None, stem=1, separable=False, temporal="Mixed_4f", gates="Mixed_5b"),
    "slim_inception_v1": Case(
        "slim_inception_v1", SlimInceptionV1, ((1, 33, 47), (1, 38, 44)), None,
        {"temporal_units": (), "padding": "same", "head_window": (1, 7)},
    ),
    "deepmind": Case("deepmind", DeepMind, ODD, (12.690, 12.280), {"separable": False, "stem_kernel": 7}),
    "piergiaj": Case("piergiaj", Piergiaj, ODD, (12.697, 12.287), {"padding": "same", "bn_gamma": True}),
    "hassony2": Case("hassony2", Hassony2, ODD, (12.697, 12.287), {"padding": "even_space"}),
    "kylemin": Case(
        "kylemin", Kylemin, ((25, 40, 72), (27, 66, 47)), (8.320, 7.910),
        {"padding": "symmetric", "stem": "separable", "temporal_bn": True},
    ),
    "howto100m": Case(
        "howto100m", HowTo100M, EVEN, (9.671, 9.146),
        {"stem": "space_to_depth", "bn_eps": 1e-5, "gate_bias": True, "head_window": (0, 0)},
    ),
    "howto100m_plain": Case(
        "howto100m", lambda w: HowTo100M(w, space_to_depth=False), ODD, None,
        {"stem": "joint", "stem_kernel": 3, "padding": "even_pools"},
    ),
}  # fmt: skip


class Made(NamedTuple):
    case: Case
    weights: Weights
    net: InceptionNet  # float64
    clips: Tensor  # two of the first size
    theirs: dict[str, Tensor]  # what the reference makes of them


@pytest.fixture(scope="module", params=CASES)
def made(request) -> Iterator[Made]:
    case = CASES[request.param]
    weights, clips = Weights(), video(case, case.sizes[0], n=2)
    with torch.no_grad():
        theirs = case.reference(weights)(clips)  # draws the arrays on the way
    yield Made(case, weights, load(case.source, weights).double(), clips, theirs)


def video(case: Case, size: tuple[int, int, int], n: int = 1) -> Tensor:
    return torch.randn(n, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(size)))


def assert_agree(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """The largest difference at each endpoint within `tolerance` of its standard deviation."""
    assert tuple(ours) == (*ENDPOINTS, "logits")
    for name, expected in theirs.items():
        got = ours[name][:, :, 0, 0, 0] if name == "logits" else ours[name]
        assert got.shape == expected.shape, name
        assert float((got - expected).abs().max() / expected.std()) < tolerance, name


@torch.no_grad()
def test_every_endpoint_is_the_sources(made):
    case, weights, net, clips, theirs = made
    assert_agree(net.endpoints(clips), theirs, 1e-9)
    x = video(case, case.sizes[1])
    theirs = case.reference(weights)(x)
    assert_agree(net.endpoints(x), theirs, 1e-9)
    assert_agree(copy.deepcopy(net).float().endpoints(x.float()), theirs, 1e-3)


@torch.no_grad()
def test_head_windows_are_the_sources(made):
    case, weights, net, *_ = made
    t = 1 if SOURCES[case.source].two_d else 5
    features = torch.randn(2, 1024, t, 8, 9, dtype=torch.float64).relu()
    torch.testing.assert_close(net.classify(features), case.reference(weights).head(features), rtol=1e-9, atol=1e-9)


def test_reference_depends_on_its_input(made):
    # else agreement at the logits would say nothing: gates of small weights halve the signal ten times
    logits = made.theirs["logits"]
    assert float(logits.std(0).mean() / logits.std()) > 0.02


def test_what_was_worked_out(made):
    spec = made.net.spec
    assert {name: getattr(spec, name) for name in made.case.spec} == made.case.spec
    assert not made.net.training and made.net.preprocessing.channel_order == "RGB"


def test_parameters_are_the_sources(made):
    total = sum(p.numel() for p in made.net.parameters())
    logits = sum(p.numel() for p in made.net.logits.parameters())
    # the sources' parameters: their arrays without statistics and counters
    statistics = ("moving_mean", "moving_variance", "running_mean", "running_var", "num_batches_tracked")
    arrays = sum(array.size for name, array in made.weights.items() if not name.endswith(statistics))
    gammas = 0 if made.case.source != "slim_inception_v1" else 7280  # ours are a constant 1 there
    assert total - gammas == arrays
    if made.case.millions:
        assert (round(total / 1e6, 3), round((total - logits) / 1e6, 3)) == made.case.millions


def randomised(net: nn.Module) -> nn.Module:
    """Kernels by He's rule, statistics and scales that are not neutral; in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            module.weight.data.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=generator)
        elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return net.eval()


def hooked(net: nn.Module, names: list[str], x: Tensor) -> dict[str, Tensor]:
    """Outputs of the named modules, under our endpoints' names, and the logits."""
    found: dict[str, Tensor] = {}
    for endpoint, name in zip(ENDPOINTS, names, strict=True):
        module = net.get_submodule(name)
        module.register_forward_hook(lambda module, inputs, y, e=endpoint: found.__setitem__(e, y.clone()))
    logits = net(x)
    return {**found, "logits": logits}


@torch.no_grad()
def test_torchvision_s3d():
    theirs = randomised(torchvision.models.video.s3d(num_classes=7)).double()
    net, report = import_weights("torchvision", theirs.state_dict())
    assert all(name.endswith("num_batches_tracked") for name in report.ignored) and report.ok
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in theirs.parameters())
    net.double()
    for size, last_map in (((25, 40, 72), (1, 2)), ((27, 66, 47), (2, 1))):
        theirs.avgpool = nn.AvgPool3d((2, *last_map), stride=1)  # its 2 x 7 x 7 does not fit these maps; ours shrinks
        x = torch.randn(1, 3, *size, dtype=torch.float64)
        assert_agree(net.endpoints(x), hooked(theirs, [f"features.{i}" for i in range(16)], x), 1e-9)


GOOGLENET = "conv1 maxpool1 conv2 conv3 maxpool2 inception3a inception3b maxpool3 inception4a inception4b inception4c \
inception4d inception4e maxpool4 inception5a inception5b".split()


@torch.no_grad()
def test_torchvision_googlenet():
    theirs = randomised(torchvision.models.googlenet(num_classes=7, init_weights=False)).double()
    net, report = import_weights("googlenet", theirs.state_dict())
    assert {name.split(".")[0] for name in report.ignored if "num_batches" not in name} == {"aux1", "aux2"}
    net.double()
    for size in ((33, 47), (40, 70)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = hooked(theirs, GOOGLENET, x)
        expected = {name: y if name == "logits" else y[:, :, None] for name, y in expected.items()}
        assert_agree(net.endpoints(x[:, :, None]), expected, 1e-9)


@torch.no_grad()
def test_flow_and_other_classes():
    reference = DeepMind(Weights(1))
    reference.classes = 6
    x = torch.randn(1, 2, 17, 32, 32, dtype=torch.float64)
    expected = reference(x)
    net = load("deepmind", {f"Flow/inception_i3d/{k}:0": v for k, v in reference.w.items()})
    assert net.logits.out_channels == 6
    assert net.preprocessing.channel_order == "XY" and net.preprocessing.mean == (127.5,) * 2
    assert_agree(net.double().endpoints(x), expected, 1e-9)
