"""Which videos a folder tree or a list file names."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect.utils.errors import UserError
from detect.utils.files import read_text
from detect.video.readers import IMAGE_NAME, VIDEO_SUFFIXES, MissingMediaError


def find_videos(source: str | Path, root: str | Path | None = None, skip: Iterable[Path] = ()) -> dict[str, Path]:
    """Relative path without extension -> video file or frame folder, in order of the paths.

    `source`: a folder tree (video files by their extension, folders that hold numbered images; links are followed,
    what several lead to is taken once, under its own name if that is in the tree; hidden folders and those of `skip`
    are not entered), a video file, or a list: a text file with one path a line, relative to `root` (the list's folder
    unless given), a label after it allowed. What a list names is returned also if it is not there.
    Raises MissingMediaError if there is no `source`, UserError if it holds no video or two would have the same name.
    """
    source = Path(source)
    if not os.path.exists(source):
        raise MissingMediaError(f"{source}: there is no such folder, video file or list")
    if source.is_file() and source.suffix.lower() not in VIDEO_SUFFIXES:
        root, paths = Path(root or source.parent), _listed(source, Path(root or source.parent))
    else:
        paths = list(_below(source, skip)) if source.is_dir() else [source]
        root = source if source.is_dir() and paths != [source] else source.parent
    found: dict[str, Path] = {}
    for path in sorted(paths):
        name = _relative_name(path, root)
        if found.setdefault(name, path) != path:
            raise UserError(f"{found[name]} and {path} would both become {name}; rename one")
    if not found:
        raise UserError(
            f"{source}: no video; expected files {' '.join(sorted(VIDEO_SUFFIXES))}, folders of 00001.jpg, 00002.jpg, "
            "... or a text file that lists them"
        )
    return found


def _below(top: Path, skip: Iterable[Path]) -> Iterator[Path]:
    """Links come after all else, so that they lead nowhere twice and a circle of them ends."""
    seen = set(map(os.path.realpath, skip)) - {os.path.realpath(top)}

    def is_new(path: Path) -> bool:
        real = os.path.realpath(path)
        return not (real in seen or seen.add(real))

    starts, linked = deque([top]), []
    while starts:
        for folder, folders, files in os.walk(starts.popleft()):
            here = Path(folder)
            if not is_new(here):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if name[0] != ".")
            videos = [name for name in sorted(files) if name[0] != "." and Path(name).suffix.lower() in VIDEO_SUFFIXES]
            if not videos and any(IMAGE_NAME.fullmatch(name) for name in files):
                folders.clear()
                yield here
            starts.extend(here / name for name in folders if (here / name).is_symlink())
            linked += [here / name for name in videos if (here / name).is_symlink()]
            yield from (here / name for name in videos if not (here / name).is_symlink() and is_new(here / name))
    yield from filter(is_new, linked)


def _listed(file: Path, root: Path) -> list[Path]:
    paths = []
    for line in read_text(file).splitlines():
        if line := line.strip():
            whole, before_label = root / line, root / line.rsplit(None, 1)[0]
            named = whole.suffix.lower() in VIDEO_SUFFIXES or os.path.exists(whole)  # Path.exists fails for a long line
            paths.append(whole if named else before_label)
    return list(dict.fromkeys(paths))


def _relative_name(path: Path, root: Path) -> str:
    name = os.path.relpath(path, root)
    if name.startswith(".."):
        raise UserError(f"{path} is not below {root}; give the folder that all are below as --root")
    return name if os.path.isdir(path) or path.suffix.lower() not in VIDEO_SUFFIXES else os.path.splitext(name)[0]
