"""CVAT, VIA and LabelMe: files made as the tools write them, with the boxes that must come out."""

import numpy as np
import pytest
from own_set import same
from tiny_set import draw, write_frames
from tool_files import META, box, cvat, labelme, rect, shape, track, write_via

from detect.data.annotation_files import read_annotations, recognise
from detect.data.checks import AnnotationError
from detect.data.own_json import read_own_json, write_own_json
from detect.video.writer import save_video


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tubes(video):
    return [(tube.label, tube.frames.tolist(), tube.boxes[:, 0].tolist()) for tube in video.tubes]


def test_cvat_tracks(tmp_path):
    rows = [box(0, 1.5), box(1, 2), box(2, 3, outside=1), box(4, 5), box(5, 6)]
    path = write(tmp_path / "annotations.xml", cvat(track(*rows), track(box(1), label="person", number=1)))
    assert recognise(path) == "cvat"
    dataset = read_annotations(path)
    assert dataset.classes == ("wave", "person") and dataset.name == "annotations"
    (video,) = dataset.videos
    assert (video.name, video.num_frames, video.height, video.width) == ("a", 6, 24, 32) and video.labelled is None
    # outside ends the tube; that the actor comes back is another one
    assert tubes(video) == [(0, [0, 1], [1.5, 2]), (0, [4, 5], [5, 6]), (1, [1], [2])]
    assert video.tubes[0].boxes[0].tolist() == [1.5, 3, 11.5, 15]
    assert "1 videos without media" in dataset.notes[0]


def test_cvat_class_in_an_attribute(tmp_path):
    rows = [box(0, action="none"), box(1, action="wave"), box(2, action="wave"), box(3, action="walk"), box(4)]
    path = write(tmp_path / "a.xml", cvat(track(*rows, label="person")))
    dataset = read_annotations(path, attribute="action")
    assert dataset.classes == ("walk", "wave")
    assert tubes(dataset.videos[0]) == [(1, [1, 2], [2, 2]), (0, [3], [2])]
    assert any("2 boxes left out, action says no action: a track 0 frame 0: none" in note for note in dataset.notes)
    with pytest.raises(AnnotationError, match="no box has the attribute 'act'; there are action"):
        read_annotations(path, attribute="act")


def test_cvat_every_second_frame_and_key_frames_only(tmp_path):
    path = write(tmp_path / "a.xml", cvat(track(box(2), box(4)), size=3, start=0, stop=4, filter="step=2"))
    save_video(tmp_path / "videos" / "a.avi", draw(6, 0))
    (video,) = read_annotations(path).videos
    assert video.labelled.tolist() == [0, 2, 4] and video.num_frames == 6 and video.fps == 16.0
    assert tubes(video) == [(0, [2, 4], [2, 2])]  # the task shows no more frames, so they are one tube
    path = write(tmp_path / "a.xml", cvat(track(box(0), box(4))))
    dataset = read_annotations(path)
    assert dataset.videos[0].labelled.tolist() == [0, 4] and "boxes on key frames only" in dataset.notes[0]


def test_cvat_turned_box_gets_the_upright_one_around_it(tmp_path):
    # 10 x 12 about (7, 9), turned by 90 degrees: 12 x 10, from 1 to 13 and from 4 to 14
    path = write(tmp_path / "a.xml", cvat(track(box(0, more='rotation="90.00"'))))
    np.testing.assert_allclose(read_annotations(path).videos[0].tubes[0].boxes, [[1, 4, 13, 14]], atol=1e-5)


def test_cvat_folder_of_tasks_and_a_project(tmp_path):
    for name in ("x", "y"):
        text = cvat(track(box(0))).replace("a.mp4", f"{name}.mp4")
        write(tmp_path / "tasks" / name / "annotations.xml", text)
    assert [v.name for v in read_annotations(tmp_path / "tasks").videos] == ["x", "y"]
    one = META.format(size=6, start=0, stop=5, filter="")[6:-7]
    meta = f"<meta><project><tasks>{one}{one.replace('<id>4', '<id>5')}</tasks></project></meta>"
    tracks = track(box(1)).replace('source="manual"', 'task_id="5"')
    path = write(tmp_path / "project.xml", f"<annotations><version>1.1</version>{meta}{tracks}</annotations>")
    first, second = read_annotations(path).videos
    assert (first.name, second.name) == ("a-4", "a-5") and tubes(first) == [] and tubes(second) == [(0, [1], [2])]


def test_cvat_images(tmp_path):
    images = "".join(
        f'<image id="{i}" name="b/0000{i + 1}.png" width="32" height="24">'
        f'<box label="wave" occluded="0" xtl="{2 + i}" ytl="3" xbr="{12 + i}" ybr="15"/></image>'
        for i in range(3)
    )
    path = write(tmp_path / "a.xml", cvat(images))
    write_frames(tmp_path / "b", draw(4, 0))
    dataset = read_annotations(path)
    (video,) = dataset.videos
    assert (video.name, video.num_frames, video.labelled.tolist()) == ("b", 4, [0, 1, 2])
    assert tubes(video) == [(0, [0, 1, 2], [2, 3, 4])] and "joined by overlap" in dataset.notes[0]
    # an image task made of a video: frames count from 0
    path = write(tmp_path / "a.xml", cvat(images.replace("b/0000", "frame_00000").replace(".png", "")))
    assert tubes(read_annotations(path).videos[0]) == [(0, [1, 2, 3], [2, 3, 4])]


@pytest.mark.parametrize("text, message", [
    (cvat(track(box(0)))[:-30], "a.xml: not XML, .*; is the file complete?"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]>" + cvat()[39:], "a.xml: has a DOCTYPE, which CVAT does not write"),
    ("<annotation/>", "a.xml: the outermost element is <annotation>; expected CVAT's <annotations>"),
    ("<annotations><track label='x'/></annotations>", "a.xml: no <task> or <job> in <meta>"),
    (cvat(track(box("x"))), "a.xml: a track 0: frame is 'x'; expected a whole number"),
    (cvat(track(box(0).replace("2.00", "two"))), "a.xml: a track 0 frame 0: the box is .*'xtl': 'two'"),
    (cvat(track(box(0), box(0))), "a.xml: a track 0: has two boxes on frame 0"),
    (cvat(size="many").replace("<stop_frame>5</stop_frame>", ""), "a.xml: <size> is 'many'; expected a whole number"),
    (cvat(track(box(0))).replace("<width>32</width>", ""), "a.xml: a: no <original_size> in its task and no video"),
])  # fmt: skip
def test_bad_cvat_files(tmp_path, text, message):
    with pytest.raises(AnnotationError, match=message):
        read_annotations(write(tmp_path / "a.xml", text), "cvat")


def test_via_by_overlap(tmp_path):
    rows = [(f"a/0000{i}.png", rect(i), {"action": "wave"}) for i in (1, 2, 3)]
    rows += [("a/00002.png", rect(20), {"action": "wave"}), ("a/00004.png", {}, {})]
    rows += [("a/00003.png", {"name": "circle", "cx": 1, "cy": 2, "r": 3}, {"action": "wave"})]
    rows += [("a/00003.png", rect(5), {"action": ""}), ("clip_2_00001.jpg", rect(3), {"action": "hop"})]
    write_frames(tmp_path / "a", draw(6, 0))
    save_video(tmp_path / "videos" / "clip_2.avi", draw(5, 0))
    path = write_via(tmp_path / "via.csv", rows, hashed=True)
    assert recognise(path) == "via"
    dataset = read_annotations(path)
    a, clip = dataset.videos
    assert dataset.classes == ("hop", "wave") and (a.name, clip.name) == ("a", "clip_2")
    assert a.num_frames == 6 and a.labelled.tolist() == [0, 1, 2, 3] and clip.num_frames == 5
    assert sorted(tubes(a)) == [(1, [0, 1, 2], [1, 2, 3]), (1, [1], [20])] and tubes(clip) == [(0, [0], [3])]
    assert any("regions left out, they are not rect" in note for note in dataset.notes)
    assert any("regions left out, action says no action" in note for note in dataset.notes)
    assert any("2 videos whose boxes have no track: joined by overlap" in note for note in dataset.notes)
    write_own_json(dataset, tmp_path / "own.json")
    assert same(read_own_json(tmp_path / "own.json"), dataset)


def test_via_tracks_checkboxes_and_options(tmp_path):
    write_frames(tmp_path / "a", draw(6, 0), first=0)
    rows = [
        ("a/00000.png", rect(1), {"what": {"wave": True, "walk": True, "hop": False}, "who": "1"}),
        ("a/00003.png", rect(15), {"what": {"wave": True}, "who": "1"}),
    ]
    path = write_via(tmp_path / "via.csv", rows)
    with pytest.raises(AnnotationError, match="the class is in one of several attributes; give attribute, one of what"):
        read_annotations(path)
    with pytest.raises(AnnotationError, match="no region has the attribute 'label'; give attribute, one of what, who"):
        read_annotations(path, attribute="label")
    (tmp_path / "classes.txt").write_text("wave\nhop\nwalk\n")
    dataset = read_annotations(path, attribute="what", track="who")
    assert dataset.classes == ("wave", "hop", "walk")
    assert sorted(tubes(dataset.videos[0])) == [(0, [0, 3], [1, 15]), (2, [0], [1])]
    (tmp_path / "classes.txt").write_text("wave\nhop\n")
    with pytest.raises(AnnotationError, match="via.csv: unknown class 'walk'; the classes given are wave, hop"):
        read_annotations(path, attribute="what", track="who")


@pytest.mark.parametrize("text, message", [
    ("filename,region_count\na/1.jpg,1\n", "no column region_shape_attributes, region_attributes; expected VIA's CSV"),
    ("{head}\na/x.jpg,1,{},1,0,{},{}\n", "a/x.jpg: no frame number at the end of its name"),
    ("{head}\na/1.jpg,1,{},1,0,{rect,{}\n", "line 2: region_shape_attributes is '{rect'; expected a JSON object"),
    ('{head}\na/1.jpg,1,{},1,0,"{""name"":""rect"",""x"":1}","{""action"":""a""}"\n', "line 2: the rect is .*expected"),
    ('{head}\na/1.jpg,1,{},1,0,"{""name"":""rect"",""x"":1,""y"":1,""width"":3,""height"":3}","{""action"":""a""}"\n',
     "a: its size is not in the annotation, and neither its images nor its video are below"),
])  # fmt: skip
def test_bad_via_files(tmp_path, text, message):
    names = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    text = text.replace("{head}", names).replace(",1,0,{},{}", ",0,0,{},\"{\"\"action\"\":\"\"a\"\"}\"")
    with pytest.raises(AnnotationError, match=message):
        read_annotations(write(tmp_path / "via.csv", text), "via")


def test_labelme_folder(tmp_path):
    for i in range(3):
        write(tmp_path / "set" / "a" / f"{i + 1:05d}.json", labelme(shape(2 + i), shape(18 - i, "hop", 5)))
    write(tmp_path / "set" / "a" / "00006.json", labelme(shape(1, "hop", 5), shape(2, kind="polygon")))
    write(tmp_path / "set" / "a" / "notes.json", "{}")
    assert recognise(tmp_path / "set") == "labelme"
    dataset = read_annotations(tmp_path / "set")
    (video,) = dataset.videos
    assert dataset.name == "set" and dataset.classes == ("hop", "wave") and (video.height, video.width) == (24, 32)
    assert video.name == "a" and video.num_frames == 6 and video.labelled.tolist() == [0, 1, 2, 5]
    assert sorted(tubes(video)) == [(0, [0, 1, 2, 5], [18, 17, 16, 1]), (1, [0, 1, 2], [2, 3, 4])]
    for part in ("no list of shapes", "not rectangles", "without media", "length is not known"):
        assert any(part in note for note in dataset.notes), dataset.notes
    images = tmp_path / "set" / "images"
    write_frames(images, draw(8, 0))
    for image in images.iterdir():
        image.rename(tmp_path / "set" / "a" / image.name)
    assert read_annotations(tmp_path / "set" / "a").videos[0].num_frames == 8  # the folder of one video
    assert read_annotations(tmp_path / "set" / "a").videos[0].path == str(tmp_path / "set" / "a")


@pytest.mark.parametrize("text, message", [
    (labelme(shape(1), height=None), "imageHeight and imageWidth are .*; expected whole numbers"),
    (labelme({**shape(1), "label": 3}), "shape 0: its label is 3; expected the name of a class"),
    (labelme({**shape(1), "points": [[1, 2]]}), r"shape 0: its points are \[\[1, 2\]\]; expected two opposite corners"),
    (labelme({**shape(1), "points": [[1, "x"], [1, 2]]}), "shape 0: its points are"),
    (labelme(shape(1, group=1), shape(3, group=1)), "set: set: a track of the class 0 has two boxes in frame 0"),
    ("{}", "no LabelMe file in it"),
])  # fmt: skip
def test_bad_labelme_files(tmp_path, text, message):
    write(tmp_path / "set" / "00001.json", text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(tmp_path / "set", "labelme")


def test_images_of_one_number_and_of_two_sizes(tmp_path):
    write(tmp_path / "a_1.json", labelme(shape(1)))
    write(tmp_path / "a_01.json", labelme(shape(1)))
    with pytest.raises(AnnotationError, match="a_1.json and a_01.json are both frame 1 of a|a_01.json and a_1.json"):
        read_annotations(tmp_path, "labelme")
    (tmp_path / "a_01.json").unlink()
    write(tmp_path / "a_2.json", labelme(shape(1), height=25))
    with pytest.raises(AnnotationError, match="images of a are of 32 x 24 and 32 x 25 pixels"):
        read_annotations(tmp_path, "labelme")


@pytest.mark.parametrize("nothing", ["none", "None", "__undefined__", " "])
def test_labels_that_say_no_action_are_left_out_and_noted(tmp_path, nothing):
    rows = [("a/00001.png", rect(2), {"action": "wave"}), ("a/00002.png", rect(2), {"action": nothing})]
    write(tmp_path / "set" / "00001.json", labelme(shape(1), shape(9, nothing)))
    write_frames(tmp_path / "a", draw(3, 0))
    for path in (write_via(tmp_path / "via.csv", rows), tmp_path / "set"):
        dataset = read_annotations(path)
        assert dataset.classes == ("wave",) and len(dataset.videos[0].tubes) == 1
        assert any(note.startswith("1 ") and "no action" in note for note in dataset.notes)


def test_videos_of_one_annotation_are_numbered_alike(tmp_path):
    """An image of number 0 says that the tool counts from 0, in every video."""
    write(tmp_path / "set" / "a" / "00000.json", labelme(shape(1)))
    write(tmp_path / "set" / "b" / "00001.json", labelme(shape(1)))
    assert [v.annotated_frames().tolist() for v in read_annotations(tmp_path / "set").videos] == [[0], [1]]
