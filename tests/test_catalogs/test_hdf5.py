"""HDF5 of strangers: nothing outside the file, nothing too large, and one family of errors."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pytest

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError
from catalogs.hdf5 import (
    names,
    open_dataset,
    open_group,
    open_hdf5,
    read_attribute,
    read_dataset,
    read_text,
    walk,
)


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a file with h5py, and its path."""

    def write(fill):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        return path

    return write


def fill_plain(file):
    group = file.create_group("g/h")
    group["x"] = np.arange(6, dtype=np.float32).reshape(3, 2)
    group["i"] = np.arange(3, dtype=np.int16)
    group["b"] = np.array([True, False, True])
    group["fixed"] = np.array([b"a", "é".encode()])
    group["text"] = ["a", "bé", ""]
    group["scalar"] = 3.0
    group["soft"] = h5py.SoftLink("/g/h/i")
    file["up"] = h5py.SoftLink("g/h")
    group.attrs["unit"], group.attrs["size"], group.attrs["long"] = "km/s", [1, 2], "x" * 100_000


def test_reads_what_was_written(make):
    with open_hdf5(make(fill_plain)) as file:
        x = read_dataset(file, "g/h/x", ndim=2)
        assert x.dtype == np.float64
        np.testing.assert_array_equal(x, [[0, 1], [2, 3], [4, 5]])
        np.testing.assert_array_equal(read_dataset(file, "/g/h/x", rows=slice(1, 9)), [[2, 3], [4, 5]])
        group = open_group(file, "up")
        assert read_dataset(group, "i", kind="i").dtype == np.int16
        assert read_dataset(group, "soft", kind="f").tolist() == [0.0, 1.0, 2.0]
        assert read_dataset(group, "b", kind="b").tolist() == [True, False, True]
        assert read_dataset(group, "fixed", kind="S").tolist() == ["a", "é"]
        assert read_dataset(group, "text", kind="S").tolist() == ["a", "bé", ""]
        assert read_dataset(group, "text", kind=None, rows=slice(1, 2)).tolist() == ["bé"]
        assert read_dataset(group, "text", kind="S", max_bytes=60).tolist() == ["a", "bé", ""]
        assert read_dataset(group, "scalar") == 3.0
        assert read_text(group, "unit") == "km/s"
        assert read_text(group, "long") == "x" * 100_000
        assert read_text(group, "none", "-") == "-"
        assert read_attribute(group, "size", kind="i").tolist() == [1, 2]
        assert names(file) == ["g", "up"]
        assert walk(file) == [f"g/h/{name}" for name in ("b", "fixed", "i", "scalar", "text", "x")]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("g/h/nope", {}, "expected 'nope', found only 'b', 'fixed'"),
        ("g/h", {}, "expected a dataset, found group"),
        ("g/h/x/deeper", {}, "expected 'deeper'"),
        ("g/h/x", {"kind": "i"}, "expected integers, found type float32"),
        ("g/h/x", {"kind": "S"}, "expected text, found type float32"),
        ("g/h/text", {}, "expected real numbers, found type object"),
        ("g/h/x", {"ndim": 1}, r"expected 1 axes, found shape \(3, 2\)"),
        ("g/h/x", {"max_bytes": 47}, "needs 48 bytes"),
        ("g/h/text", {"kind": "S", "max_bytes": 16}, "above the limit"),
    ],
)
def test_what_is_not_there_is_named(make, name, options, words):
    path = make(fill_plain)
    with open_hdf5(path) as file, pytest.raises(AstrotkError, match=words) as seen:
        read_dataset(file, name, **options)
    assert str(path) in str(seen.value)
    assert "\n" not in str(seen.value)


def test_links_out_of_the_file_are_refused(make, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(3.0)

    def fill(file):
        file["out"] = h5py.ExternalLink("secret.h5", "/")
        file["x"] = h5py.ExternalLink("secret.h5", "/x")
        file["soft"] = h5py.SoftLink("/out/x")
        file["own"] = np.arange(3.0)

    with open_hdf5(make(fill)) as file:
        assert file["soft"][()].tolist() == [0.0, 1.0, 2.0]  # h5py follows it
        for name in ("x", "out/x", "soft", "/out/x"):
            with pytest.raises(CatalogFileError, match="link to another file"):
                read_dataset(file, name)
        assert walk(file) == ["own"]


def test_rings_of_soft_links_end(make):
    def fill(file):
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file.create_group("g")["again"] = h5py.SoftLink("again/again")
        file["g/self"] = file["g"]

    with open_hdf5(make(fill)) as file:
        for name in ("a", "g/again"):
            with pytest.raises(CatalogFormatError, match="soft links"):
                read_dataset(file, name)
        assert walk(file) == []


def test_data_outside_the_file_are_refused(make, tmp_path):
    (tmp_path / "raw").write_bytes(b"secret!!" * 4)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(4.0)

    def fill(file):
        file.create_dataset("raw", (4,), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (4,))
        file.create_virtual_dataset("virtual", layout)

    with open_hdf5(make(fill)) as file:
        assert file["raw"][:].tobytes() == b"secret!!" * 4  # h5py reads it
        with pytest.raises(CatalogFileError, match="another file"):
            read_dataset(file, "raw")
        with pytest.raises(CatalogFileError, match="other files"):
            read_dataset(file, "virtual")


def test_sizes_are_checked_before_allocation(make):
    def fill(file):
        file.create_dataset("huge", (10**11,), "f8", chunks=(1024,))
        file.create_dataset("chunk", (1,), "f8", maxshape=(None,), chunks=(2**28,), compression=1)
        file.create_dataset("words", (10**7,), h5py.string_dtype("ascii", 1000), chunks=(8,))
        file.create_dataset("crumbs", (10**7,), "f8", chunks=(2,))

    path = make(fill)
    assert path.stat().st_size < 20_000
    with open_hdf5(path) as file:
        for name in ("huge", "chunk", "words", "crumbs"):
            with pytest.raises(CatalogFileError, match="above the limit"):
                read_dataset(file, name, kind=None)
        assert open_dataset(file, "huge").shape == (10**11,)
        assert read_dataset(file, "huge", rows=slice(0, 5)).tolist() == [0.0] * 5


def test_types_that_are_no_plain_values_are_refused(make):
    def fill(file):
        file.create_dataset("reference", data=[file.ref], dtype=h5py.ref_dtype)
        file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int32))
        file["record"] = np.zeros(2, [("a", "f8")])
        file["empty"] = h5py.Empty("f8")
        file.attrs["record"] = np.zeros(2, [("a", "f8")])
        file.attrs["texts"] = ["a", "b"]

    with open_hdf5(make(fill)) as file:
        for name in ("reference", "ragged", "record", "empty"):
            with pytest.raises(CatalogFormatError, match="expected"):
                read_dataset(file, name, kind=None)
        for name in ("record", "texts", "none"):
            with pytest.raises(CatalogFormatError, match="expected"):
                read_attribute(file, name, kind=None)


def test_a_file_that_is_no_hdf5(tmp_path, make):
    (tmp_path / "text").write_text("x,y\n1,2\n")
    (tmp_path / "cut").write_bytes(make(fill_plain).read_bytes()[:2000])
    for name, error in (("text", CatalogFormatError), ("cut", CatalogFormatError), ("no", CatalogFileError)):
        with pytest.raises(error, match=name), open_hdf5(tmp_path / name):
            pytest.fail("must not open")
    with pytest.raises(CatalogFileError), open_hdf5(tmp_path):
        pytest.fail("must not open")


@pytest.mark.timeout(20)
def test_a_heap_that_the_library_would_not_return_from(make, tmp_path):
    content = bytearray(make(fill_plain).read_bytes())
    heap = content.index(b"GCOL")
    size = int.from_bytes(content[heap + 16 + 8 : heap + 32], "little")
    second = heap + 32 + -(-size // 8) * 8
    content[second : second + 16] = bytes(16)
    (tmp_path / "b.h5").write_bytes(content)
    with pytest.raises(CatalogFormatError, match="broken heap"), open_hdf5(tmp_path / "b.h5"):
        pytest.fail("must not open")


def test_mutants_raise_only_our_family(make, tmp_path):
    def fill(file):
        fill_plain(file)
        file.create_dataset("packed", data=np.arange(100.0), chunks=(10,), compression=4, shuffle=True)

    content, random = make(fill).read_bytes(), np.random.default_rng(5)
    path, refused = tmp_path / "mutant.h5", 0
    for _ in range(300):
        mutant = bytearray(content)
        for at in random.integers(0, 8000, random.integers(1, 30)):
            mutant[at] = random.integers(256)
        path.write_bytes(mutant[: random.integers(len(mutant))] if random.random() < 0.1 else mutant)
        with contextlib.suppress(AstrotkError), open_hdf5(path) as file:
            for name in walk(file):
                refused += 1
                read_dataset(file, name, kind=None, max_bytes=2**20)
                refused -= 1
            read_text(open_group(file, "g/h"), "unit")
    assert refused > 10


def test_a_ring_of_free_blocks_is_refused_before_the_library_enters_it(make, tmp_path):
    content = bytearray(make(fill_plain).read_bytes())
    heap = content.find(b"HEAP\0\0\0\0")
    data = int.from_bytes(content[heap + 24 : heap + 32], "little")
    content[heap + 16 : heap + 24] = content[data + 24 : data + 32] = (24).to_bytes(8, "little")
    (tmp_path / "ring.h5").write_bytes(content)
    with pytest.raises(CatalogFormatError, match="ring"), open_hdf5(tmp_path / "ring.h5"):
        pytest.fail("must not open")


def test_a_name_that_is_no_text_is_refused(make):
    path = make(lambda file: file.create_dataset(b"\xcb", data=np.arange(3.0)))
    with open_hdf5(path) as file:
        for listing in (names, walk):
            with pytest.raises(CatalogFormatError, match="UTF-8"):
                listing(file)
