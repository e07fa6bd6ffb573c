"""Write the lists and the empty media of small video sets: what a reader looks at is names."""

from pathlib import Path


def touch(root: Path, *names: str) -> None:
    """Empty files, or folders where the name ends in a slash."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(parents=True) if name.endswith("/") else path.touch()


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def listed(video_set) -> dict[str, tuple[str, str | None]]:
    """{name: (file or folder found, class)}."""
    classes = video_set.classes
    return {v.name: (Path(v.path).name, None if v.label is None else classes[v.label]) for v in video_set.items}
