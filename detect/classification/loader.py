"""Batches for the classifier: random clips to train on, whole videos to test on."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from detect.classification.clips import EvalPlan
from detect.classification.records import VideoSet
from detect.data.train_stream import UNREADABLE, worker_options

logger = logging.getLogger(__name__)


class VideoDataset(Dataset):
    """What `detect.data.train_stream.build_train_loader` draws from: a dict for each video with a label."""

    def __init__(self, videos: VideoSet):
        self.items = [item for item in videos.items if item.label is not None]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.items[index]
        return {"video": item.name, "image_id": item.name, "file_name": item.path, "label": item.label}


def build_video_loader(
    videos: VideoSet, plan: EvalPlan, batch_size: int, *, num_workers: int = 0, rank: int = 0, world_size: int = 1
) -> DataLoader:
    """Lists of `batch_size` parts of this rank's videos (every `world_size`-th); all parts of a video, in order.

    A part is {"video", "index": place in `videos.items`, "view", "clip" (t, H, W, C) uint8}; after the last one
    comes {"video", "index", "end": None}, or where the video could not be read to its end, the reason as "end".
    """
    stream = _EvalStream(videos, plan, rank, world_size)
    return DataLoader(stream, batch_size=batch_size, **worker_options(num_workers))


class _EvalStream(IterableDataset):
    def __init__(self, videos: VideoSet, plan: EvalPlan, rank: int, world_size: int):
        self.videos, self.plan, self.rank, self.world_size = videos, plan, rank, world_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, count = (info.id, info.num_workers) if info else (0, 1)
        for index in range(len(self.videos.items))[self.rank :: self.world_size][worker::count]:
            item, end = self.videos.items[index], None
            known = {"video": item.name, "index": index}
            try:
                for view, clip in self.plan.views(item.path):
                    yield {**known, "view": view, "clip": torch.from_numpy(np.ascontiguousarray(clip))}
            except UNREADABLE as error:
                end = str(error)
            yield {**known, "end": end}
