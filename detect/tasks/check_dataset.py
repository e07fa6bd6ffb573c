"""What `tools/check_dataset.py` does: whether the copies of sets are complete."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from tqdm import tqdm

from detect.classification.catalog import LIST, load_video_set, video_set_names
from detect.d2 import DatasetCatalog
from detect.data.catalog import (
    OWN_JSON,
    is_own,
    load_action_dataset,
    own_file,
    own_form,
    set_datasets_root,
    unknown_set,
)
from detect.data.completeness import (
    Problem,
    annotation_problems,
    count_problems,
    counts_of,
    flow_problems,
    harmless_notes,
    tube_problems,
    video_problems,
)
from detect.data.own_json import problems_of
from detect.data.published import PUBLISHED, Counts
from detect.data.records import ActionDataset
from detect.tasks.model_labels import left_out
from detect.utils.download import cache_folder
from detect.utils.errors import UserError
from detect.utils.files import signature, write_json
from detect.utils.processes import WorkerKilledError, in_processes
from detect.utils.provenance import code_version
from detect.utils.tables import text_table
from detect.video.media_facts import FactsCache, MediaFacts, look_at

PARTS = r"(split\d_)?(train|test|val)"  # of a set, in the order of DATASETS
MOST_LINES = 10  # of one kind
HEADINGS = ("set", "videos", "frames", "with a box", "boxes", "tubes", "classes")


@dataclass
class Checked:
    """One set: what it has, what is wrong with it, and what else is to be known."""

    name: str
    counts: Counts
    problems: list[Problem]
    notes: list[str]
    classes: tuple[str, ...] = ()  # of one's own set


def check_datasets(
    names: Sequence[str],
    *,
    root: str = "",
    decode: bool = True,
    workers: int | None = None,
    json_file: str | None = None,
) -> None:
    """See tools/check_dataset.py. Exit status 1 if anything is wrong; UserError for a name that no set has."""
    set_datasets_root(root)
    checker = Checker(decode, workers or os.cpu_count() or 1)
    found = [checker.check(name) for given in names for name in expand(given)]
    for checked in found:
        print_some((f"note: {checked.name}: {note}", f"notes on {checked.name}") for note in checked.notes)
    problems = list(dict.fromkeys(problem for checked in found for problem in checked.problems))  # splits share videos
    problems += other_classes(found)
    print_some((str(problem), f"of {problem.what}") for problem in problems)
    print(count_table(found))
    if json_file:
        write_json(json_file, as_json(found, problems, decode))
    if problems:
        kinds = Counter(problem.what for problem in problems)
        print("by kind: " + ", ".join(f"{what} {count}" for what, count in kinds.most_common()))
        print(f"{len(problems)} problems" if len(problems) > 1 else "1 problem")
        raise SystemExit(1)
    verdict = "no problems" if all(is_own(name) for name in names) else "this copy is complete"
    print(verdict + ("" if decode else ", as far as can be told without decoding"))


def print_some(lines: Iterable[tuple[str, str]]) -> None:
    """(line, its kind): at most MOST_LINES of a kind, then how many more there are."""
    counts: Counter[str] = Counter()
    for line, kind in lines:
        counts[kind] += 1
        if counts[kind] <= MOST_LINES:
            print(line)
    for kind, count in counts.items():
        if count > MOST_LINES:
            print(f"and {count - MOST_LINES} more {kind}; --json FILE lists all")


def other_classes(found: Sequence[Checked]) -> Iterator[Problem]:
    """Files of one's own that are of one model: the classes that one has and the first, of the training, has not."""
    first, *others = [checked for checked in found if checked.classes] or [None]
    for checked in others:
        if unknown := left_out(checked.classes, first.classes):
            named = ", ".join(map(repr, unknown))
            yield Problem(checked.name, "classes", f"are others than those of {first.name}, which has no {named}")


def expand(name: str) -> list[str]:
    """The sets that a name stands for: `ucf24` for ucf24_train and ucf24_test. UserError where there are none."""
    known = [*DatasetCatalog.list(), *video_set_names()]
    if is_own(name) or name.startswith(LIST) or name in known:
        return [name]
    parts = [other for other in known if re.fullmatch(re.escape(name) + "_" + PARTS, other)]
    if not parts:
        groups = {re.sub(f"_{PARTS}$", "", other) for other in known}
        raise UserError(unknown_set(name, [*groups, *known]))
    return sorted(parts, key=lambda part: part.rpartition("_")[0])


class Checker:
    """Checks one set after the other; a video that several have is decoded once."""

    def __init__(self, decode: bool, workers: int):
        self.decode, self.workers = decode, workers
        self._cache = FactsCache(cache_folder() / "media_facts.json")
        self._facts: dict[str, MediaFacts] = {}

    def check(self, name: str) -> Checked:
        """What is wrong with a set; an annotation that is missing or damaged is one problem."""
        try:
            if is_own(name) and own_form(name) == OWN_JSON:
                return self._own(name)
            if name in video_set_names() or name.startswith(LIST):
                return self._classification(name)
            return self._detection(load_action_dataset(name))
        except WorkerKilledError:
            raise
        except UserError as error:
            return Checked(name, Counts(), [Problem(name, "annotation", one_line(error).removeprefix(f"{name}: "))], [])

    def _detection(self, dataset: ActionDataset) -> Checked:
        counts, published = counts_of(dataset), PUBLISHED.get(dataset.name, Counts())
        problems = [*count_problems(dataset.name, counts, published), *annotation_problems(dataset)]
        problems += tube_problems(dataset)
        facts = self._decoded(dataset.name, [video.path for video in dataset.videos])
        for video in dataset.videos:
            problems += video_problems(video, facts.get(video.path))
        problems += flow_problems(dataset)
        return Checked(dataset.name, counts, problems, harmless_notes(dataset))

    def _own(self, name: str) -> Checked:
        errors, warnings = problems_of(own_file(name), self.decode)
        if errors:
            return Checked(name, Counts(), [Problem(name, "error", error) for error in errors], warnings)
        dataset = load_action_dataset(name)
        problems = [*tube_problems(dataset), *flow_problems(dataset)]
        return Checked(name, counts_of(dataset), problems, warnings, dataset.classes)

    def _classification(self, name: str) -> Checked:
        """The list against the files: those that are not there, and those that do not decode to their end."""
        found = load_video_set(name)
        counts = Counts(videos=len(found.items) + len(found.missing), classes=len(found.classes))
        problems = list(count_problems(name, counts, PUBLISHED.get(name, Counts())))
        problems += [Problem(f"{name}: {video}", "media", "missing") for video in found.missing]
        facts = self._decoded(name, [item.path for item in found.items])
        bad = {path: about.problem for path, about in facts.items() if about.problem}
        problems += [Problem(path, "media", f"unreadable ({reason})") for path, reason in bad.items()]
        return Checked(name, counts, problems, [note for note in found.notes if "not found" not in note])

    def _decoded(self, name: str, paths: Sequence[str]) -> dict[str, MediaFacts]:
        """The facts of those videos that are there; {} without decoding."""
        if not self.decode:
            return {}
        if todo := dict(self._not_known(paths)):
            bar = tqdm(desc=f"decoding {name}", total=len(todo), unit="video")
            jobs = ((path,) for path in todo)
            try:
                with bar, closing(in_processes(look_at, jobs, min(self.workers, len(todo)))) as results:
                    for (path,), facts in results:
                        self._facts[path] = facts
                        self._cache.add(path, todo[path], facts)
                        bar.update()
            except WorkerKilledError as error:
                raise WorkerKilledError(f"{error}; --workers 1 says at which; what is decoded is kept") from None
            finally:
                self._cache.save()
        return {path: self._facts[path] for path in paths if path in self._facts}

    def _not_known(self, paths: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
        for path in paths:
            if path in self._facts:
                continue
            try:
                signed = signature(path)
            except OSError:  # not there
                continue
            if (facts := self._cache.get(path, signed)) is not None:
                self._facts[path] = facts
            else:
                yield path, signed


def one_line(error: UserError) -> str:
    """A message without its line breaks; places that are listed, one a line, with commas."""
    text = re.sub(r"looked for\n  (?=\S)", "looked for ", str(error))
    return " ".join(re.sub(r"\n  (?=\S)", ", ", text).replace("\n", "; ").split())


def count_table(found: Sequence[Checked]) -> str:
    """A row for each set, and one with the published numbers below it; a number that is another is marked."""
    rows = []
    for checked in found:
        published = PUBLISHED.get(checked.name)
        known = published or Counts()
        marks = [" (!)" if None not in (v, e) and v != e else "" for v, e in zip(checked.counts, known, strict=True)]
        rows.append((checked.name, *(f"{_cell(v)}{mark}" for v, mark in zip(checked.counts, marks, strict=True))))
        rows += [("published", *map(_cell, published))] if published else []
    return text_table(rows, HEADINGS)


def _cell(value: int | None) -> str:
    return "-" if value is None else f"{value}"


def as_json(found: Sequence[Checked], problems: Sequence[Problem], decode: bool) -> dict:
    """What --json writes."""
    sets = {
        checked.name: {
            "counts": checked.counts._asdict(),
            "published": PUBLISHED.get(checked.name, Counts())._asdict(),
            "notes": checked.notes,
        }
        for checked in found
    }
    listed = [problem._asdict() for problem in problems]
    return {"complete": not problems, "decoded": decode, "sets": sets, "problems": listed, **code_version()}
