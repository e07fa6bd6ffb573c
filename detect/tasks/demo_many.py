"""The demo over many videos: each with files of its own, to be stopped and gone on with at any time."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detect.tasks.demo_input import FileInput
from detect.tasks.demo_output import PLACE, Outputs
from detect.tasks.many_videos import claim_folder, leave_with_status, report_videos
from detect.utils.errors import UserError
from detect.utils.files import refuse_to_overwrite
from detect.utils.shards import Shard
from detect.video.inputs import find_videos
from detect.video.readers import FrameReadError

MANY = "a folder or list of videos, and each file to write as FOLDER/{}.SUFFIX, such as drawn/{}.mp4"


class ManyVideos:
    """The shard's part of a folder tree or list of videos, see `find_videos`. UserError where the files that are wanted
    are not of each video, or would be taken for inputs.
    """

    def __init__(self, source: str, wanted: Outputs, shard: Shard):
        files = wanted.files()
        wrong = [f"{option} {path}" for option, path in files.items() if not _has_place(path)]
        if wrong or wanted.show:
            raise UserError(f"{(wrong or ['--show'])[0]}: is of one video; for many give {MANY}")
        self.folders = list(dict.fromkeys(Path(path).parent for path in files.values()))
        if wanted.output and os.path.realpath(Path(wanted.output).parent) == os.path.realpath(source):
            raise UserError(f"--output {wanted.output}: the next run would take it for an input; give another folder")
        found = list(find_videos(source, skip=self.folders).items())
        self.videos = {path: wanted.of(name) for name, path in shard.of(found)}
        for path, own in self.videos.items():
            refuse_to_overwrite({"--input": str(path), **own.files()})
        self.shard = shard

    def look_at_all(
        self, look: Callable[[FileInput, Outputs], FrameReadError | None], made_with: Mapping[str, Any]
    ) -> None:
        """Look at each video that lacks one of its files. A video that cannot be read to its end leaves none, and the
        exit status is 1. made_with: what the files depend on.
        """
        for folder in self.folders:
            claim_folder(folder, made_with, "results")
        todo = {path: own for path, own in self.videos.items() if not all(map(os.path.exists, own.files().values()))}
        bad: dict[str, str] = {}
        for path, own in todo.items():
            try:
                with FileInput(str(path)) as source:
                    look(source, own)
            except FrameReadError as error:
                bad[str(path)] = str(error)
        report_videos(self.folders[0], self.shard, len(self.videos), len(todo), bad)
        leave_with_status(bad)


def _has_place(path: str) -> bool:
    return path.count(PLACE) == 1 and Path(path).name.startswith(f"{PLACE}.")
