"""Names that files give: of videos, under which results are written, and lists in which none may be there twice."""

from collections.abc import Hashable, Iterable
from pathlib import PurePosixPath


def safe_name(name: str, empty: str = "video") -> str:
    """A video's name without what leads out of a folder, such as / at its start or .. in it; `empty` if none is left.

    "../a//b/" gives "a/b".
    """
    kept = "/".join(part for part in PurePosixPath(name).parts if part.strip("/") not in ("", ".."))
    return kept if kept.strip() else empty


def repeated(names: Iterable[Hashable]) -> Hashable | None:
    """The first name that is there a second time; None where all differ."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
