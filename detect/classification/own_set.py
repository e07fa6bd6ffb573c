"""A detection set of one's own, `json:FILE`, as a classification set: videos with the one class of all their tubes."""

import os
from dataclasses import replace

from detect.classification.annotations import Listing
from detect.classification.locate import make_set
from detect.classification.records import VideoSet
from detect.data.catalog import load_action_dataset
from detect.data.checks import AnnotationError, Notes


def load_own(name: str, *, modality: str = "rgb") -> VideoSet:
    """The videos of `json:FILE` or a part of it, see `detect.data.catalog`; the classes are the file's. Videos without
    tubes or with tubes of several classes are left out and noted.

    Raises AnnotationError where no video has one class, and the errors of `load_action_dataset`.
    """
    dataset, notes = load_action_dataset(name), Notes()
    listing, places = Listing(dataset.classes), {}
    for video in dataset.videos:
        labels = {dataset.classes[label]: None for label in sorted({tube.label for tube in video.tubes})}
        if len(labels) == 1:
            listing.add(video.name, *labels, name)
            places[video.name] = video.path if modality == "rgb" else video.flow
        else:
            kind = "of several classes" if labels else "without tubes"
            notes.add(f"videos left out, {kind}", f"{video.name} ({', '.join(labels)})" if labels else video.name)
    if not places:
        why = "; ".join(notes.lines()) or "it has none"
        raise AnnotationError(f"{name}: no video whose tubes are of one class: {why}")
    there = os.path.exists if modality == "rgb" else os.path.isdir

    def find(video: str) -> str | None:
        return places[video] if there(places[video]) else None

    looked = "where the file says" if modality == "rgb" else "as flow, where the file says or in flow/"
    found = make_set(name, listing, find, modality=modality, files=(), looked=looked, notes=notes)
    return replace(found, annotation_hash=dataset.annotation_hash, notes=(*dataset.notes, *found.notes))
