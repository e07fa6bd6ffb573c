"""Bad text and JSON of every form: a message that names file, place and value, and never a crash."""

import json
import tarfile

import pytest
from dialect_set import dataset, refused, table, tube, video

from detect.data.annotation_files import read_annotations, write_annotations
from detect.data.checks import AnnotationError
from detect.utils.errors import UserError

WHERE = "wave/a"


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, message",
    [
        ("0 1 1 5 5", "00001.txt line 2: class 0; classes count from 1, there are 21"),
        ("22 1 1 5 5", "00001.txt line 2: class 22; classes count from 1"),
        ("1 1 1 5", "00001.txt line 2: expected `class x0 y0 x1 y1`, found '1 1 1 5'"),
        ("wave 1 1 5 5", "line 2: expected `class x0 y0 x1 y1`, found 'wave 1 1 5 5'"),
        ("1 1 1 5 nan", "line 2: expected `class x0 y0 x1 y1`"),
        ("1.0 1 1 5 5", "line 2: expected `class x0 y0 x1 y1`"),
        ("\x00\ufffd", "line 2: expected `class"),
    ],
)
def test_yowo_lines(tmp_path, line, message):
    path = tmp_path / "labels" / WHERE / "00001.txt"
    path.parent.mkdir(parents=True)
    path.write_text(f"21 10 10 50 50\n{line}\n")
    refused(tmp_path, message)


def test_yowo_names(tmp_path):
    root = tmp_path / "text"
    folder = root / "labels" / WHERE
    folder.mkdir(parents=True)
    (folder / "00000.txt").write_text("")
    refused(root, "text/labels: wave/a/00000.txt: frame 0; frames count from 1")
    (folder / "00000.txt").rename(folder / "1.txt")
    (folder / "00001.txt").write_text("")
    refused(root, "text/labels: wave/a/1.txt: the frame occurs twice")
    (folder / "1.txt").unlink()
    (root / "labels" / "readme.txt").write_text("x")
    read = read_annotations(root)
    assert "1 files skipped, no frame number in the name: readme.txt" in read.notes
    assert table(read) == [] and read.videos[0].labelled_frames().tolist() == [0]
    (root / "labels" / "flying" / "b").mkdir(parents=True)
    (root / "labels" / "flying" / "b" / "00001.txt").write_text("1 1 1 5 5")
    refused(root, "the classes are neither JHMDB's nor UCF101-24's; give a file of their names")
    (tmp_path / "names.txt").write_text("flying\nwave\n")
    refused(root, "flying/b: its width and height are not known|wave/a: its width", classes=tmp_path / "names.txt")
    read = read_annotations(root, classes=tmp_path / "names.txt", sizes="64x48")
    assert table(read) == [("flying/b", 0, 0, 1, 1, 5, 5)]
    with pytest.raises(UserError, match="pixels is 'x'; legal values are jhmdb, plain"):
        read_annotations(root, classes=tmp_path / "names.txt", pixels="x")


def test_archives_that_are_cut_or_too_large(tmp_path):
    made = dataset(video(tubes=[tube()]))
    path = tmp_path / "l.tar.gz"
    write_annotations(made, path, "yowo")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "not a readable tar or zip archive|damaged gzip file", format="yowo")
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("labels/wave/a/00001.txt")
        member.size = 2 << 20
        archive.addfile(member, open("/dev/zero", "rb"))
    refused(path, "00001.txt: 2097152 bytes; a file of boxes has at most 1048576")


AVA = "v,0902,0.1,0.1,0.5,0.5,12,0"


@pytest.mark.parametrize(
    "row, message",
    [
        ("v,0902,0.1,0.1,0.5,0.5,12", None),
        ("v,0903", None),
        ("v,0902,0.1,0.1,0.5", "line 2: 5 fields; expected video,timestamp,x0,y0,x1,y1,action,person"),
        ("v,0899,0.1,0.1,0.5,0.5,12,0", r"line 2: timestamp '0899' is on no frame; frame = \(timestamp - 900\) \* 30"),
        ("v,902.05,0.1,0.1,0.5,0.5,12,0", "line 2: timestamp '902.05' is on no frame"),
        ("v,nan,0.1,0.1,0.5,0.5,12,0", "line 2: timestamp 'nan' is on no frame"),
        ("v,1e300,0.1,0.1,0.5,0.5,12,0", "line 2: timestamp '1e300' is on no frame"),
        ("v,0902,0.1,nan,0.5,0.5,12,0", r"line 2: box \[0.1, nan, 0.5, 0.5\]; expected shares"),
        ("v,0902,10,10,50,50,12,0", r"line 2: box \[10.0, 10.0, 50.0, 50.0\]; expected shares of the frame's width"),
        ("v,0902,0.1,0.1,0.5,0.5,0,0", "line 2: action 0; legal values are 1 to 80"),
        ("v,0902,0.1,0.1,0.5,0.5,81,0", "line 2: action 81; legal values are 1 to 80"),
        ("v,0902,0.1,0.1,0.5,0.5,x,0", "line 2: not numbers: '0.1,0.1,0.5,0.5,x,0'"),
        ("v,0902,0.2,0.1,0.5,0.5,12,0", r"v: a track of the class 11 has two boxes in frame 60 \(from 0\)"),
        (AVA, None),
    ],
)
def test_ava_rows(tmp_path, row, message):
    path = tmp_path / "ava.csv"
    path.write_text(f"{AVA}\n{row}\n")
    if message:
        refused(path, message, sizes="100x100")
    else:
        read = read_annotations(path, sizes="100x100")
        assert table(read)[0] == ("v", 60, 11, 10, 10, 50, 50)
        assert row != AVA or read.notes[0] == "1 rows that occur twice, used once: v 0902 action 12"


def test_ava_needs_sizes_and_obeys_its_label_map(tmp_path):
    path = tmp_path / "ava.csv"
    path.write_text(AVA + "\nw,0902,0.1,0.1,0.5,0.5,3,0\n")
    refused_size = r"v: its width and height are not known \(no sizes were given\); give sizes, as 320x240 for all"
    with pytest.raises(AnnotationError, match=refused_size):
        read_annotations(path)
    (tmp_path / "map.pbtxt").write_text('item {\n name: "sit"\n id: 12\n}\nlabel { name: "run" label_id: 7 }')
    read = read_annotations(path, sizes="100x100", classes=tmp_path / "map.pbtxt")
    assert read.classes == ("run", "sit") and [row[2] for row in table(read)] == [1]
    assert read.notes[0] == "1 rows of actions that the label map leaves out not used: w 0902 action 3"
    (tmp_path / "map.pbtxt").write_text("item { id: 12 }")
    with pytest.raises(AnnotationError, match="map.pbtxt: an item without name or id: 'id: 12'"):
        read_annotations(path, sizes="100x100", classes=tmp_path / "map.pbtxt")
    (tmp_path / "sizes.csv").write_text("video,width,height\nv,100,0\n")
    with pytest.raises(AnnotationError, match="sizes.csv line 2: height is '0'; expected a whole number from 1 on"):
        read_annotations(path, sizes=tmp_path / "sizes.csv")
    (tmp_path / "sizes.csv").write_text("video,width,height,num_frames\nv,100,100,50\n")
    with pytest.raises(AnnotationError, match=r"w: its width and height are not known \(not in .*sizes.csv\)"):
        read_annotations(path, sizes=tmp_path / "sizes.csv")
    (tmp_path / "sizes.csv").write_text("name,width\n")
    with pytest.raises(AnnotationError, match="sizes.csv: no column video, height; expected video,width,height"):
        read_annotations(path, sizes=tmp_path / "sizes.csv")


def test_multisports_as_mmaction2_has_it(tmp_path):
    """Rows of its multisports_val.csv: frames from 1, labels from 0."""
    path = tmp_path / "multisports_val.csv"
    path.write_text("a/v.mp4,377,0.706,0.439,0.794,0.811,11,0\na/v.mp4,378,0.689,0.438,0.794,0.804,11,0\n")
    (tmp_path / "labels.txt").write_text("\n".join(f"class {n}" for n in range(66)))
    options = {"sizes": "1280x720", "classes": tmp_path / "labels.txt", "start": 1, "fps": 1, "first_class": 0}
    (only,) = read_annotations(path, **options).videos
    assert [(t.label, t.frames.tolist()) for t in only.tubes] == [(11, [376, 377])]


# --- JSON ------------------------------------------------------------------------------------------------------------


def coco(tmp_path, image=(), annotation=(), **sections):
    made = {
        "images": [{"id": 1, "file_name": "v/00001.jpg", "width": 64, "height": 48, **dict(image)}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 20], **dict(annotation)}],
        "categories": [{"id": 3, "name": "wave"}],
        **sections,
    }
    (tmp_path / "coco.json").write_text(json.dumps(made))
    return tmp_path / "coco.json"


@pytest.mark.parametrize(
    "image, annotation, sections, message",
    [
        (
            {"file_name": "00001.jpg"},
            {},
            {},
            "image 1: belongs to no video: file_name is '00001.jpg'; expected '<video>/<00001>",
        ),
        (
            {"file_name": "v/first.jpg"},
            {},
            {},
            "image 1: no frame number in file_name 'v/first.jpg'; give frame_index",
        ),
        ({"frame_index": -1}, {}, {}, "image 1: frame -1; expected a whole number from 0"),
        ({"frame_id": "7"}, {}, {}, "image 1: frame '7'; expected a whole number"),
        ({"width": 0}, {}, {}, r"image 1: width, height and frames are \(0, 48, 0\); expected whole numbers"),
        ({"id": None}, {}, {}, r"images\[0\] has no 'id'"),
        ({}, {"image_id": 5}, {}, r"annotations\[0\]: image_id 5 is not an image of the file"),
        ({}, {"category_id": 0}, {}, r"annotations\[0\]: category_id 0 is not one of \[3\]"),
        ({}, {"category_id": []}, {}, r"annotations\[0\]: category_id \[\] is not one of \[3\]"),
        ({}, {"bbox": [1, 2, 3]}, {}, r"annotations\[0\]: bbox is \[1, 2, 3\]; expected 4 numbers"),
        ({}, {"bbox": [1, 2, "3", 4]}, {}, r"annotations\[0\]: bbox is"),
        ({}, {"track_id": [1]}, {}, r"annotations\[0\]: track_id is \[1\]; expected a whole number or text"),
        ({}, {}, {"categories": []}, "categories is empty; there is no class"),
        ({}, {}, {"categories": [{"id": 3}]}, r"categories\[0\] has no name"),
        ({}, {}, {"images": {}}, "images is a dict; expected a list of objects"),
        ({}, {}, {"annotations": [3]}, r"annotations\[0\] has no 'image_id': 3"),
    ],
)
def test_coco(tmp_path, image, annotation, sections, message):
    refused(coco(tmp_path, image, annotation, **sections), f"coco.json: {message}", format="coco")


def test_coco_frames_tracks_and_crowds(tmp_path):
    images = [{"id": n, "file_name": f"d/v/img_{n:05d}.jpg", "width": 64, "height": 48} for n in (0, 1, 2)]
    box = {"category_id": 3, "bbox": [1, 2, 10, 20]}
    annotations = [{"image_id": 0, "instance_id": 9, **box}, {"image_id": 2, "instance_id": 9, **box}]
    annotations.append({"image_id": 1, "iscrowd": 1, **box})
    read = read_annotations(coco(tmp_path, images=images, annotations=annotations))
    (only,) = read.videos
    assert only.name == "d/v" and only.labelled is None and only.num_frames == 3  # numbered from 0
    assert [t.frames.tolist() for t in only.tubes] == [[0, 2]] and read.notes[0].startswith(
        "1 boxes of crowds not used"
    )
    other = [*images[:2], {**images[2], "width": 65}]
    refused(coco(tmp_path, images=other, annotations=[]), "image 2: 65 x 48, but an earlier image of d/v is 64 x 48")
    twice = [images[1], {**images[1], "id": 7}]
    refused(coco(tmp_path, images=twice, annotations=[]), "image 7: frame 0 of d/v occurs twice")
    videos = [{"id": 4, "name": "clip.mp4", "length": 30, "fps": 25}]
    vid = [{"id": 1, "video_id": 4, "frame_id": 5, "file_name": "x.jpg", "width": 64, "height": 48}]
    (only,) = read_annotations(coco(tmp_path, images=vid, videos=videos)).videos
    assert (only.name, only.num_frames, only.fps, only.labelled.tolist()) == ("clip", 30, 25.0, [5])
    (tmp_path / "coco.json").write_text((tmp_path / "coco.json").read_text()[:-30])
    refused(tmp_path / "coco.json", "not JSON")
