"""What `tools/publish_model.py` does."""

import os

import torch

from detect.utils.checkpoint_files import RUN_STATES, CheckpointError, read_checkpoint
from detect.utils.files import atomic_file, hash_files

ONLY_TO_RESUME = (*RUN_STATES, "samples")  # how many samples were read


def publish(checkpoint: str, output: str) -> None:
    """See the docstring of tools/publish_model.py. CheckpointError for a file without weights or config."""
    contents = read_checkpoint(checkpoint)
    if missing := [key for key in ("model", "config") if key not in contents]:
        raise CheckpointError(
            f"{checkpoint}: has no {' and no '.join(missing)}; expected a checkpoint of tools/train_net.py or "
            "tools/train_classifier.py, such as output/quickstart/model_final.pth"
        )
    kept = {key: value for key, value in contents.items() if key not in ONLY_TO_RESUME}
    with atomic_file(output) as file:
        torch.save(kept, file)
    sizes = [f"{os.path.getsize(path) / 1e6:.1f} MB" for path in (checkpoint, output)]
    print(f"{checkpoint}: {sizes[0]}\n{output}: {sizes[1]}, sha256 {hash_files(output)}")
