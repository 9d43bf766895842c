"""A file is copied once, from whatever it is in, and another kind of file is named."""

import gzip
import os
import threading
import zipfile
from pathlib import Path

import pytest

from retail_import.retail import reader, source
from retail_import.retail.malformed import UnreadableFile

from . import given

GOOD = given.line()


def lines_of(path: Path, encoding: str = "utf-8") -> list[str]:
    with source.copied(path, encoding=encoding) as copy:
        return [line.description for line in reader.read(copy.path)]


def test_a_gzipped_file_is_read_alike(tmp_path: Path) -> None:
    plain = given.file(tmp_path, GOOD)
    packed = tmp_path / "retail.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with source.copied(plain) as first, source.copied(packed) as second:
        assert first.path.read_bytes() == second.path.read_bytes()
        assert first.fingerprint == second.fingerprint


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    plain = given.file(tmp_path, GOOD)
    marked = tmp_path / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    with source.copied(plain) as first, source.copied(marked) as second:
        assert first.fingerprint == second.fingerprint
    assert lines_of(marked) == ["RED KETTLE"]


def test_another_code_page_is_read_when_it_is_named(tmp_path: Path) -> None:
    text = f"{given.HEADER}\n{given.line(description='CAFÉ £5')}\n"
    for encoding in ("cp1252", "utf-16", "iso-8859-1"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(text.encode(encoding))
        assert lines_of(path, encoding) == ["CAFÉ £5"]


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = given.file(tmp_path, GOOD).read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    assert lines_of(pipe) == ["RED KETTLE"]
    writer.join(5)


def test_the_copy_does_not_change_when_the_file_is_cut(tmp_path: Path) -> None:
    path = given.file(tmp_path, *[GOOD] * 50)
    with source.copied(path) as copy:
        path.write_text("")
        assert len(list(reader.read(copy.path))) == 50
    assert not copy.path.exists()


def _zip(path: Path, text: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("retail.csv", text)


KINDS = {
    "gzip-compressed": lambda path, text: path.write_bytes(gzip.compress(text)),
    "zip archive": _zip,
    "UTF-16": lambda path, text: path.write_bytes(text.decode().encode("utf-16")),
    "CR alone": lambda path, text: path.write_bytes(text.replace(b"\n", b"\r")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.csv"
    KINDS[kind](path, given.file(tmp_path, GOOD).read_bytes())
    with pytest.raises(UnreadableFile, match=kind):
        lines_of(path)


def test_a_file_that_is_not_gzip(tmp_path: Path) -> None:
    path = given.file(tmp_path, GOOD).rename(tmp_path / "retail.csv.gz")
    with pytest.raises(UnreadableFile, match="the file is not gzip"):
        lines_of(path)


@pytest.mark.parametrize("end", [-9, -4])
def test_a_compressed_file_that_breaks_off(tmp_path: Path, end: int) -> None:
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(gzip.compress(given.file(tmp_path, *[GOOD] * 50).read_bytes())[:end])
    with pytest.raises(UnreadableFile, match="truncated"):
        lines_of(path)


def test_a_compressed_file_that_is_damaged(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(given.file(tmp_path, *[GOOD] * 50).read_bytes()))
    packed[-8] ^= 1  # its checksum
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(UnreadableFile, match="damaged"):
        lines_of(path)
