"""Batches of clips for training: an endless stream of samples, each a pure function of (seed, position).

So it does not depend on the number of workers and resumes anywhere.
"""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from detect.data.checks import AnnotationError
from detect.utils.checkpoint_files import first_line
from detect.utils.comm import all_gather_object, end_with_parent
from detect.utils.errors import UserError
from detect.utils.files import list_bad_inputs
from detect.video.readers import FrameReadError

logger = logging.getLogger(__name__)

UNREADABLE = (FrameReadError, AnnotationError, OSError)
# While fewer have been tried, bad samples are tolerated as among this many: 20 at the default share of 2 %.
GRACE_SAMPLES = 1000
MAX_ATTEMPTS = 32  # for one position; with half of all files broken, 32 in a row fail once in 4e9


class TooManyBadSamples(UserError, RuntimeError):
    """More samples cannot be read than the configuration tolerates; the message lists the files."""


class TrainDataset(Protocol):
    """Samples to train on: dicts with `image_id` and `file_name`, which name it in messages, and the mapper's needs."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class LoaderProcessError(UserError, RuntimeError):
    """A loader process was killed, as the kernel does where memory runs out."""


@contextmanager
def explain_killed_loader() -> Iterator[None]:
    """LoaderProcessError instead of what a DataLoader raises, anywhere in this process, when its process was killed."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, UserError) or not str(error).startswith("DataLoader worker (pid"):
            raise
        raise LoaderProcessError(
            f"{first_line(error)} If this machine's memory (see dmesg) or shared memory (df /dev/shm) ran out, lower "
            "DATALOADER.NUM_WORKERS; 0 loads in the training process. Then go on with --resume"
        ) from error


def build_train_loader(
    dataset: "TrainDataset",
    mapper: Callable[[dict[str, Any], np.random.Generator], dict[str, Any]],
    batch_size_per_rank: int,
    *,
    seed: int,
    num_workers: int = 0,
    start_sample: int = 0,
    max_bad_share: float = 0.02,
    bad_inputs_file: str | Path | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> "TrainLoader":
    """An endless iterable of batches, lists of `batch_size_per_rank` dicts from `mapper(dataset[i], rng)`.

    Each epoch is a new permutation of the dataset. `start_sample` is how many samples all ranks together have
    had (iterations done x batch size x ranks): the stream goes on from there exactly. A sample that cannot be
    read is replaced, counted, logged once for each file and appended to `bad_inputs_file`; TooManyBadSamples
    is raised when more than `max_bad_share` of the samples tried (of 1000, while fewer have been tried) are
    bad.
    """
    if len(dataset) == 0:
        raise UserError("the training set has nothing to train on; see DATASETS.TRAIN and the notes of its reader")
    if batch_size_per_rank < 1 or not 0 <= max_bad_share <= 1:
        raise UserError(
            f"batch size {batch_size_per_rank}, max_bad_share {max_bad_share}; expected at least 1 and 0 to 1"
        )
    positions = _Positions(batch_size_per_rank, start_sample, rank, world_size)
    samples = _TrainSamples(dataset, mapper, seed)
    batches = DataLoader(samples, batch_sampler=positions, **worker_options(num_workers))
    return TrainLoader(batches, max_bad_share, bad_inputs_file, rank)


def _as_list(samples: list) -> list:
    return samples


def _init_worker(_: int) -> None:
    end_with_parent()  # torch's own watch waits for what is in a pipe that no one reads any more
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # they may reach the whole group of a run
        signal.signal(number, signal.SIG_IGN)  # the process that reads from this one decides when it ends
    # a forked worker inherits OpenCV's thread pool without its threads; and the workers are the parallelism
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def worker_options(num_workers: int) -> dict[str, Any]:
    """DataLoader arguments of every loader here: batches are lists, workers have one thread each; beside a GPU clips
    are in pinned memory, so that their way there goes on beside the computation.
    """
    pinned = torch.cuda.is_available()
    return {"num_workers": num_workers, "collate_fn": _as_list, "worker_init_fn": _init_worker, "pin_memory": pinned}


class _Positions:
    """Batches of positions in the stream of samples; consecutive ones go to different ranks."""

    def __init__(self, batch_size: int, start: int, rank: int, world_size: int):
        self.batch_size, self.start, self.rank, self.world_size = batch_size, start, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        position = self.start + self.rank
        while True:
            yield [position + i * self.world_size for i in range(self.batch_size)]
            position += self.batch_size * self.world_size


class _TrainSamples(Dataset):
    """Position in the stream -> (mapped sample, or None, and the failures on the way to it)."""

    def __init__(self, dataset: "TrainDataset", mapper: Callable, seed: int):
        self.dataset, self.mapper, self.seed = dataset, mapper, seed
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def index_at(self, position: int) -> int:
        epoch, place = divmod(position, len(self.dataset))
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        return int(self.order[place])

    def __getitem__(self, position: int) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
        # three numbers, so that no position repeats the generator of an epoch
        rng = np.random.default_rng([self.seed, position, 1])
        index, failures = self.index_at(position), []
        for _ in range(MAX_ATTEMPTS):
            sample = self.dataset[index]
            try:
                return self.mapper(sample, rng), failures
            except UNREADABLE as error:
                failures.append((sample["file_name"], f"{sample['image_id']}: {error}"))
            # drawn aside, not from the stream, so that resuming needs no memory of failures
            index = int(rng.integers(len(self.dataset)))
        return None, failures


class TrainLoader:
    """See `build_train_loader`. `seen` and `bad` count the samples tried and those that could not be read."""

    def __init__(
        self, batches: DataLoader, max_bad_share: float, bad_inputs_file: str | Path | None = None, rank: int = 0
    ):
        self._batches, self.max_bad_share, self._rank = batches, max_bad_share, rank
        self._bad_inputs_file = Path(bad_inputs_file) if bad_inputs_file else None
        self.seen = self.bad = 0
        self._bad_files: dict[str, str] = {}  # file -> its first message

    def state_dict(self) -> dict[str, list[int]]:
        """The counters of every rank; call it on all."""
        ranks = all_gather_object((self.seen, self.bad))
        return {"seen": [seen for seen, _ in ranks], "bad": [bad for _, bad in ranks]}

    def load_state_dict(self, state: dict[str, list[int]]) -> None:
        """Count on from `state`; ValueError if it is not one. A rank that it does not know begins at 0."""
        counts = [state["seen"], state["bad"]]
        if not all(isinstance(n, int) and n >= 0 for numbers in counts for n in numbers):
            raise ValueError(f"counts of samples are {counts}, not numbers from 0")
        self.seen, self.bad = (numbers[self._rank] if self._rank < len(numbers) else 0 for numbers in counts)

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        with explain_killed_loader():
            yield from self._checked()

    def _checked(self) -> Iterator[list[dict[str, Any]]]:
        for batch in self._batches:
            for sample, failures in batch:
                self.seen += len(failures) + (sample is not None)
                self.bad += len(failures)
                for file, message in failures:
                    self._report(file, f"skipped {message}")
                for file, _, message in length_messages(sample) if sample else ():
                    self._report(file, message)
                if sample is None or self.bad > self.max_bad_share * max(self.seen, GRACE_SAMPLES):
                    raise self._too_many()
            yield [sample for sample, _ in batch]

    def _report(self, file: str, message: str) -> None:
        if file in self._bad_files:
            return
        self._bad_files[file] = message
        logger.warning("%s", message)
        if self._bad_inputs_file:
            list_bad_inputs(self._bad_inputs_file, [(file, message)])

    def _too_many(self) -> TooManyBadSamples:
        shown = list(self._bad_files.values())[:20]
        more = [f"... and {len(self._bad_files) - len(shown)} more files"] if len(self._bad_files) > len(shown) else []
        return TooManyBadSamples(
            "\n  ".join(
                [
                    f"{self.bad} of {self.seen} training samples cannot be read; tolerated is a share of "
                    f"{self.max_bad_share} (of {GRACE_SAMPLES} at least). Repair these, or raise the share:",
                    *shown,
                    *more,
                ]
            )
        )


def length_messages(sample: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
    """(file, its number of frames or images, what to say of it) where a video decodes to another number of frames than
    annotated, or where its flow images are of another number.
    """
    said = sample.get("num_frames")
    annotated = f"the annotation of {sample.get('video')} says {said}"
    if sample.get("decoded_frames", said) != said:
        path, count = sample["file_name"], sample["decoded_frames"]
        yield path, count, f"{path}: {count} frames decode, {annotated}"
    if "flow_images" in sample:
        folder, count = sample["flow_folder"], sample["flow_images"]
        yield folder, count, f"{folder}: {count} flow images, for {said} frames there should be {said - 1}; {annotated}"
