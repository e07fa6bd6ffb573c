"""Recording on a machine without a GPU, where it changes nothing; tests/test_cuda.py has the rest."""

import copy

import torch

from detect.modeling import build_model, inference_copy
from detect.modeling.cuda_graphs import aside, record
from tests.tiny import tiny_cfg


def test_on_a_cpu_a_recorded_network_runs_as_it_did():
    network = record(torch.nn.Linear(4, 2))
    x = torch.randn(3, 4)
    expected = torch.nn.functional.linear(x, network.weight, network.bias)
    for _ in range(3):
        with torch.no_grad():
            assert torch.equal(network(x), expected)
    assert network(x).requires_grad and not network.forward._graphs


def test_a_copy_reads_its_own_weights():
    network = record(torch.nn.Linear(4, 2))
    copied, x = copy.deepcopy(network), torch.randn(3, 4)
    before = network(x)
    with torch.no_grad():
        copied.weight.zero_()
    assert torch.equal(network(x), before) and torch.equal(copied(x), copied.bias.expand(3, 2))


def test_nothing_is_aside_on_a_cpu_or_with_gradients():
    with torch.no_grad(), aside(torch.device("cpu")) as found:
        assert found is None
    with aside(torch.device("cuda")) as found:  # with gradients: the device is not even asked for
        assert found is None


def test_only_networks_on_a_gpu_are_recorded():
    model = inference_copy(build_model(tiny_cfg()))
    assert "forward" not in vars(model.context)
