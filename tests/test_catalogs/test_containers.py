"""Arrays from npy, npz and pickle files, whole, broken and hostile."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import resource
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from catalogs.containers import read_npy, read_npz, read_pickle
from catalogs.errors import CatalogFileError, CatalogFormatError

TABLE = np.array([("NGC 1", 1.5, (1, 2)), ("NGC 2", 2.5, (3, 4))], dtype="U8, f8, (2,)i2")
ARRAYS = {
    "floats": np.linspace(0, 1, 24).reshape(2, 3, 4),
    "swapped": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 7), "f4"),
    "scalar": np.array(3.5),
    "text": np.array(["alpha", "β"]),
    "bytes": np.array([b"a", b"bcd"]),
    "flags": np.array([True, False]),
    "times": np.array(["2020-01-01T00:00", "2021-01-01"], dtype="M8[25s]"),
    "complex": np.array([1j, 2.0]),
    "table": TABLE,
}
VALUES = {
    **ARRAYS,
    "permuted": np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
    "numbers": [0, -1, 1 << 40, 1 << 400, 2.5, float("inf"), True, None, 1 + 2j],
    "words": ("", "ä" * 300, b"", b"\0\xff", bytearray(b"xy")),
    "nested": {("a", 1): {"b": [1, (2, 3, 4, 5)]}, 2.5: {1, 2}, None: frozenset({"c"})},
    "ordered": OrderedDict([("z", 1), ("a", np.float32(2))]),
    "scalars": [
        np.int64(4),
        np.float64(1.5),
        np.bool_(True),
        np.str_("s"),
        TABLE[0],
        np.datetime64("2020", "D"),
    ],
    "dtypes": [np.dtype(">f4"), TABLE.dtype, np.dtype("m8")],
}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def assert_same(found: object, wanted: object) -> None:
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted, strict=True)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            assert_same(found[key], value)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    else:
        assert found == wanted


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> str:
    text = str(error.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert len(text) < len(str(path)) + 400
    return text


def refused(path: Path, program: bytes, **options: int) -> str:
    path.write_bytes(program)
    with pytest.raises(CatalogFormatError) as error:
        read_pickle(path, **options)
    return one_line(error, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize("name", ARRAYS)
def test_npy_round_trip(path: Path, name: str) -> None:
    path.write_bytes(npy(ARRAYS[name]))
    assert_same(read_npy(path), ARRAYS[name])


def test_npy_with_a_header_of_version_3(path: Path) -> None:
    table = np.zeros(2, dtype=[("λ", "f8")])
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, table, version=(3, 0))
    assert read_npy(path).dtype == table.dtype


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_round_trip(tmp_path: Path, save: object) -> None:
    path = tmp_path / "data.npz"
    save(path, **ARRAYS)
    assert_same(read_npz(path), ARRAYS)
    assert list(read_npz(path, names=["table", "floats"])) == ["table", "floats"]


def test_npz_names_what_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, a=1)
    with pytest.raises(CatalogFormatError, match="expected an array 'b', found only a") as error:
        read_npz(path, names=["a", "b"])
    one_line(error, path)


@pytest.mark.parametrize("read", [read_npy, read_npz, read_pickle])
def test_a_missing_file_and_a_folder(tmp_path: Path, read: object) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CatalogFileError) as error:
            read(path)
        one_line(error, path)


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000000,)"),
        header("(10000000, 10000000, 10000000, 10000000)"),
        header("(-1,)") + bytes(8),
        header("(1000000000000,)", "'V0'"),
        header("(2,)") + bytes(8),
        header("(2,)") + bytes(24),
        header("(1,)", "'O'") + bytes(8),
        header("(1,)", "[('a', 'f8'), ('b', 'O')]") + bytes(16),
        header("(" * 200),
        header("1" * 5000),
        npy(ARRAYS["floats"])[:-1],
        b"",
        b"\x93NUMPY",
    ],
)
def test_npy_and_npz_refuse_what_their_header_does_not_hold(tmp_path: Path, content: bytes) -> None:
    lone, archive = tmp_path / "a.npy", tmp_path / "a.npz"
    lone.write_bytes(content)
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("a.npy", content)
    for path, read in ((lone, read_npy), (archive, read_npz)):
        with pytest.raises(CatalogFormatError) as error:
            read(path)
        one_line(error, path)


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, allow_pickle=True, a=np.array([{}], dtype=object))
    with pytest.raises(CatalogFormatError, match="expected numbers or text, found the dtype object"):
        read_npz(path)


def test_the_limits_hold_before_anything_is_read(tmp_path: Path) -> None:
    lone, archive = tmp_path / "a.npy", tmp_path / "a.npz"
    np.save(lone, np.zeros(1000))
    np.savez_compressed(archive, a=np.zeros(1000), b=np.zeros(1000))
    assert read_npy(lone, max_bytes=8000).size == 1000
    with pytest.raises(CatalogFormatError, match="at most 7999 bytes"):
        read_npy(lone, max_bytes=7999)
    assert len(read_npz(archive, names=["a"], max_bytes=9000)) == 1
    with pytest.raises(CatalogFormatError, match="at most 9000 bytes"):
        read_npz(archive, max_bytes=9000)
    with pytest.raises(CatalogFileError, match="the limit is 100; raise max_bytes"):
        read_npz(archive, max_bytes=100)


def test_a_zip_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("a.npy", header("(100000000,)") + bytes(30_000_000))
    true, claimed = (struct.pack("<I", n + len(header("(100000000,)"))) for n in (30_000_000, 80))
    path.write_bytes(path.read_bytes().replace(true, claimed))
    with pytest.raises(CatalogFormatError):
        read_npz(path, max_bytes=1000_000)


def test_npz_refuses_other_compressions_and_double_names(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as stream:
        stream.writestr("a.npy", npy(np.zeros(3)))
    with pytest.raises(CatalogFormatError, match="found another compression"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("a.npy", npy(np.zeros(3)))
        with pytest.warns(UserWarning, match="Duplicate"):
            stream.writestr("a.npy", npy(np.ones(3)))
    with pytest.raises(CatalogFormatError, match="two of the same name"):
        read_npz(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", VALUES)
def test_pickle_round_trip(path: Path, name: str, protocol: int) -> None:
    path.write_bytes(pickle.dumps(VALUES[name], protocol))
    assert_same(read_pickle(path), VALUES[name])


@given(
    array=hnp.arrays(
        hnp.scalar_dtypes() | hnp.array_dtypes(hnp.scalar_dtypes(), allow_subarrays=True),
        hnp.array_shapes(min_dims=0, min_side=0),
        fill=st.nothing(),
    ),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_array_comes_back_bit_for_bit(path: Path, array: np.ndarray, protocol: int) -> None:
    path.write_bytes(pickle.dumps(array, protocol))
    found = read_pickle(path)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_shared_and_recursive_values_stay_so(path: Path) -> None:
    array, loop = np.arange(3), []
    loop.append((loop, array, array))
    path.write_bytes(pickle.dumps(loop))
    found = read_pickle(path)
    assert found[0][0] is found
    assert found[0][1] is found[0][2]
    found[0][1][0] = 7  # an array of our own, which can be written


def test_a_pickle_of_python_2(path: Path) -> None:
    """As numpy 1.16 under Python 2.7 writes ``{'v': numpy.array([1.5, -2.0])}`` with protocol 2."""
    raw = np.array([1.5, -2.0]).tobytes()
    path.write_bytes(
        b"\x80\x02}q\x01U\x01vq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05"
        b"U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02\x85q\x09cnumpy\ndtype\nq\x0aU\x02f8q\x0bK\x00K\x01\x87q\x0cRq\x0d"
        b"(K\x03U\x01<q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb\x89U\x10" + raw + b"q\x10tq\x11bs."
    )
    assert_same(read_pickle(path), {"v": np.array([1.5, -2.0])})


class Evil:
    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> object:
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_a_command_is_refused_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    program = pickle.dumps([1, Evil(os.system, f"touch '{mark}'")], protocol)
    text = refused(tmp_path / "evil.pkl", program)
    assert f"the global {os.system.__module__}.system, which is refused" in text
    assert not mark.exists()
    pickle.loads(program)  # noqa: S301  the program is a real one
    assert mark.exists()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (Evil(eval, "1"), "builtins.eval"),
        (Evil(getattr, 1, "real"), "builtins.getattr"),
        (Evil(np.load, "x"), "numpy.load"),
        (Path("x"), "the global pathlib"),
        (Evil(np.ndarray, (1 << 40,)), "a call of numpy.ndarray"),
        (Evil(bytearray, 1 << 40), "bytes of a int"),
        (Evil(np.dtype, "O"), "the dtype O"),
        (Evil(np.dtype, [("a", "O")]), "a dtype without a name"),
        (np.array([None]), "the dtype O8"),
        ([np.ndarray], "numpy.ndarray as a value"),
        (np.dtype, "numpy.dtype as a value"),
        ({1 << 61: 0}, "a key with a int"),
        ({((1, 2), 3): 0}, "a key with a tuple"),
        (np.zeros(1, [("a", [("b", "f8")])]), "a column that is no plain array"),
    ],
)
def test_pickles_of_anything_else_are_refused_by_name(path: Path, value: object, word: str) -> None:
    assert word in refused(path, pickle.dumps(value))


DTYPE = b"cnumpy\ndtype\n(Vf8\nI00\nI01\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"


@pytest.mark.parametrize(
    ("program", "word"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 42) + b"abc.", "ValueError"),  # bytes that are not there
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 42) + b"abc.", "ValueError"),
        (EMPTY + b"(I1\n(L1000000000000L\nt" + DTYPE + b"I00\nC\x00tb.", "bytes for an array of shape"),
        (EMPTY + b"(I1\n(I1\nt" + DTYPE + b"I00\n(Nltb.", "an array of list items"),
        (EMPTY + b".", "an array or a dtype without its state"),
        (EMPTY + b"\x85.", "an array or a dtype without its state"),
        (EMPTY + b"(I1\n(I0\nt" + DTYPE + b"I00\nC\x00tb(tb.", "a state for a"),  # a second state
        (b"cnumpy\ndtype\n(Vf8\nI00\nI01\ntR\x85.", "an array or a dtype without its state"),
        (DTYPE + b"(I3\nV>\nNNNI-1\nI-1\nI0\ntb.", "a state for a"),
        (DTYPE + b"(tR.", "a call of a"),
        (DTYPE + b"I0\nI1\ns.", "where a dict is filled"),
        (b"(I1\nV__class__\nios\nsystem\n.", "the operation INST"),
        (b"Vid\nP1\n.", "the operation PERSID"),
        (b"0.", "IndexError"),
        (b"t.", "IndexError"),
        (b"h\x07.", "KeyError"),
        (b"N", "ValueError"),
        (b"", "ValueError"),
        (b"\xff.", "ValueError"),
    ],
)
def test_pickles_made_by_hand_to_do_harm(path: Path, program: bytes, word: str) -> None:
    assert word in refused(path, program)


@pytest.mark.usefixtures("little_memory")
def test_a_memo_of_two_thousand_million_places_takes_no_memory(path: Path) -> None:
    path.write_bytes(b"Nr\xff\xff\xff\x7f.")
    assert read_pickle(path) is None


@pytest.mark.parametrize(
    "program",
    [
        b"\x8f" * 100_000 + b".",  # empty sets, each of 200 bytes
        # the same bytes and the same list, copied again and again
        b"B"
        + struct.pack("<I", 50_000)
        + bytes(50_000)
        + b"q\x00cbuiltins\nbytes\nq\x01"
        + b"h\x01h\x00\x85R" * 200
        + b".",
        b"(" + b"N" * 3_000 + b"lq\x00cbuiltins\nset\nq\x01" + b"h\x01h\x00\x85R" * 200 + b".",
    ],
)
def test_memory_that_a_pickle_asks_for_is_counted(path: Path, program: bytes) -> None:
    assert "needs more than 4000000 bytes" in refused(path, program, max_bytes=4_000_000)


def test_arrays_in_a_pickle_are_counted(path: Path) -> None:
    program = pickle.dumps(np.zeros(10_000))
    path.write_bytes(program)
    assert read_pickle(path, max_bytes=100_000).size == 10_000
    assert "needs more than 82000 bytes" in refused(path, program, max_bytes=82_000)
    with pytest.raises(CatalogFileError, match="raise max_bytes"):
        read_pickle(path, max_bytes=80_000)


def test_tuples_that_double_sixty_times_are_never_hashed(path: Path) -> None:
    program = b"}(K\x01" + b"2\x86" * 60 + b"Nu."
    assert "a key with a tuple" in refused(path, program)
    path.write_bytes(b"K\x01" + b"2\x86" * 60 + b".")
    assert isinstance(read_pickle(path), tuple)  # without a hash they are harmless


def mutants(content: bytes, count: int, rng: np.random.Generator) -> list[bytes]:
    """Flip, cut, double and drop bytes."""
    found = []
    for _ in range(count):
        data = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(len(data))) if data else 0
            match rng.integers(4):
                case 0:
                    data[place : place + 1] = rng.bytes(1)
                case 1:
                    data = data[:place]
                case 2:
                    data[place:place] = data[place : place + int(rng.integers(1, 40))]
                case 3:
                    del data[place : place + int(rng.integers(1, 9))]
        found.append(bytes(data))
    return found


@pytest.fixture
def little_memory() -> object:
    """Leave a hostile file 400 MB of address space beyond what the process has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 400_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("kind", ["npy", "npz", "pickle 0", "pickle 2", "pickle 4", "pickle 5"])
@pytest.mark.usefixtures("little_memory")
def test_hundreds_of_broken_files_raise_nothing_but_our_errors(path: Path, kind: str) -> None:
    rng = np.random.default_rng(20260707)
    small = {name: ARRAYS[name] for name in ("floats", "table", "times")}
    if kind == "npy":
        content, read = npy(ARRAYS["table"]), read_npy
    elif kind == "npz":
        stream = io.BytesIO()
        np.savez_compressed(stream, **small)
        content, read = stream.getvalue(), read_npz
    else:
        value = {"a": [1, 2.5, "x", b"y", {3}], **small}
        content, read = pickletools.optimize(pickle.dumps(value, int(kind[-1]))), read_pickle
    failures = []
    for data in mutants(content, 400, rng):
        path.write_bytes(data)
        try:
            read(path, max_bytes=50_000_000)
        except (CatalogFormatError, CatalogFileError) as exc:
            failures.append(str(exc))
    assert len(failures) > 100
    assert not any("\n" in text for text in failures)
