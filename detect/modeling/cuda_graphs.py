"""CUDA: a network's kernels fused, recorded once and started together, and work beside the main stream.

At batch 1 starting the hundreds of kernels of a network one by one takes longer than running them.
"""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

SIZES = 4  # of input, for each network; each keeps the memory of its activations


def record(network: nn.Module, graphs: bool = True, compiled: bool = False) -> nn.Module:
    """The network, whose `forward` of one tensor is recorded on CUDA for sizes of input that come a second time.

    For inference only: with gradients and under a compiler or an exporter it runs as it did, on a CPU and for further
    sizes without being recorded. Its weights must stay where they are.
    compiled: what runs and is recorded is torch.compile's code, made for each size.
    """
    network.forward = Recorded(network.forward, graphs, compiled)
    return network


class Recorded:
    """What `record` puts in the place of a network's `forward`."""

    def __init__(self, forward: Callable[[Tensor], Any], graphs: bool = True, compiled: bool = False):
        self.forward, self.graphs, self.compiled = forward, graphs, compiled
        self._run = torch.compile(forward, dynamic=False) if compiled else forward
        self._seen: set[tuple] = set()
        self._graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, Tensor, Any]] = {}

    def __deepcopy__(self, memo: dict) -> "Recorded":
        # a graph reads the weights of the network it is of
        return Recorded(copy.deepcopy(self.forward, memo), self.graphs, self.compiled)

    def __call__(self, x: Tensor) -> Any:
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.forward(x)
        if not (self.graphs and x.is_cuda):
            return self._run_as_recorded(x)
        key = (x.device, x.dtype, tuple(x.shape), x.stride(), torch.is_autocast_enabled("cuda"))
        if key not in self._graphs:
            if key not in self._seen or len(self._graphs) >= SIZES:
                self._seen.add(key)  # the first time libraries choose and load what they need, which cannot be recorded
                return self._run_as_recorded(x)
            self._graphs[key] = self._record(x)
        graph, given, found = self._graphs[key]
        given.copy_(x)
        graph.replay()
        return _copied(found)  # the next replay writes there

    def _run_as_recorded(self, x: Tensor) -> Any:
        if not self.compiled:
            return self._run(x)
        with torch.inference_mode(False), torch.no_grad():  # torch.compile makes other code for other modes
            return self._run(x.clone() if x.is_inference() else x)

    def _record(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Any]:
        with torch.inference_mode(False), torch.no_grad():  # so that it can be replayed outside inference mode too
            given, graph = x.clone(), torch.cuda.CUDAGraph()
            # other threads, such as the one that pins clips, may go on calling CUDA
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                found = self._run(given)
        return graph, given, found


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    return tuple(map(_copied, value)) if isinstance(value, tuple) else value.clone()


class Aside:
    """`with aside:` runs CUDA work on a stream of its own, after what was started before `aside` was made.

    So waiting for its results is not waiting for what was started on the main stream in between. The main stream goes
    on after it. What is allocated within is used by the main stream too: only for code without gradients, that ends
    its use of these tensors before the next Aside is made.
    """

    def __init__(self, device: torch.device):
        self._main = torch.cuda.current_stream(device)
        self._stream = _stream(device)
        self._stream.wait_stream(self._main)
        self._context = torch.cuda.stream(self._stream)

    def __enter__(self) -> None:
        self._context.__enter__()

    def __exit__(self, *raised: Any) -> None:
        self._context.__exit__(*raised)
        self._main.wait_stream(self._stream)


def aside(device: torch.device) -> Any:
    """`Aside` on CUDA where no gradients are wanted; else a context that changes nothing."""
    return nullcontext() if device.type != "cuda" or torch.is_grad_enabled() else Aside(device)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device, priority=-1)  # its kernels, few and small, go first
