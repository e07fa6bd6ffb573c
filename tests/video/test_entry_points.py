"""Seeks give the frames that decoding from the start gives, or are not used."""

import numpy as np
import pytest

from detect.video import entry_points
from detect.video.entry_points import NO_ENTRIES, Cursor, Entry, EntryPoints, find_entry_points, skipped_frames
from detect.video.readers import FrameReadError, iter_frames, iter_frames_or_errors, read_frames
from tests.video.made_videos import CODINGS, write_video

HAVE_NONE = ("one_keyframe.avi",)


def check_windows(path, points, rounds=12):
    """Random windows, and frames strewn over the file, are those of decoding from the start."""
    whole, rng = np.stack(list(iter_frames_or_errors(path))), np.random.default_rng(0)
    assert points.frames == len(whole)
    for turn in range(rounds):
        wanted = int(rng.integers(len(whole))) + np.arange(int(rng.integers(1, 90)))
        if turn % 3 == 2:
            wanted = np.unique(rng.integers(0, len(whole), 8))
        wanted = wanted[wanted < len(whole)]
        np.testing.assert_array_equal(read_frames(path, wanted, entries=points), whole[wanted])
    for entry in points.entries:  # the first and the last frame of each, and what comes after it
        wanted = [k for k in (entry.first, entry.stop - 1, entry.stop) if k < len(whole)]
        np.testing.assert_array_equal(read_frames(path, wanted, entries=points), whole[wanted])


@pytest.mark.parametrize("name", CODINGS)
def test_made_videos(name, tmp_path):
    path = write_video(tmp_path, name)
    points = find_entry_points(path)
    assert bool(points.entries) == (name not in HAVE_NONE)
    if name != "program_stream.mpg":  # there most seeks land elsewhere
        assert len(points.entries) >= 5 or name in HAVE_NONE
        assert (np.diff([entry.first for entry in points.entries]) >= entry_points.APART).all()
    check_windows(path, points)


def test_what_was_compared_overlaps(tmp_path):
    """A window of 64 frames lies within one place's frames."""
    points = find_entry_points(write_video(tmp_path, "gop12.avi"))
    # keyframes 36, 72, ...: the first of each 32 frames or more after the one before; 17 frames on
    assert [entry.first for entry in points.entries] == list(range(36 + 17, 300, 36))
    assert [entry.stop for entry in points.entries][:3] == [89 + 64, 125 + 64, 161 + 64]
    assert points.entries[-1].stop == 300


def test_only_frames_near_the_wanted_ones_are_decoded(tmp_path, monkeypatch):
    path = write_video(tmp_path, "h264.mp4")
    points, grabs, opened = find_entry_points(path), [], entry_points.open_video

    class Counting:
        def __init__(self, capture):
            self.capture = capture

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def grab(self):
            grabs.append(1)
            return self.capture.grab()

    monkeypatch.setattr(entry_points, "open_video", lambda path: Counting(opened(path)))
    read_frames(path, range(240, 260), entries=points)
    assert len(grabs) <= 20 + entry_points.APART + 12
    grabs.clear()
    read_frames(path, range(240, 260), entries=NO_ENTRIES)
    assert len(grabs) == 260


@pytest.mark.parametrize("name", ["gop12.avi", "h264.mp4"])
def test_seeks_that_land_elsewhere_are_not_used(name, tmp_path, monkeypatch):
    path = write_video(tmp_path, name)
    with monkeypatch.context() as patch:
        patch.setattr(entry_points, "_number_by_time", lambda capture: 1 + len(str(id(capture))))
        points = find_entry_points(path)
    assert points == EntryPoints(300, ())
    check_windows(path, points, 3)


def test_a_place_that_fails_late_is_not_used(tmp_path, monkeypatch):
    """One frame amiss, far behind the place and its keyframe, is enough."""
    path = write_video(tmp_path, "gop12.avi")
    agrees = entry_points._Trial.agrees
    monkeypatch.setattr(entry_points._Trial, "agrees", lambda t, frame: t.position != 89 + 63 and agrees(t, frame))
    points = find_entry_points(path)
    assert {53, 89, 125} & {entry.first for entry in points.entries} == set() and len(points.entries) >= 3
    check_windows(path, points, 3)


def test_another_file_under_the_same_places(tmp_path):
    """The checksum of the first frame tells, and decoding begins at the start."""
    points = find_entry_points(write_video(tmp_path, "gop12.avi"))
    other = write_video(tmp_path, "gop12.avi", seed=1)
    whole = np.stack(list(iter_frames(other)))
    np.testing.assert_array_equal(read_frames(other, range(200, 220), entries=points), whole[200:220])
    np.testing.assert_array_equal(read_frames(other, [3, 120, 290], entries=points), whole[[3, 120, 290]])


def test_a_file_cut_off_behind_its_places(tmp_path):
    path = write_video(tmp_path, "gop12.avi")
    points = find_entry_points(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FrameReadError, match=r"frame 290 was asked for, but only 1\d\d frames decode") as error:
        read_frames(path, [60, 290], entries=points)
    assert 100 < error.value.decoded < 200
    cut = find_entry_points(path)
    assert cut.frames == error.value.decoded
    check_windows(path, cut, 4)


def test_beyond_the_end_nothing_is_decoded(tmp_path):
    path = write_video(tmp_path, "gop12.avi")
    with pytest.raises(FrameReadError, match="frame 300 was asked for, but only 300 frames decode") as error:
        read_frames(path, [290, 300], entries=find_entry_points(path))
    assert error.value.decoded == 300


def test_a_file_that_is_no_video(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"junk" * 100)
    with pytest.raises(FrameReadError, match="does not open as a video"):
        find_entry_points(tmp_path / "a.avi")


def test_the_nearest_place():
    points = EntryPoints(200, (Entry(50, 50, 120, 0), Entry(90, 90, 110, 0)))
    found = [points.before(k) and points.before(k).first for k in (0, 49, 50, 89, 90, 109, 110, 199)]
    assert found == [None, None, 50, 50, 90, 90, None, None]  # no place was tried as far as 110
    assert NO_ENTRIES.before(5) is None
    assert skipped_frames([3, 4, 5]) == 3 and skipped_frames([0, 9]) == 8 and skipped_frames([0]) == 0


def test_a_gap_between_places_is_decoded_from_the_start(tmp_path):
    path = write_video(tmp_path, "gop12.avi")
    points = find_entry_points(path)
    first, second = points.entries[0], points.entries[3]
    holes = points._replace(entries=(first._replace(stop=first.first + 10), second))
    whole = np.stack(list(iter_frames(path)))
    wanted = [first.first + 9, first.first + 12, second.first - 1, second.first, 299]
    np.testing.assert_array_equal(read_frames(path, wanted, entries=holes), whole[wanted])


def test_a_cursor_counts_from_the_start(tmp_path):
    path = write_video(tmp_path, "gop12.avi")
    cursor = Cursor(path, find_entry_points(path))
    assert cursor.move_to(250) and cursor.position == 251
    frame = cursor.frame()
    assert cursor.move_to(250) and (cursor.frame() == frame).all()
    assert not cursor.move_to(1000) and cursor.position == 300


REAL = {  # how many places; keyframes 12 apart, or those of libx264
    "ucf101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi": 6,
    "kinetics400/SOX5yA1l24A.mp4": 3,
    "kinetics_like/mmaction2_demo.mp4": 2,
    "ucf101_like/mmaction2_test.avi": 0,
    "hmdb51/cartwheel/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": 0,
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos(real_data, name):
    points = find_entry_points(real_data / "videos" / name)
    assert len(points.entries) == REAL[name]
    check_windows(real_data / "videos" / name, points, 6)
