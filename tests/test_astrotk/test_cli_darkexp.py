"""``astrotk darkexp``: what it writes, what it prints, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from astropy.table import Table

from astrotk.cli import main
from astrotk.cli.darkexp import evaluate, fit
from catalogs.result import Result, read_result_table
from catalogs.tables import Column, read_table

POINTS = ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")
CONTRACT = ["galaxy", "profile", "n_points", "n_free", "chi2_red", "bic", "converged"]


class Run(NamedTuple):
    code: int
    stdout: str
    stderr: str


def astrotk(*arguments: object) -> Run:
    """Run the command line in this process, up to its exit code."""
    stdout, stderr = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(sys, "argv", ["astrotk", "darkexp", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
    return Run(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())


def error_of(run: Run) -> str:
    """Return the one line that a user's error is."""
    assert run.code == 2, run
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if "warning" not in line]
    assert line.startswith("astrotk: error: ")
    return line


def write_rotmod(folder: Path, curves, galaxies: Sequence[int]) -> None:
    """Write galaxies as SPARC does, with more digits."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in galaxies:
        rows = np.stack([getattr(curves, key)[curves.points(i)] for key in POINTS], axis=1)
        lines = [" ".join([*(f"{value:.10g}" for value in row), "0", "0"]) for row in rows]
        text = "\n".join([f"# Distance = {curves.distance[i]:.10g} Mpc", "# Rad Vobs errV", *lines, ""])
        (folder / f"{curves.name[i]}_rotmod.dat").write_text(text, "utf-8")


def write_galaxies(path: Path, galaxies) -> None:
    """Write SPARC's galaxy table."""
    lines = ["Title: mock", "-" * 80]
    keys = ("name", "distance", "e_distance", "inclination", "e_inclination", "luminosity", "r_eff", "quality")
    for name, d, e_d, i, e_i, luminosity, r_eff, q in zip(*(getattr(galaxies, key) for key in keys), strict=True):
        lines.append(f"{name} 9 {d} {e_d} 1 {i} {e_i} {luminosity} 0.1 {r_eff} 1 1 1 1 1 1 1 {int(q)} Me00")
    path.write_text("\n".join([*lines, ""]), "utf-8")


@pytest.fixture(scope="module")
def mock():
    from astrotk.darkexp.mock import disks, observe
    from astrotk.darkexp.profiles import PROFILES

    template, log_m200 = disks(3, seed=4)
    return observe(template, PROFILES["NFW"], log_m200, seed=4)[0]


@pytest.fixture(scope="module")
def data(mock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three galaxies with their galaxy table."""
    folder = tmp_path_factory.mktemp("data") / "Rotmod"
    write_rotmod(folder, mock, range(3))
    write_galaxies(folder.parent / "SPARC_Lelli2016c.mrt", mock.galaxies)
    return folder


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    out = tmp_path_factory.mktemp("fits") / "new" / "folder"
    return out, astrotk("fit", data, "--profiles", "NFW,Burkert", "--method", "map", "--out", out)


def test_fit_writes_the_catalogue_of_the_contract(data: Path, fitted: tuple[Path, Run]) -> None:
    out, run = fitted
    assert (run.code, run.stderr) == (0, "")
    catalogue, provenance = read_result_table(out / "catalogue.ecsv")
    assert set(CONTRACT) <= set(catalogue.colnames)
    assert catalogue["galaxy"].tolist() == [name for name in ("mock-01", "mock-02", "mock-03") for _ in range(2)]
    assert catalogue["profile"].tolist() == ["NFW", "Burkert"] * 3
    assert catalogue["n_free"].tolist() == [5] * 6
    assert np.all(catalogue["converged"])
    nfw = catalogue[catalogue["profile"] == "NFW"]
    assert np.all((nfw["chi2_red"] > 0.3) & (nfw["chi2_red"] < 2.0))
    assert {Path(path).name for path in provenance.inputs} == {
        *(f"mock-0{i}_rotmod.dat" for i in (1, 2, 3)),
        "SPARC_Lelli2016c.mrt",
    }
    assert {path.name for path in out.iterdir()} == {
        *("catalogue.ecsv", "result.h5"),
        *("rotation_curves.png", "comparison.png", "diversity.png"),
    }
    assert Result.read(out / "result.h5").kind == "darkexp"
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["profile", "NFW", "Burkert", str(out / "catalogue.ecsv")]
    assert lines[1].split()[1:3] == ["3", "3"]
    assert len(lines[0]) == len(lines[1]) == len(lines[2])


POSTERIOR = ("--profiles", "NFW", "--method", "posterior", "--max-steps", 512, "--figures", "none")


def test_posteriors_have_the_columns_of_the_contract(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "posterior"
    run = astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--json", "--out", out)
    assert run.code == 0, run
    assert json.loads(run.stdout)["profiles"][0]["n_fits"] == 3
    rows, _ = read_result_table(out / "catalogue.ecsv")
    wanted = ["ess", "rhat", "converged", "at_bound", "delta_bic"]
    assert set(wanted) | {f"ml_disk_{end}" for end in ("p16", "p50", "p84")} <= set(rows.colnames)
    assert Result.read(out / "result.h5").arrays["draws"].shape[:2] == (3, 512)
    assert not (out / "shards").exists(), "nothing is left to resume"


def test_what_an_interrupted_run_left_is_resumed_when_asked(data: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "posterior"
    assert astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--out", whole).code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # as if it had been killed just before
        assert astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--out", out).code == 0
    (out / "catalogue.ecsv").unlink()
    assert "shards" in error_of(astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--out", out))
    assert astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--resume", "--out", out).code == 0
    first, second = (read_result_table(folder / "catalogue.ecsv")[0] for folder in (whole, out))
    for name in wanted(first):
        np.testing.assert_array_equal(first[name], second[name], name)


def wanted(table: Table) -> list[str]:
    return [name for name in table.colnames if table[name].dtype.kind in "fib"]


def test_dask_by_address(data: Path, tmp_path: Path) -> None:
    """--dask alone, whatever the number of cores; the bits are those of this process."""
    distributed = pytest.importorskip("distributed")
    here, there = tmp_path / "here", tmp_path / "there"
    assert astrotk("fit", data, *POSTERIOR, "--jobs", 1, "--out", here).code == 0
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, protocol="tcp")
    with cluster:
        run = astrotk("fit", data, *POSTERIOR, "--dask", cluster.scheduler_address, "--out", there)
    assert run.code == 0, run
    first, second = (read_result_table(folder / "catalogue.ecsv")[0] for folder in (here, there))
    for name in wanted(first):
        np.testing.assert_array_equal(first[name], second[name], name)


def test_evaluate_finds_the_chi2_of_fit(data: Path, fitted: tuple[Path, Run], tmp_path: Path) -> None:
    catalogue = fitted[0] / "catalogue.ecsv"
    run = astrotk("evaluate", catalogue, "--data", data, "-o", tmp_path / "again.ecsv")
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout.startswith("6 of 6 rows computed, median chi2_red ")
    wanted, found = (read_result_table(path)[0] for path in (catalogue, tmp_path / "again.ecsv"))
    for key in ("galaxy", "profile", "n_points", "n_free"):
        assert found[key].tolist() == wanted[key].tolist()
    np.testing.assert_allclose(found["chi2_red"], wanted["chi2_red"], rtol=1e-10)
    assert not (tmp_path / "again-rejected.ecsv").exists()


def test_evaluate_a_published_table(data: Path, fitted: tuple[Path, Run], tmp_path: Path) -> None:
    """Other names, other columns, rows that cannot be computed: one output row an input row, in order."""
    catalogue = read_result_table(fitted[0] / "catalogue.ecsv")[0]
    keys = ("profile", "galaxy", "distance_Mpc", "inclination_deg", "ml_disk", "ml_bulge", "v200", "c200")
    published = Table({key: catalogue[key] for key in keys})[[5, 0, 3]]
    published["comment"] = ["a", "b", "c"]
    published["galaxy"][0] = "NGC0000"
    published.rename_column("ml_disk", "Ydisk")
    published.write(tmp_path / "published.csv")
    (tmp_path / "out-rejected.csv").touch()
    arguments = ("evaluate", tmp_path / "published.csv", "--data", data, "--map", "ml_disk=Ydisk")
    run = astrotk(*arguments, "-o", tmp_path / "out.csv", "--json")
    assert run.code == 0, run
    report = json.loads(run.stdout)
    assert report == {"out": str(tmp_path / "out.csv"), "rows": 3, "computed": 2, "rejected": 1} | {
        "median_chi2_red": pytest.approx(np.median(catalogue["chi2_red"][[0, 3]]), rel=1e-6)
    }
    found = read_result_table(tmp_path / "out.csv")[0]
    assert found["comment"].tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(found["chi2_red"], [np.nan, *catalogue["chi2_red"][[0, 3]]], rtol=1e-6)
    rejected = read_result_table(tmp_path / "out-rejected.ecsv")[0]
    assert rejected["name"].tolist() == ["NGC0000"]
    assert rejected["reason"][0] == "expected a galaxy of the data, found 'NGC0000'"

    published[:1].write(tmp_path / "published.csv", overwrite=True)
    message = error_of(astrotk(*arguments, "-o", tmp_path / "none.csv"))
    assert "published.csv, row 1: expected at least one row that can be computed, found none: expected a" in message
    assert not (tmp_path / "none.csv").exists()


def test_the_same_command_gives_the_same_bytes(data: Path, fitted: tuple[Path, Run], tmp_path: Path) -> None:
    out = tmp_path / "fits"
    assert astrotk("fit", data, "--out", out, "--figures", "none").code == 0
    assert {path.name for path in out.iterdir()} == {"catalogue.ecsv", "result.h5"}

    def body(folder: Path) -> bytes:
        return re.sub(rb"^#.*\n", b"", (folder / "catalogue.ecsv").read_bytes(), flags=re.MULTILINE)

    assert body(out) == body(fitted[0])
    assert body(out).count(b"\n") == 7


@pytest.mark.parametrize("kind", ["fits", "csv", "parquet", "mrt"])
def test_formats_of_the_catalogue(data: Path, tmp_path: Path, kind: str) -> None:
    options = ("--profiles", "pISO", "--figures", "none", "--format", kind)
    assert astrotk("fit", data / "mock-01_rotmod.dat", *options, "--out", tmp_path).code == 0
    wanted = read_result_table(tmp_path / "catalogue.ecsv")[0]
    columns = [Column("galaxy", text=True), Column("chi2_red"), Column("r_s_kpc", "pc")]
    found = read_table(tmp_path / f"catalogue.{kind}", columns).columns
    assert found["galaxy"].tolist() == ["mock-01"]
    np.testing.assert_allclose(found["chi2_red"], wanted["chi2_red"], rtol=1e-6)
    np.testing.assert_allclose(found["r_s_kpc"], wanted["r_s_kpc"] * (1 if kind == "csv" else 1e3), rtol=1e-6)


def test_good_and_bad_files_together(mock, tmp_path: Path) -> None:
    write_rotmod(tmp_path / "data", mock, [0])
    (tmp_path / "data" / "broken_rotmod.dat").write_bytes(b"\x80\x81")
    out = tmp_path / "fits"
    options = ("--profiles", "Burkert", "--fix", "ml_disk=0.5", "--figures", "all", "--out", out)
    run = astrotk("fit", tmp_path / "data", tmp_path / "gone", *options, "--json")
    assert run.code == 0, run
    report = json.loads(run.stdout)
    assert report["rejected"] == 2
    assert report["profiles"][0] | {"profile": "Burkert", "n_fits": 1} == report["profiles"][0]
    rejected = read_result_table(out / "rejected.ecsv")[0]
    assert rejected["name"].tolist() == ["broken_rotmod.dat", "gone"]
    assert rejected["reason"][0].startswith("expected UTF-8 text, found")
    catalogue = read_result_table(out / "catalogue.ecsv")[0]
    assert (catalogue["ml_disk"].tolist(), catalogue["n_free"].tolist()) == ([0.5], [2])
    assert [path.name for path in out.glob("*mock-01*")] == ["rotation_curve_mock-01.png"]
    # without a galaxy table distance and inclination cannot be free
    assert run.stderr.startswith("astrotk: warning: for 1 of 1 galaxies no table gives the errors of distance")
    assert run.stderr.count("\n") == 1

    # what was left out then must not be told of a run that left nothing out
    (tmp_path / "data" / "broken_rotmod.dat").unlink()
    write_galaxies(tmp_path / "galaxies.mrt", mock.galaxies)
    run = astrotk("fit", tmp_path / "data", "--galaxies", tmp_path / "galaxies.mrt", *options)
    assert (run.code, run.stderr) == (0, "")
    assert not (out / "rejected.ecsv").exists()
    assert read_result_table(out / "catalogue.ecsv")[0]["n_free"].tolist() == [4]


def test_a_users_table_of_points(mock, tmp_path: Path) -> None:
    rows = {key: getattr(mock, key) for key in ("v_obs", "e_v_obs", "v_gas", "v_disk")}
    table = Table({"gal": np.repeat(mock.name, mock.n_points), "radius": mock.r, **rows})
    table["distance"] = np.repeat(mock.distance, mock.n_points)
    table.write(tmp_path / "mine.csv")
    names = ("galaxy=gal", "r=radius")
    maps = [word for pair in names for word in ("--map", pair)]
    out = tmp_path / "fits"
    run = astrotk("fit", tmp_path / "mine.csv", *maps, "--profiles", "NFW", "--figures", "none", "--out", out)
    assert run.code == 0, run
    maps = [word for pair in names for word in ("--data-map", pair)]
    found = tmp_path / "found.fits"
    run = astrotk("evaluate", out / "catalogue.ecsv", "--data", tmp_path / "mine.csv", *maps, "-o", found)
    assert run.code == 0, run
    wanted = read_result_table(out / "catalogue.ecsv")[0]["chi2_red"]
    np.testing.assert_allclose(read_result_table(found)[0]["chi2_red"], wanted, rtol=1e-10)


def csv(rows: str, names: str = "galaxy,distance,r,v_obs,e_v_obs,v_gas,v_disk") -> bytes:
    return f"{names}\n{rows}\n".encode()


BAD = {
    "missing column": ("x.csv", csv("A,9,1,50,2,3", "galaxy,distance,r,v_obs,v_gas,v_disk"), "a column 'e_v_obs'"),
    "NaN": ("x.csv", csv("A,9,1,nan,2,3,4"), "row 1, column 'v_obs': expected a finite number"),
    "negative error": ("x.csv", csv("A,9,1,50,-2,3,4"), "column 'e_v_obs': expected a positive number"),
    "zero points": ("x.csv", csv("")[:-1], "expected rows, found none"),
    "no distance": ("x.csv", csv("A,,1,50,2,3,4"), "expected a distance in Mpc"),
    "wrong unit": (
        "x.ecsv",
        b"# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# - {name: r, unit: K, datatype: float64}\n"
        + b"".join(b"# - {name: %b, datatype: float64}\n" % n for n in (b"v_obs", b"e_v_obs", b"v_gas", b"v_disk"))
        + b"r,v_obs,e_v_obs,v_gas,v_disk\n1,50,2,3,4\n",
        "column 'r'",
    ),
    "binary": ("x_rotmod.dat", bytes(range(128, 256)) * 9, "UTF-8 text"),
    "binary table": ("x.csv", bytes(range(256)) * 9, "comma-separated text"),
    "not FITS": ("x.fits", b"SIMPLE?", "FITS"),
    "all points bad": ("x_rotmod.dat", b"# Distance = 9 Mpc\n1 50 0 1 1 0 0 0\n", "line 2: expected at least one"),
    "empty": ("x_rotmod.dat", b"", "# Distance"),
    "unknown format": ("x.doc", b"", "found 'doc'"),
    "empty folder": (None, b"", "expected files NAME_rotmod.dat or MassModels_Lelli2016c.mrt"),
}


@pytest.mark.parametrize("case", BAD)
def test_nothing_good_is_one_line_and_exit_2(tmp_path: Path, case: str) -> None:
    name, content, expected = BAD[case]
    path = tmp_path / "data"
    path.mkdir()
    if name is not None:
        path /= name
        path.write_bytes(content)
    for command in (("fit", path, "--out", tmp_path / "fits"), ("evaluate", path, "--data", path)):
        line = error_of(astrotk(*command))
        if command[0] == "fit":
            assert expected in line
            assert str(path) in line
    assert not (tmp_path / "fits").exists()


def test_links_out_of_hdf5_end_the_same_way(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["r"] = h5py.ExternalLink("/etc/passwd", "r")
    assert "x.h5" in error_of(astrotk("fit", tmp_path / "x.h5"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--profiles", "NFW,Plummer"), "no halo profile is called 'Plummer': choose from DARKexp, DARKexp-gamma, NFW"),
        (("--fix", "mass=3"), "cannot fix 'mass': the parameters are "),
        (("--fix", "ml_disk=-1"), "cannot fix ml_disk at -1"),
        (("--min-points", "1000"), "expected at least one galaxy to fit, found"),
        (("--galaxies", "gone.mrt"), "gone.mrt: there is no such file"),
    ],
)
def test_options_that_make_no_sense(data: Path, tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    assert expected in error_of(astrotk("fit", data, *options, "--out", tmp_path / "fits"))
    assert not (tmp_path / "fits").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--prior", "cdm"), "'cdm' is not one of 'flat', 'lcdm'"),
        (("--format", "xls"), "is not one of 'ecsv', 'fits', 'mrt', 'csv', 'parquet'"),
        (("--fix", "ml_disk=half"), "expected NAME=NUMBER"),
        (("--fix", "ml_disk"), "expected NAME=NUMBER, found 'ml_disk'"),
        (("--map", "=r"), "expected OURS=THEIRS, found '=r'"),
        (("--max-quality", "4"), "4 is not in the range 1<=x<=3"),
    ],
)
def test_options_that_cannot_be_read(data: Path, options: tuple[str, ...], expected: str) -> None:
    run = astrotk("fit", data, *options)
    assert (run.code, run.stdout) == (2, "")
    assert expected in run.stderr.splitlines()[-1]


def test_the_folder_to_write_into_may_not_be_a_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "fits").touch()
    assert "is a file; name a folder" in error_of(astrotk("fit", data, "--out", tmp_path / "fits"))


@pytest.mark.parametrize("columns", [80, 110])
@pytest.mark.parametrize("command", [fit, evaluate])
def test_help_mentions_every_option_and_fits_the_terminal(
    command, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    run = astrotk(command.name, "--help")
    assert run.code == 0
    assert "Examples:\n    astrotk darkexp " in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= columns - 1
    for parameter in command.params:
        for flag in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"^  .*{flag}\b", run.stdout, re.MULTILINE), flag
        assert parameter.param_type_name == "argument" or parameter.help


def test_the_process_itself(data: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "astrotk", "darkexp", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)

    good = run("fit", data / "mock-02_rotmod.dat", "--profiles", "NFW", "--figures", "none")
    assert (good.returncode, good.stderr) == (0, "")
    assert (tmp_path / "darkexp-fit" / "catalogue.ecsv").is_file()
    bad = run("fit", "gone")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "astrotk: error: gone: there is no such file or folder\n"
