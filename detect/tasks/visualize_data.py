"""What `tools/visualize_data.py` does: draw what the model gets from a set, or the whole set on one page."""

import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.data.catalog import set_datasets_root
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import KeyframeDataset, VideoRecord
from detect.data.train_stream import build_train_loader
from detect.tasks.sets import for_training, is_for_tests, keyframe_set
from detect.utils.errors import UserError
from detect.utils.files import write_text
from detect.video.readers import FrameReadError, printable, read_frames
from detect.video.transforms import Window
from detect.video.windows import clip_indices
from detect.visualization.clip_sheet import ClipView, clip_sheet, stacked
from detect.visualization.contact_sheet import Shown, chosen_frames, contact_sheet, drawn
from detect.visualization.drawing import save_image

PAGES = (".html", ".htm")
PICTURES = (".png", ".jpg", ".jpeg")
COUNT = 4  # samples on a picture unless told
COMPLAINTS = 10  # unreadable videos that are named


def visualize_data(
    name: str,
    output: str,
    *,
    index: Sequence[int] = (),
    video: str = "",
    frame: int | None = None,
    count: int | None = None,
    seed: int = 0,
    train: bool | None = None,
    flow: bool = False,
    config_file: str = "",
    opts: Sequence[Any] = (),
) -> None:
    """See tools/visualize_data.py. train: None for what the set's name says. Exit status 1 if a video of a page cannot
    be read; UserError for bad arguments.
    """
    if count is not None and count < 1:
        raise UserError(f"--count {count}: at least 1")
    if not output.lower().endswith((*PAGES, *PICTURES)):
        raise UserError(f"--output {output}: the name must end in {', '.join(PICTURES)} (a picture) or .html (a page)")
    cfg = load_cfg(config_file, opts)
    cfg = cfg.changed(["MODEL.STREAMS", ("rgb", "flow")]) if flow else cfg
    set_datasets_root(cfg.DATASETS.ROOT)
    train = not is_for_tests(name) if train is None else train
    dataset = for_training(keyframe_set(name)) if train else keyframe_set(name)
    chosen = chosen_keyframes(dataset, index, video, frame)
    if Path(output).suffix.lower() in PAGES:
        if chosen:
            raise UserError(f"--output {output} is a page of whole videos; --index and --video are for a picture, .png")
        write_page(dataset, output, count, seed)
        return
    items = islice(mapped(cfg, dataset, chosen, count or COUNT, seed, train), len(chosen) or count or COUNT)
    sheets = [clip_sheet(view(dataset, item, cfg.INPUT.FRAME_STEP), dataset.classes) for item in items]
    save_image(output, stacked(sheets))
    print(f"{len(sheets)} keyframes of {dataset.name}, {'with' if train else 'without'} augmentation: {output}")


def chosen_keyframes(
    dataset: KeyframeDataset, index: Sequence[int], video: str, frame: int | None
) -> list[tuple[int, int]]:
    """(video, frame) of the keyframes that were asked for. UserError for those that are not there."""
    if not len(dataset):
        notes = "; ".join(dataset.dataset.notes)
        raise UserError(f"{dataset.name} has no keyframes" + (f"; its reader says: {notes}" if notes else ""))
    for i in index:
        if not 0 <= i < len(dataset):
            raise UserError(f"--index {i}: {dataset.name} has {len(dataset)} keyframes, 0 to {len(dataset) - 1}")
    places = [dataset.place(i) for i in index]
    if not video:
        if frame is not None:
            raise UserError(f"--frame {frame} of which video? Give --video too")
        return places
    names = [record.name for record in dataset.dataset.videos]
    if video not in names:
        close = difflib.get_close_matches(video, names, cutoff=0.3) or names[:3]
        raise UserError(f"--video {video}: {dataset.name} has no such video; it has {', '.join(close)}, ...")
    number = names.index(video)
    record, keyframes = dataset.dataset.videos[number], dataset.keyframes[number]
    if frame is None:
        frame = int(keyframes[len(keyframes) // 2]) if len(keyframes) else record.num_frames // 2
    if not 0 <= frame < record.num_frames:
        raise UserError(f"--frame {frame}: {video} has the frames 0 to {record.num_frames - 1}")
    return [*places, (number, frame)]


def mapped(
    cfg: CfgNode, dataset: KeyframeDataset, chosen: Sequence[tuple[int, int]], count: int, seed: int, train: bool
) -> Iterator[dict[str, Any]]:
    """The keyframes as the mapper gives them, with their `annotations`: the chosen ones; else of a training those that
    a run with SEED `seed` sees, without end, and of a test `count` evenly spread ones.
    """
    mapper = KeyframeMapper.from_config(cfg, is_train=train)

    def with_annotations(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return {**mapper(sample, rng), "annotations": sample["annotations"]}

    if chosen or not train:
        spread = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
        for place in chosen or [dataset.place(i) for i in spread]:
            yield with_annotations(dataset.sample(*place), np.random.default_rng([seed, *place]))
    else:
        for (item,) in build_train_loader(dataset, with_annotations, 1, seed=seed):
            yield item


def view(dataset: KeyframeDataset, item: dict[str, Any], step: int = 1) -> ClipView:
    """The tensors of a mapped keyframe, frames `step` apart, as pictures again, with what is known of them."""
    frames = item["clip"].numpy()
    usable = min(item.get("decoded_frames", item["num_frames"]), item.get("flow_images", item["num_frames"]) + 1)
    count, speed = min(usable, item["num_frames"]), step * item.get("speed", 1.0)
    indices = clip_indices(item["frame_index"], count, len(frames), speed).tolist()
    if "instances" in item:
        boxes, labels = item["instances"].gt_boxes.tensor.numpy(), item["instances"].gt_classes.tolist()
    else:
        given = np.array([a["bbox"] for a in item["annotations"]], np.float64).reshape(-1, 4)
        boxes = Window(0, 0, item["width"], item["height"]).map_boxes(given, frames.shape[1:3])
        labels = [a["category_id"] for a in item["annotations"]]
    title = (
        f"{dataset.name}: {item['video']}, keyframe {item['frame_index']} of {item['num_frames']} frames",
        "; ".join([f"frames {indices[0]} to {indices[-1]}", *_changes(item, len(labels))]),
    )
    flow = item["flow"].numpy() if "flow" in item else None
    return ClipView(frames, indices, len(frames) // 2, boxes, labels, title, flow)


def _changes(item: dict[str, Any], boxes: int) -> Iterator[str]:
    """What was done to a keyframe, in words."""
    height, width = item["clip"].shape[1:3]
    yield f"{item['width']} x {item['height']} resized to {width} x {height}"
    if "view" in item:
        yield "mirrored" if item["mirrored"] else "not mirrored"
        window = item["view"]
        if (window.width, window.height) != (item["width"], item["height"]):
            yield f"zoom {item['width'] / window.width:.2f}"
        if item["speed"] != 1:
            yield f"speed {item['speed']:.2f}"
        if item["new_background"]:
            yield "background replaced"
    lost = len(item["annotations"]) - boxes
    yield f"{boxes} box{'' if boxes == 1 else 'es'}" + (f", {lost} lost to the zoom" if lost else "")
    if "decoded_frames" in item:
        yield f"only {item['decoded_frames']} frames decode"
    if "flow_images" in item:
        yield f"{item['flow_images']} flow images"


def write_page(dataset: KeyframeDataset, output: str, count: int | None, seed: int) -> None:
    """The contact sheet of all videos, or of `count` drawn with `seed`."""
    videos = dataset.dataset.videos
    numbers = list(range(len(videos)))
    if count is not None and count < len(videos):
        numbers = sorted(np.random.default_rng(seed).choice(len(videos), count, replace=False).tolist())
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders leave the interpreter to others
        found = pool.map(lambda number: _shown(number, videos[number]), numbers)
        shown = list(tqdm(found, "reading frames", len(numbers), unit="video", disable=None))
    write_text(output, contact_sheet(dataset.dataset, shown))
    print(f"{len(shown)} of {len(videos)} videos of {dataset.name}: {output}")
    bad = [one.problem for one in shown if one.problem]
    for problem in bad[:COMPLAINTS]:
        print(f"bad input: {problem}", file=sys.stderr)
    if bad:
        more = f" ({COMPLAINTS} are named here, all on the page)" if len(bad) > COMPLAINTS else ""
        print(f"error: {len(bad)} of {len(shown)} videos cannot be read{more}", file=sys.stderr)
        raise SystemExit(1)


def _shown(number: int, video: VideoRecord) -> Shown:
    frames = chosen_frames(video)
    try:
        images = read_frames(video.path, frames)
    except FrameReadError as error:
        return Shown(number, {}, printable(error))
    return Shown(number, {k: drawn(video, k, image) for k, image in zip(frames, images, strict=True)})
