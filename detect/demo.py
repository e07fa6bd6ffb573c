"""What `tools/demo.py` does: a video in, a drawn video and a list of detections out."""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
from tqdm import tqdm

from detect.config import load_cfg
from detect.d2 import CfgNode, Instances
from detect.engine.checkpoint import ActionCheckpointer
from detect.files import atomic_file
from detect.modeling import build_model
from detect.stream import detect_stream
from detect.video.readers import iter_frames
from detect.visualize import VideoWriter, draw_instances
from detect.weights import CheckpointError, read_checkpoint

DEFAULT_FPS = 25.0  # of a folder of frames, or a container that does not say


def run_demo(args: argparse.Namespace) -> None:
    """See the docstring of tools/demo.py. ValueError, FrameReadError or CheckpointError for bad input."""
    if not (args.output or args.json):
        raise ValueError("nothing to write: give --output VIDEO, --json FILE or both")
    if args.every < 1 or args.batch_size < 1:
        raise ValueError(f"--every {args.every} --batch-size {args.batch_size}: both must be at least 1")
    cfg = load_cfg(args.config_file, args.opts)
    model, classes = load_detector(cfg, args.weights)
    fps, about = container_facts(args.input)
    frames = tqdm(iter_frames(args.input, threads=0), Path(args.input).name, about, unit="frame")
    detections = detect_stream(
        model, frames, cfg.INPUT.NUM_FRAMES, cfg.INPUT.SIZE, every=args.every, batch_size=args.batch_size
    )
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(args.output, fps)) if args.output else None
        listing = stack.enter_context(json_listing(args.json, args.input, fps, classes)) if args.json else None
        for k, frame, found in detections:
            found = found[found.scores >= args.threshold]
            if listing:
                listing(k, found)
            if video:
                video.write(draw_instances(frame.copy(), found, classes))
    for path in filter(None, (args.output, args.json)):
        print(path)


def load_detector(cfg: CfgNode, path: str) -> tuple:
    """The model of a config with a checkpoint's weights, in evaluation mode, and the checkpoint's class names."""
    classes = read_checkpoint(path).get("tag", {}).get("classes")
    if classes is None:
        classes = [f"class {i}" for i in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)]
    if len(classes) != cfg.MODEL.ROI_HEADS.NUM_CLASSES:
        raise CheckpointError(
            f"{path}: has {len(classes)} classes, the config's MODEL.ROI_HEADS.NUM_CLASSES is "
            f"{cfg.MODEL.ROI_HEADS.NUM_CLASSES}; give the config it was trained with (config.yaml beside it)"
        )
    model = build_model(cfg, initial_weights=False).eval()
    ActionCheckpointer(model).load(path, checkpointables=[])
    return model, classes


def container_facts(path: str) -> tuple[float, int | None]:
    """Frames a second, and about how many frames there are, as the header says; only for playing and for progress."""
    if not os.path.isfile(path):
        return DEFAULT_FPS, None
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    fps, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return (fps if 0 < fps < 1000 else DEFAULT_FPS), (count if count > 0 else None)


@contextmanager
def json_listing(
    path: str, video: str, fps: float, classes: Sequence[str]
) -> Iterator[Callable[[int, Instances], None]]:
    """Gives `add(frame, detections)`, called once a frame in order; the file appears when the block ends."""
    with atomic_file(path) as file:
        head = json.dumps({"video": str(video), "fps": fps, "classes": list(classes)})
        file.write(f'{head[:-1]}, "frames": ['.encode())
        separator = "\n"

        def add(frame: int, found: Instances) -> None:
            nonlocal separator
            columns = (found.pred_boxes.tensor.tolist(), found.pred_classes.tolist(), found.scores.tolist())
            detections = [
                {"box": [round(v, 2) for v in box], "label": classes[label], "score": round(score, 4)}
                for box, label, score in zip(*columns, strict=True)
            ]
            item = {"frame": frame, "time": round(frame / fps, 3), "detections": detections}
            file.write((separator + json.dumps(item)).encode())
            separator = ",\n"

        yield add
        file.write(b"\n]}\n")
