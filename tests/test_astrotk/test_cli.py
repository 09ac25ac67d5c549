"""The frame of the command line: what it loads, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from astropy.table import Table
from click.testing import CliRunner

import astrotk
from astrotk.cli import demo, doctor, fetch, main, options
from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from gpu import _cuda
from gpu.registry import BACKENDS, BackendUnavailable

ASTROTK = [sys.executable, "-m", "astrotk"]
HEAVY = {"numpy", "scipy", "astropy", "numba", "h5py", "matplotlib", "pyarrow", "requests", "pooch", "jinja2"}


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120, **options)


def ending(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["astrotk", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code or 0


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> object:
    """Make ``astrotk fetch`` raise something."""

    def plant(exception: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise exception

        monkeypatch.setattr(fetch, "command", command)

    return plant


def test_help_loads_nothing_heavy_and_lists_every_command() -> None:
    code = "import sys; from astrotk.cli.main import main\ntry: main()\nfinally: print('\\n', *sys.modules)"
    found = run(sys.executable, "-c", code, "--help")
    assert found.returncode == 0
    text, _, modules = found.stdout.rpartition("\n ")
    loaded = set(modules.split())
    assert "click" in loaded
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("astrotk.cli")} == {"astrotk.cli", "astrotk.cli.main"}
    for section in main.COMMANDS.values():
        for name, (_, line) in section.items():
            assert f"  {name} " in text
            assert line in text


@pytest.mark.parametrize("module", ["demo", "doctor", "fetch", "options", "darkexp", "report"])
def test_no_command_module_loads_anything_heavy(module: str) -> None:
    found = run(sys.executable, "-c", f"import sys, astrotk.cli.{module}; print(*sys.modules)")
    assert not set(found.stdout.split()) & HEAVY, found.stderr
    assert found.returncode == 0


@pytest.mark.parametrize("name", [name for section in main.COMMANDS.values() for name in section])
def test_every_command_of_the_table_is_there_and_has_help(name: str) -> None:
    found = CliRunner().invoke(main.cli, [name, "-h"])
    assert found.exit_code == 0, found.output
    assert f"Usage: cli {name}" in found.output


def test_version() -> None:
    assert run(*ASTROTK, "--version").stdout == f"astrotk {astrotk.__version__}\n"


@pytest.mark.parametrize(
    "error",
    [
        CatalogFormatError("a.csv", "a number", "'x'\nand more", "row 3"),
        CatalogFileError("a.csv", "is missing"),
        ParameterError("no such thing"),
        BackendUnavailable("no GPU here"),
        PermissionError(13, "Permission denied", "out.h5"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    error: Exception, raising: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert ending(monkeypatch, "fetch") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"astrotk: error: {' '.join(str(error).split())}\n"


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), OSError("strange")])
def test_a_fault_of_ours_is_not_hidden(error: Exception, raising: object, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(error)
    monkeypatch.setattr(sys, "argv", ["astrotk", "fetch"])
    with pytest.raises(type(error), match=str(error)):
        main.main()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_ends_with_130(
    error: BaseException, raising: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert ending(monkeypatch, "fetch") == 130
    assert capsys.readouterr().err.endswith("astrotk: interrupted\n")


def test_ctrl_c_in_a_long_step(tmp_path: Path) -> None:
    code = (
        "import sys, time, click\n"
        "from pathlib import Path\n"
        "from astrotk.cli import fetch, main\n"
        "@click.command()\n"
        "def long():\n"
        "    Path('started').touch()\n"
        "    time.sleep(100)\n"
        "fetch.command = long\n"
        "sys.argv = ['astrotk', 'fetch']\n"
        "main.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "astrotk: interrupted"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["fetchh"], "No such command"),
        (["fetch", "--no"], "No such option"),
        (["demo", "--seed", "x"], "--seed"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, *arguments) == 2
    assert word in capsys.readouterr().err


def test_a_reader_that_closes_the_pipe_early_gets_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        found = subprocess.run(
            [*ASTROTK, "--help"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert found.stderr == ""
    assert found.returncode == 1


def test_the_shared_options_and_their_defaults() -> None:
    seen: dict[str, object] = {}

    @click.command()
    @options.out("results")
    @options.fmt()
    @options.seed(7)
    @options.jobs()
    @options.dask()
    @options.backend()
    @options.json()
    @options.figures()
    @options.resume()
    def command(**values: object) -> None:
        seen.update(values)

    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == {
        "out": Path("results"),
        "fmt": "h5",
        "seed": 7,
        "jobs": len(os.sched_getaffinity(0)),
        "dask": None,
        "backend": "auto",
        "as_json": False,
        "figures": "summary",
        "resume": False,
    }
    chosen = ["-o", "x", "--format", "fits", "--jobs", "3", "--json", "--figures", "all", "--resume"]
    CliRunner().invoke(command, chosen)
    assert (seen["out"], seen["fmt"], seen["jobs"]) == (Path("x"), "fits", 3)
    assert (seen["as_json"], seen["figures"], seen["resume"]) == (True, "all", True)
    for wrong in ("--jobs 0", "--seed -1", "--format xls", "--backend abacus", "--figures some"):
        assert CliRunner().invoke(command, wrong.split()).exit_code == 2


def test_the_backends_offered_are_those_of_the_kernels() -> None:
    (option,) = options.backend()(click.command()(lambda: None)).params
    assert tuple(option.type.choices) == BACKENDS


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTROTK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASTROTK_DATA", str(tmp_path / "data"))
    return tmp_path


def test_doctor_says_what_is_there_in_words(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cuda, "status", lambda: (False, "no driver on this machine"))
    found = CliRunner().invoke(doctor.command, [])
    assert found.exit_code == 0
    lines = [" ".join(line.split()) for line in found.output.splitlines()]
    assert f"astrotk {astrotk.__version__}" in lines
    assert "stats ours" in lines
    assert "usable no" in lines
    assert "reason no driver on this machine" in lines
    assert "data set sparc absent" in lines
    assert f"cache of downloads {no_cache / 'cache'}" in lines
    assert f"data folder {no_cache / 'data'} (not there; only tests on real data need it (ASTROTK_DATA))" in lines


def test_doctor_in_json(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_cache / "data").mkdir()
    monkeypatch.setattr(_cuda, "status", lambda: (True, "A card"))
    report = json.loads(CliRunner().invoke(doctor.command, ["--json"]).stdout)
    assert report["GPU"] == {"usable": True, "device": "A card"}
    assert report["Files"]["data folder"] == f"{no_cache / 'data'} (there)"
    assert report["Processor"]["threads of a kernel"] >= 1


def test_doctor_finds_that_astrotk_cannot_work(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "shadowed", lambda: {"gpu": (Path("wanted"), "elsewhere/gpu.py")})
    found = CliRunner().invoke(doctor.command, [])
    assert "hidden by elsewhere/gpu.py" in found.output
    assert found.exit_code == 1


def test_doctor_when_kernels_cannot_be_cached(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locator(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("numba.core.caching.FunctionCache", no_locator)
    found = CliRunner().invoke(doctor.command, [])
    assert "compiled anew in each process: set NUMBA_CACHE_DIR" in found.output
    assert found.exit_code == 0


def test_fetch_lists_and_fetches_offline(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from catalogs import fetch as library

    for arguments in ([], ["--list", "sparc"]):
        found = CliRunner().invoke(fetch.command, arguments)
        assert found.output.split()[:3] == ["sparc", "297kB", "absent"]
    found = CliRunner().invoke(fetch.command, ["sparc", "--offline"])
    assert isinstance(found.exception, CatalogFileError)

    source = library.sources()["sparc"]
    paths = [source.folder / file.name for file in source.files]
    monkeypatch.setattr(library, "fetch", lambda name, *, offline: paths)
    found = CliRunner().invoke(fetch.command, ["sparc", "--offline"])
    assert found.exit_code == 0
    for word in (str(paths[0]), source.files[0].sha256, "CC-BY-4.0", "AJ 152, 157", f"doi.org/{source.doi}"):
        assert word in found.output


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch) -> dict[str, SimpleNamespace]:
    """Two made-up systems in place of the real ones; "two" misses its truth."""
    from catalogs.result import Result
    from stats.demo import Demo

    def module(name: str, recovered: list[float]) -> SimpleNamespace:
        truth = Table(
            {
                "object": ["A", "A"],
                "quantity": ["log M", "c"],
                "unit": ["dex", ""],
                "truth": [11.0, 10.0],
                "recovered": recovered,
                "error": [0.1, 0.0],
            }
        )
        rejected = Table(names=["name", "where", "reason"], dtype=[str, str, str])
        result = Result(kind="demo", tables={"values": truth, "rejected": rejected})
        seeds: list[int] = []

        def demonstrate(seed: int) -> Demo:
            seeds.append(seed)
            return Demo(name, "A summary.", result, truth, ())

        return SimpleNamespace(run=demonstrate, seeds=seeds)

    made = {"one": module("First", [11.05, 9.0]), "two": module("Second", [12.0, 9.0])}
    monkeypatch.setattr(demo, "DEMOS", {name: name for name in made})
    monkeypatch.setattr(demo, "import_module", made.__getitem__)
    (only,) = (option for option in demo.command.params if option.name == "only")
    monkeypatch.setattr(only, "type", click.Choice(list(made)))
    return made


def test_demo_writes_results_and_a_page_and_prints_each_quantity(
    systems: dict[str, SimpleNamespace], tmp_path: Path
) -> None:
    from catalogs.result import Result

    out = tmp_path / "new" / "demo"
    found = CliRunner().invoke(demo.command, ["-o", str(out), "--only", "one", "--seed", "5"])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert " ".join(lines[0].split()) == "one A log M truth 11 recovered 11.05 ± 0.1 dex pull +0.5 recovered"
    assert lines[1].split()[-3:] == ["no", "error", "bar"]
    assert lines[2] == str(out / "index.html")
    assert found.stderr.startswith("one ... ")
    assert (systems["one"].seeds, systems["two"].seeds) == ([5], [])
    assert Result.read(out / "one.h5").kind == "demo"
    assert "First" in (out / "index.html").read_text("utf-8")


def test_demo_fails_where_a_truth_is_missed(systems: dict[str, SimpleNamespace], tmp_path: Path) -> None:
    found = CliRunner().invoke(demo.command, ["-o", str(tmp_path)])
    assert found.exit_code == 1
    assert "two  FAILED" in found.stdout
    assert "one  FAILED" not in found.stdout
    report = json.loads(CliRunner().invoke(demo.command, ["-o", str(tmp_path), "--json"]).stdout)
    assert {name: system["passed"] for name, system in report["systems"].items()} == {
        "one": True,
        "two": False,
    }
    assert report["systems"]["two"]["quantities"][0]["pull"] == pytest.approx(10)
    assert report["systems"]["two"]["quantities"][1]["pull"] is None


def test_every_demo_of_the_table_can_be_run() -> None:
    for place in demo.DEMOS.values():
        assert callable(import_module(place).run)
