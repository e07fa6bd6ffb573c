"""The share of a process in many jobs: each job is in one share, and what is not legal is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.tasks.many_videos import claim_folder, remove_leftovers_of
from detect.utils.errors import UserError
from detect.utils.files import write_once
from detect.utils.shards import WHOLE, Shard, this_shard


@given(st.lists(st.integers()), st.integers(1, 12))
def test_shares_part_the_work(items, count):
    shares = [Shard(index, count).of(items) for index in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(share == items[index::count] for index, share in enumerate(shares))  # in order


def test_names_of_its_own_files():
    assert WHOLE.name("bad_inputs.txt") == "bad_inputs.txt"
    assert Shard(3, 8).name("bad_inputs.txt") == "bad_inputs_3_of_8.txt"


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", "1/2/3", "", "1 / 2"])
def test_a_share_that_is_none(text, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(UserError, match=rf"hard {text}: give i/n with 1 <= i <= n, such as 3/8"):
        this_shard(text)


def test_what_is_said_or_what_torchrun_says(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert this_shard(None) == WHOLE == Shard(1, 1) and this_shard("2/3") == Shard(2, 3)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert this_shard(None) == Shard(3, 4)
    with pytest.raises(UserError, match="--shard 1/2 under torchrun, which gives each of its 4 processes a share"):
        this_shard("1/2")


def test_the_first_note_of_a_folder_stays(tmp_path):
    claim_folder(tmp_path, {"pool": "mean", "size": (1, 2)}, "features")
    claim_folder(tmp_path, {"pool": "mean", "size": (1, 2)}, "features")
    write_once(tmp_path / "settings.json", "of another shard")
    with pytest.raises(UserError, match=r"holds features of pool mean \(now none\); give another --output"):
        claim_folder(tmp_path, {"pool": "none", "size": (1, 2)}, "features")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_of_two_that_write_at_once_the_first_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)  # neither has seen the other's
    for text in ("first", "second"):
        write_once(tmp_path / "note", text)
    assert (tmp_path / "note").read_text() == "first" and len(list(tmp_path.iterdir())) == 1


def test_only_its_own_leftovers_are_removed(tmp_path):
    for name in ("a.npz", "b.npz"):
        (tmp_path / f".{name}.{2**22 + 1}.tmp").touch()  # above the largest process id of Linux
    remove_leftovers_of([tmp_path / "a.npz", tmp_path / "none" / "c.npz"])
    assert [path.name for path in tmp_path.iterdir()] == [f".b.npz.{2**22 + 1}.tmp"]
