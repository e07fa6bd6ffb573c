"""The share of one process of many in jobs that do not depend on each other, on one machine or several."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect.utils.errors import UserError

LEGAL = "give i/n with 1 <= i <= n, such as 3/8"


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count`, counted from 1. UserError for one that does not exist."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UserError(f"shard {self.index}/{self.count}: {LEGAL}")

    def of(self, items: Sequence[Any]) -> list[Any]:
        """Every `count`-th from the `index`-th on: each item is in one share, and no two differ by more than one."""
        return list(items[self.index - 1 :: self.count])

    def name(self, name: str) -> str:
        """The name of this share's own file beside those of the others: bad.txt -> bad_3_of_8.txt."""
        path = Path(name)
        return name if self.count == 1 else f"{path.stem}_{self.index}_of_{self.count}{path.suffix}"


WHOLE = Shard()


def torchrun_processes() -> int:
    """How many processes torchrun started, on all machines; 1 where it did not start this one."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def this_shard(text: str | None) -> Shard:
    """What --shard says; without it the rank of this process among those that torchrun started, or all of the work.

    UserError for another text than i/n, and for --shard in processes that torchrun started: all would do the same.
    """
    world = torchrun_processes()
    if text is None:
        return WHOLE if world == 1 else Shard(int(os.environ["RANK"]) + 1, world)
    if world > 1:
        raise UserError(
            f"--shard {text} under torchrun, which gives each of its {world} processes a share; leave it out"
        )
    if not (match := re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)):
        raise UserError(f"--shard {text}: {LEGAL}")
    return Shard(int(match[1]), int(match[2]))
