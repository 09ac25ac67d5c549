"""The record of a run comes back, and hashes are those of the bytes."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import CatalogFileError
from catalogs.provenance import Provenance, Rejected, Source, sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == ABC
    with pytest.raises(CatalogFileError, match="No such file"):
        sha256_of(tmp_path / "b")


def test_source_keeps_hash_and_rejects(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    lost = Rejected("NGC 1", "row 2", "expected a number, found 'x'")
    assert Source.of(tmp_path / "a", [lost]) == Source(str(tmp_path / "a"), ABC, (lost,))


def test_record_takes_down_the_run():
    record = Provenance.record(seed=7, sources=[Source("a", ABC)], settings={"n": 1}, command="x y")
    assert (record.seed, record.inputs, record.settings, record.command) == (7, {"a": ABC}, {"n": 1}, "x y")
    assert record.versions["numpy"] == version("numpy")
    assert record.created.endswith("+00:00")


@settings(max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.none() | st.integers(0, 2**64), st.text())
def test_json_round_trip(choices, seed, command):
    record = Provenance(seed=seed, settings=choices, command=command)
    text = record.to_json()
    assert Provenance.from_json(text) == record
    assert "\n" not in text
    assert text.isascii()


def test_keys_of_newer_files_are_left_out_and_others_refused():
    assert Provenance.from_json(json.dumps({"seed": 3, "colour": "blue"})) == Provenance(seed=3)
    with pytest.raises(ValueError, match="found list"):
        Provenance.from_json("[]")
