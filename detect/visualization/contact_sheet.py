"""A set of videos on one page: a card for each, with frames, boxes and the stretches of time that have boxes."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detect.data.completeness import counts_of
from detect.data.records import ActionDataset, VideoRecord
from detect.visualization.drawing import class_colour, outline
from detect.visualization.html import page, picture, text

HEIGHT = 132  # of a frame on a card
QUALITY = 78
STYLE = """
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 16px 0 8px; }
.facts b { display: block; font-size: 1.35rem; line-height: 1.2; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; position: sticky; top: 0; z-index: 1;
  background: var(--page); padding: 12px 0; border-bottom: 1px solid var(--line); margin: 24px 0 8px; }
#filter { flex: 1 1 160px; min-width: 120px; max-width: 320px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 372px), 1fr)); gap: 16px; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow);
  overflow: hidden; display: flex; flex-direction: column; }
.card header { padding: 10px 12px 8px; }
.card .name { font-weight: 600; overflow-wrap: anywhere; font-size: .93rem; line-height: 1.35; }
.card .muted { font-size: .83rem; }
.frames { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2px; background: var(--raised); }
.frames figure { margin: 0; position: relative; } .frames img { width: 100%; }
.frames figcaption { position: absolute; left: 4px; bottom: 4px; background: #000b; color: #fff; border-radius: 4px;
  padding: 0 5px; font-size: .72rem; }
.missing { padding: 22px 12px; background: var(--raised); color: var(--bad); font-size: .83rem;
  overflow-wrap: anywhere; }
.time { display: block; width: 100%; margin-top: auto; padding: 10px 12px 4px; overflow: visible; }
.badges { display: flex; flex-wrap: wrap; gap: 4px; padding: 4px 12px 12px; }
.badge { font-size: .78rem; border: 1px solid var(--line); border-radius: 999px; padding: 1px 9px;
  overflow-wrap: anywhere; min-width: 0; }
.badge i, td i { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 6px; }
@media (max-width: 600px) { details table { font-size: .82rem; } details th, details td { padding-right: 9px; }
  details :is(th, td):first-child { white-space: normal; overflow-wrap: anywhere; min-width: 84px; } }
details { margin: 8px 0; } summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
h2.group { display: flex; gap: 10px; align-items: baseline; } h2.group span { font-size: .87rem; font-weight: 400; }
"""
SCRIPT = """
const cards = [...document.querySelectorAll(".card")], holder = document.getElementById("groups");
const groupBy = document.getElementById("group"), sortBy = document.getElementById("sort");
const filter = document.getElementById("filter");
function arrange() {
  const [key, sign] = sortBy.value.split(" "), wanted = filter.value.trim().toLowerCase();
  const number = card => Number(card.dataset[key]);
  const compare = key === "name" ? (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, {numeric: true})
    : (a, b) => (number(a) - number(b)) * sign;
  const words = card => `${card.dataset.name} ${card.dataset.classes}`.toLowerCase();
  const shown = cards.filter(card => words(card).includes(wanted)).sort(compare);
  const groups = new Map();
  for (const card of shown) {
    const group = groupBy.checked ? card.dataset.class : "";
    groups.set(group, [...(groups.get(group) || []), card]);
  }
  holder.replaceChildren();
  for (const name of [...groups.keys()].sort((a, b) => a.localeCompare(b))) {
    const grid = document.createElement("div");
    grid.className = "cards";
    grid.append(...groups.get(name));
    if (name) {
      const heading = document.createElement("h2"), count = document.createElement("span");
      heading.className = "group";
      count.className = "muted";
      count.textContent = `${groups.get(name).length} videos`;
      heading.append(name, count);
      holder.append(heading);
    }
    holder.append(grid);
  }
  document.getElementById("shown").textContent = `${shown.length} of ${cards.length} videos`;
}
for (const control of [groupBy, sortBy]) control.addEventListener("change", arrange);
filter.addEventListener("input", arrange);
arrange();
"""
SORTS = {
    "name 1": "name", "frames -1": "longest first", "frames 1": "shortest first", "tubes -1": "most tubes first",
    "labelled 1": "least labelled first", "smallest 1": "smallest actor first",
    "readable -1": "readable first",
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What a card shows of a video: its number in the set, pictures by frame, or why there are none."""

    video: int
    pictures: dict[int, np.ndarray]
    problem: str = ""


def chosen_frames(video: VideoRecord, count: int = 3) -> list[int]:
    """Evenly spaced frames with boxes, the middle of each of `count` stretches; of a video without boxes, of all."""
    frames = video.annotated_frames()
    frames = frames if len(frames) else np.arange(video.num_frames)
    places = (np.arange(count) + 0.5) * len(frames) / count
    return np.unique(frames[places.astype(int)]).tolist() if len(frames) else []


def drawn(video: VideoRecord, frame: int, image: np.ndarray) -> np.ndarray:
    """A frame, small, with its boxes in the colours of their classes."""
    scale = HEIGHT / image.shape[0]
    small = cv2.resize(image, (round(image.shape[1] * scale), HEIGHT), interpolation=cv2.INTER_AREA)
    for box, label in zip(*video.boxes_at(frame), strict=True):
        outline(small, box, class_colour(int(label)), 2, scale)
    return small


def contact_sheet(dataset: ActionDataset, shown: Sequence[Shown]) -> str:
    """The page. `shown`: one for each video that gets a card, in any order."""
    cards = "\n".join(_card(dataset, one) for one in shown)
    sorts = "".join(f'<option value="{key}">{label}</option>' for key, label in SORTS.items())
    notes = "".join(f"<li>{text(note)}</li>" for note in dataset.notes)
    body = f"""<h1>{text(dataset.name)}</h1>
<p class="muted">Annotation sha256 {text(dataset.annotation_hash[:16])}. Boxes have the colours of their classes; the
bars below the frames are the tubes over time, the marks the frames shown.</p>
<div class="facts number">{_facts(dataset, len(shown))}</div>
{f"<details><summary>Notes of the reader</summary><ul>{notes}</ul></details>" if notes else ""}
<details{" open" if len(dataset.classes) <= 12 else ""}><summary>Classes</summary>
<div class="scroll">{_class_table(dataset)}</div></details>
<div class="controls"><input id="filter" type="search" placeholder="video or class" aria-label="filter">
<label>sort <select id="sort">{sorts}</select></label>
<label><input id="group" type="checkbox" checked> by class</label><span class="muted number" id="shown"></span></div>
<div id="groups"><div class="cards">
{cards}
</div></div>"""
    return page(f"{dataset.name}: contact sheet", body, STYLE, SCRIPT)


def _facts(dataset: ActionDataset, shown: int) -> str:
    found = counts_of(dataset)
    facts = {
        "videos": found.videos, "frames": found.frames, "frames with a box": found.annotated, "tubes": found.tubes,
        "boxes": found.boxes, "classes": found.classes,
    }  # fmt: skip
    facts |= {"videos on this page": shown} if shown != len(dataset.videos) else {}
    return "".join(f"<div><b>{value:,}</b>{name}</div>" for name, value in facts.items())


def _class_table(dataset: ActionDataset) -> str:
    """A row for each class: videos, tubes, boxes, and the median height of a box as a share of the frame's."""
    videos, tubes, boxes, heights = Counter(), Counter(), Counter(), defaultdict(list)
    for video in dataset.videos:
        videos.update({tube.label for tube in video.tubes})
        for tube in video.tubes:
            tubes[tube.label] += 1
            boxes[tube.label] += len(tube.frames)
            heights[tube.label].append((tube.boxes[:, 3] - tube.boxes[:, 1]) / video.height)
    rows = []
    for label, name in enumerate(dataset.classes):
        height = f"{np.median(np.concatenate(heights[label])):.2f}" if label in heights else ""
        cells = (f"{videos[label]}", f"{tubes[label]}", f"{boxes[label]}", height)
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f"<tr><td>{_dot(label)}{text(name)}</td>{numbers}</tr>")
    columns = ("videos", "tubes", "boxes", "box height")
    heads = "".join(f'<th class="number">{column}</th>' for column in columns)
    head = f"<thead><tr><th>class</th>{heads}</tr></thead>"
    return f'<table class="sortable">{head}<tbody>{"".join(rows)}</tbody></table>'


def _card(dataset: ActionDataset, shown: Shown) -> str:
    video = dataset.videos[shown.video]
    counts = Counter(tube.label for tube in video.tubes)
    names = [dataset.classes[label] for label, _ in counts.most_common()]
    sides = [tube.boxes[:, 3] - tube.boxes[:, 1] for tube in video.tubes]
    facts = {
        "name": video.name, "class": names[0] if names else "no box", "classes": " ".join(names),
        "frames": video.num_frames, "tubes": len(video.tubes),
        "labelled": f"{len(video.annotated_frames()) / max(video.num_frames, 1):.4f}",
        "smallest": f"{min((float(s.min()) for s in sides), default=0) / video.height:.4f}",
        "readable": int(not shown.problem),
    }  # fmt: skip
    data = " ".join(f'data-{name}="{text(value)}"' for name, value in facts.items())
    rate = f" at {video.fps:g} a second" if video.fps else ""
    labelled = f"{len(video.annotated_frames())} with a box"
    lines = f"{video.num_frames} frames{rate}, {labelled}, {video.width} x {video.height}"
    figures = "".join(
        f"<figure>{picture(image, f'frame {frame}', QUALITY)}<figcaption>{frame}</figcaption></figure>"
        for frame, image in shown.pictures.items()
    )
    media = f'<div class="frames">{figures}</div>' if figures else ""
    media += f'<div class="missing">{text(shown.problem)}</div>' if shown.problem else ""
    badges = "".join(
        f'<span class="badge">{_dot(label)}{text(dataset.classes[label])}{f" x {count}" if count > 1 else ""}</span>'
        for label, count in counts.most_common()
    )
    return (
        f'<article class="card" {data}><header><div class="name">{text(video.name)}</div>'
        f'<div class="muted number">{lines}</div></header>{media}{_time_line(video, list(shown.pictures))}'
        f'<div class="badges">{badges}</div></article>'
    )


def _time_line(video: VideoRecord, marks: Sequence[int]) -> str:
    """The tubes of a video as bars over its frames, gaps left open; small marks where the frames shown are."""
    height, length = 5 * len(video.tubes) + 6, max(video.num_frames, 1)
    bars = []
    for row, tube in enumerate(video.tubes):
        for start, stop in _stretches(tube.frames):
            place = f'x="{start}" y="{5 * row + 5}" width="{stop - start}" height="3.4"'
            bars.append(f'<rect {place} fill="{_hex(tube.label)}"/>')
    bars += [f'<rect x="{m}" y="0" width="{length / 160:.3f}" height="3" fill="currentColor"/>' for m in marks]
    box = f'viewBox="0 0 {length} {height}" height="{height + 14}" preserveAspectRatio="none"'
    return f'<svg class="time" {box} role="img" aria-label="tubes over time">{"".join(bars)}</svg>'


def _stretches(frames: np.ndarray) -> Iterator[tuple[int, int]]:
    """(first, one past the last) of each run of consecutive frames."""
    for run in np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def _dot(label: int) -> str:
    return f'<i style="background: {_hex(label)}"></i>'


def _hex(label: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*class_colour(label))
