"""Videos that a file names otherwise than the ground truth: `v_Rise_02` for `Rise/v_Rise_02`."""

import difflib
from collections import defaultdict
from collections.abc import Sequence

EXAMPLES = 3  # in a note


def matched_names(names: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """`names` with those that `known` lacks in its words, where they are the end of just one of its names after a
    slash; and a note that says so, if any.
    """
    there = set(known)
    by_end: dict[str, list[str]] = defaultdict(list)
    for name in there:
        for place, letter in enumerate(name):
            if letter == "/":
                by_end[name[place + 1 :]].append(name)
    meant = [by_end[name][0] if name not in there and len(by_end.get(name, ())) == 1 else name for name in names]
    changed = [f"{name!r} as {other!r}" for name, other in zip(names, meant, strict=True) if name != other]
    more = ", ..." if len(changed) > EXAMPLES else ""
    note = f"{len(changed)} video names matched by their last part: {', '.join(changed[:EXAMPLES])}{more}"
    return meant, [note] if changed else []


def coverage_note(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """A note, if any, on a file about one video: in all others every truth is missed."""
    if len(set(names)) != 1 or len(known) < 2:
        return []
    return [f"detections in 1 of {len(known)} videos; every truth of the others counts as missed"]


def suggestion(name: str, known: Sequence[str]) -> str:
    """`did you mean 'Rise/v_Rise_02'?`, or an example of a name."""
    ends = {other.rpartition("/")[2]: other for other in known}
    close = difflib.get_close_matches(name, known, 1) or difflib.get_close_matches(name.rpartition("/")[2], ends, 1)
    return f"did you mean {ends.get(close[0], close[0])!r}?" if close else f"such as {next(iter(known))!r}"
