"""A few clips, of videos or sets, by which the ranges of 8-bit activations are found."""

import os
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from detect.config import ActionCfgNode
from detect.data.catalog import set_datasets_root
from detect.data.keyframe_mapper import KeyframeMapper
from detect.export.engines import Arrays
from detect.export.model import window_inputs
from detect.tasks.sets import keyframe_set
from detect.video.readers import container_facts, iter_frames
from detect.video.video_flow import flow_as_frames_arrive
from detect.video.windows import gather

CLIPS = 32  # in all
ABOUT_FRAMES = 100  # of a video that does not say its length


def calibration_clips(cfg: ActionCfgNode, sources: Sequence[str]) -> Iterator[Arrays]:
    """Inputs of the exported graph for about CLIPS clips, spread evenly over the sources and within each.

    sources: video files, folders of frames, or sets as DATASETS.TEST names them. UserError, now, for one that is
    neither; FrameReadError, on the way, for one that cannot be read.
    """
    set_datasets_root(cfg.DATASETS.ROOT)
    mapper = KeyframeMapper.from_config(cfg, is_train=False)
    share = max(1, CLIPS // len(sources))
    items = [
        _of_video(mapper, source, share) if os.path.exists(source) else _of_set(mapper, keyframe_set(source), share)
        for source in sources
    ]
    return (inputs for of_one in items for item in of_one for inputs in window_inputs(item, mapper.flow))


def _of_video(mapper: KeyframeMapper, video: str, clips: int) -> Iterator[dict]:
    every = max(1, (container_facts(video)[1] or ABOUT_FRAMES) // clips)
    frames = iter_frames(video)
    pairs = flow_as_frames_arrive(frames, "dis") if mapper.flow else ((frame, None) for frame in frames)
    sample: dict = {"file_name": video}

    def prepared():
        for frame, motion in pairs:
            sample.update(height=frame.shape[0], width=frame.shape[1])
            yield mapper.prepare(sample, frame, motion)

    for span, found in gather(prepared(), mapper.plan.spans(count(every // 2, every))):
        yield mapper.pack([sample], found, span)


def _of_set(mapper: KeyframeMapper, dataset, clips: int) -> Iterator[dict]:
    places = [(video, frame) for video, keyframes in enumerate(dataset.keyframes) for frame in keyframes.tolist()]
    for place in np.linspace(0, len(places) - 1, min(clips, len(places))).astype(int).tolist():
        yield mapper(dataset.sample(*places[place]))
