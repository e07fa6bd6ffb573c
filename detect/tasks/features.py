"""What `tools/extract_features.py` does: activations of a network for every clip of many videos."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import backbones
from detect.modeling.context_weights import read_network
from detect.tasks.many_videos import claim_folder, leave_with_status, remove_leftovers_of, report_videos
from detect.utils.checkpoint_files import CheckpointError, first_line
from detect.utils.comm import take_own_gpu
from detect.utils.download import local_file
from detect.utils.errors import UserError
from detect.utils.files import atomic_file, hash_files
from detect.utils.shards import Shard, this_shard
from detect.video.inputs import find_videos
from detect.video.readers import FrameReadError, container_facts, iter_frames
from detect.video.transforms import Window, resize
from detect.video.windows import strided_clips

LEGAL_ENDPOINTS = (*backbones.ENDPOINTS, "logits")


@dataclass(frozen=True)
class FeatureSettings:
    """How clips are cut and what is kept of them; UserError for values that make no sense.

    clip_length, clip_stride: of the clips, in frames after every `frame_step`-th was taken.  resize, crop: (height,
    width) a frame is brought to, and of its centre that is kept.  pool: "mean" over time and space, or "none".
    """

    endpoints: tuple[str, ...] = ("mixed_5c",)
    pool: str = "mean"
    clip_length: int = 64
    clip_stride: int = 64
    frame_step: int = 1
    resize: tuple[int, int] = (256, 256)
    crop: tuple[int, int] = (224, 224)

    def __post_init__(self):
        for name in self.endpoints:
            if name not in LEGAL_ENDPOINTS:
                raise UserError(f"unknown endpoint {name!r}; the endpoints are {', '.join(LEGAL_ENDPOINTS)}")
        if not self.endpoints or self.pool not in ("mean", "none"):
            raise UserError(f"endpoints {self.endpoints}, pool {self.pool!r}: at least one endpoint, and mean or none")
        for name in ("clip_length", "clip_stride", "frame_step"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if min(self.crop) < 1 or any(c > r for c, r in zip(self.crop, self.resize, strict=True)):
            raise UserError(f"crop {self.crop} of a frame of {self.resize}: at least 1 x 1, and it must fit")


def run_extract_features(
    weights: str,
    source: str,
    output: str,
    settings: FeatureSettings,
    *,
    network: str | None = None,
    width: float = 1.0,
    root: str | None = None,
    device: str = "cpu",
    batch_size: int = 1,
    shard: str | None = None,
) -> None:
    """See tools/extract_features.py. Exit status 1 if a video is bad, UserError for bad arguments.

    network, width: of a plain state dict.  source, root: as for `find_videos`.  shard: as for `this_shard`.
    """
    share = this_shard(shard)
    take_own_gpu()
    net, preprocessing = load_network(weights, network, width)
    clip_network = ClipNetwork(backbones.fold_batch_norm(net), preprocessing, device, batch_size)
    folder = Path(output)
    record = {"weights": hash_files(local_file(weights)), "network": network, **asdict(settings)}
    claim_folder(folder, record, "features")
    videos = share.of(list(find_videos(source, root, skip=[folder]).items()))
    leave_with_status(_extract_all(dict(videos), folder, clip_network, settings, share))


def load_network(path: str, name: str | None, width: float = 1.0) -> tuple[backbones.InceptionNet, dict[str, Any]]:
    """The network of a checkpoint and its recorded preprocessing ({} where it has none).

    name, width: of the network of a plain state dict, which does not say. CheckpointError if it does not fit.
    """
    data = read_network(path)
    preprocessing = data.get("preprocessing", {})
    if name is None:
        if not {"network", "preprocessing"} <= data.keys():
            raise CheckpointError(f"{path}: does not say which network it is of; give --network NAME")
        return backbones.network_from(data), preprocessing
    state = data["model"]
    classes = state["logits.weight"].shape[0] if "logits.weight" in state else 400
    try:
        net = backbones.build(name, num_classes=classes, width=width)
        net.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit {name} of width {width}: {first_line(error)}") from error
    return net, preprocessing


class ClipNetwork:
    """A network in evaluation mode that takes uint8 clips and normalises them as its weights expect.

    preprocessing: {"mean", "std"}: pixels 0..255 become (pixel - mean) / std (default 127.5 both: -1 .. 1);
    {"channel_order"}: "RGB" or "BGR". UserError for a network of other input.
    """

    def __init__(
        self, net: backbones.InceptionNet, preprocessing: dict[str, Any], device: str = "cpu", batch_size: int = 1
    ):
        if batch_size < 1:
            raise UserError(f"batch size {batch_size}: at least 1 clip is needed")
        order = preprocessing.get("channel_order", "RGB")
        channels = net.in_channels
        if order not in ("RGB", "BGR") or channels != 3:
            raise UserError(f"the network takes {channels} channels {order}; videos are read as RGB or BGR only")
        self.net, self.device, self.batch_size, self.reverse = net.to(device).eval(), device, batch_size, order == "BGR"
        mean, std = (preprocessing.get(key, (127.5,) * 3) for key in ("mean", "std"))
        self.mean, self.std = (torch.tensor(v, device=device).reshape(1, 3, 1, 1, 1) for v in (mean, std))

    @torch.inference_mode()
    def endpoints(self, clips: np.ndarray, names: tuple[str, ...]) -> dict[str, Tensor]:
        """clips: (N, T, H, W, 3) uint8 RGB -> the named activations, each (N, C, T', H', W')."""
        x = torch.from_numpy(clips).to(self.device).permute(0, 4, 1, 2, 3)  # (N, 3, T, H, W), channels last in memory
        x = x.flip(1) if self.reverse else x
        return self.net.endpoints((x.float() - self.mean) / self.std, names)


def extract_features(path: str | Path, network: ClipNetwork, settings: FeatureSettings) -> dict[str, np.ndarray]:
    """The arrays of one video, as the docstring of tools/extract_features.py says. FrameReadError if a frame does not
    decode or has another size, or the video is cut off. Each frame is decoded once; a batch of clips is held beside
    the features.
    """
    step, count = settings.frame_step, 0

    def prepared() -> Iterator[np.ndarray]:
        nonlocal count
        for frame in iter_frames(path, threads=0, one_size=True):
            if count % step == 0:
                yield _prepare(frame, settings)
            count += 1

    clips = strided_clips(prepared(), settings.clip_length, settings.clip_stride)
    starts, real, found = [], [], {name: [] for name in settings.endpoints}
    while batch := list(islice(clips, network.batch_size)):
        starts += [start * step for start, _, _ in batch]
        real += [number for _, _, number in batch]
        stacked = np.stack([np.stack(frames) for _, frames, _ in batch])
        for name, value in network.endpoints(stacked, settings.endpoints).items():
            found[name].append((value.mean(dim=(2, 3, 4)) if settings.pool == "mean" else value).cpu().numpy())
    fps = np.nan if os.path.isdir(path) else container_facts(str(path))[0]
    return {
        **{name: np.concatenate(parts) for name, parts in found.items()},
        "start_frame": np.array(starts, np.int64),
        "real_frames": np.array(real, np.int64),
        "num_frames": np.int64(count),
        "fps": np.float64(fps),
    }


def _prepare(frame: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    (height, width), (h, w) = settings.resize, settings.crop
    return Window((width - w) // 2, (height - h) // 2, w, h).cut(resize(frame, (height, width)))


def _extract_all(
    videos: dict[str, Path], output: Path, network: ClipNetwork, settings: FeatureSettings, shard: Shard
) -> dict[str, str]:
    """Features of every video that has none yet; the bad ones, path -> reason."""
    todo = {output / f"{name}.npz": path for name, path in videos.items() if not (output / f"{name}.npz").exists()}
    remove_leftovers_of(todo)
    bad: dict[str, str] = {}
    for target, path in tqdm(todo.items(), "features", unit="video", disable=None):
        try:
            arrays = extract_features(path, network, settings)
        except FrameReadError as error:
            bad[str(path)] = str(error)
            continue
        with atomic_file(target) as file:
            np.savez(file, **arrays)
    report_videos(output, shard, len(videos), len(todo), bad)
    return bad
