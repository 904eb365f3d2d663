"""Files are written whole or not at all."""

import os

import pytest

from tinygrad_lstm.files import all_or_nothing, write_atomically


def fill(directory, names, error=None):
    with all_or_nothing(directory) as staging:
        for name in names:
            (staging / name).write_text("new")
        if error is not None:
            raise error


def test_writes_text_as_utf8_with_its_own_line_ends_and_bytes_as_they_are(tmp_path):
    assert write_atomically(tmp_path / "a", "é\r\n").read_bytes() == b"\xc3\xa9\r\n"
    assert write_atomically(str(tmp_path / "b"), b"\0\xff").read_bytes() == b"\0\xff"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_old_file_survives_a_failure(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_writes_through_a_link(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_new_files_have_the_permissions_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_set_appears_together(tmp_path):
    out = tmp_path / "one" / "two"
    with all_or_nothing(out) as staging:
        (staging / "a").write_text("a")
        (staging / "b").write_text("b")
        assert not (out / "a").exists()
    assert sorted(os.listdir(out)) == ["a", "b"]


def test_a_failure_leaves_nothing_not_even_the_directories_it_made(tmp_path):
    with pytest.raises(RuntimeError):
        fill(tmp_path / "one" / "two", ["a"], RuntimeError("stop"))
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_made_leaves_none_of_those_round_it(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        os.mkdir(self.parent)
        raise OSError("the name is refused")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(OSError, match="refused"):
        fill(tmp_path / "one" / "two", ["a"])
    assert os.listdir(tmp_path) == []


def test_a_failure_keeps_what_was_there(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, ["a"], KeyboardInterrupt())
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_directory_in_the_way_stops_the_whole_set(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError, match="not a file"):
        fill(tmp_path, ["a", "b"])
    assert os.listdir(tmp_path) == ["b"]


def test_a_pipe_or_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="not a file"):
        write_atomically(tmp_path / "pipe", "x")
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("under", ["", "deeper"])
def test_a_file_where_the_directory_should_be(tmp_path, under):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OSError, match="taken"), all_or_nothing(tmp_path / "taken" / under):
        pytest.fail("the block must not run")
    assert (tmp_path / "taken").read_text() == "x"
