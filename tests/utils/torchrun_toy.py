"""What the processes of test_torchrun.py do: a toy training, and one in which a rank comes to its end."""

import os
import signal
import sys

import torch

from detect.engine.trainer import Trainer
from detect.utils.cli import running_tool
from detect.utils.comm import get_rank, get_world_size, launch, wrap_model
from detect.utils.errors import UserError, explain_errors
from tests.engine.engine_toy import ToyModel, toy_batches, toy_trainer


class Ending(ToyModel):
    """Rank 1 ends in its fourth step."""

    def __init__(self, how: str):
        super().__init__(noise=False)
        self.how, self.steps = how, 0

    def forward(self, batch):
        self.steps += 1
        if self.steps == 4 and get_rank() == 1:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise UserError("frame 7 is spoiled")
        return super().forward(batch)


def trainer(folder: str, model: ToyModel, max_iter: int) -> Trainer:
    """Each rank takes its items of the batches that one process takes whole."""
    batches = toy_batches(size=4, start=get_rank(), step=get_world_size())
    return toy_trainer(folder, model=wrap_model(model), batches=batches, max_iter=max_iter)


def toy_model() -> ToyModel:
    torch.manual_seed(0)
    return ToyModel(noise=False)


@explain_errors()
def main(folder: str, how: str) -> None:
    torch.set_num_threads(1)
    trainer(folder, toy_model(), 6).train()
    trainer(f"{folder}/ended", Ending(how), 10_000).train()


def start(folder: str, how: str) -> None:
    """As a tool does."""
    with running_tool():
        launch(main, args=(folder, how))


if __name__ == "__main__":
    start(*sys.argv[1:])
