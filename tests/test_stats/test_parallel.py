"""Shards on real processes, on a Dask cluster over TCP and on MPI, with real kills: the same bits as in one process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError
from stats.parallel import ShardReport, open_executor, run_shards, split, surviving

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # which spawned processes inherit: they import the tasks by name

from shard_tasks import FINGERPRINT, deadly, draw, shards, threads  # noqa: E402

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "shards.jsonl"}


def run(folder, task=draw, arguments=None, executor=None, **options):
    options = {"fingerprint": FINGERPRINT} | options
    with ExitStack() as stack:
        workers = executor or stack.enter_context(open_executor())
        return run_shards(task, shards() if arguments is None else arguments, folder, workers, **options)


def counted(argument, path):
    """Write the argument and note the call."""
    text, log = argument
    path.write_text(text)
    with Path(log).open("a") as stream:
        stream.write(text)


def letters(tmp_path, text="abcd"):
    return {f"{letter}.txt": (letter, tmp_path / "log") for letter in text}


def failing(errors):
    """Return a task that raises for some arguments."""

    def task(argument, path):
        if argument in errors:
            raise errors[argument]
        path.write_text(argument)

    return task


def because_of(cause):
    error = RuntimeError("cannot go on")
    error.__cause__ = cause
    return error


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The bits of one process without a fault."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    report = run(folder)
    assert (report.objects, report.kept, report.failed) == (40, 0, ())
    return contents(folder)


def with_deaths(tmp_path, deaths):
    """Arguments of `deadly`: the fourth shard kills its worker so many times."""
    arguments = {name: (names, []) for name, names in shards().items()}
    markers = [tmp_path / f"marker {k}" for k in range(deaths)]
    for marker in markers:
        marker.touch()
    fourth = list(arguments)[3]
    arguments[fourth] = (arguments[fourth][0], markers)
    return arguments


class TestSplit:
    @given(st.integers(0, 3000), st.integers(1, 500))
    def test_covers_all_in_order(self, n, size):
        cut = split(range(n), size)
        names = [name for name, _ in cut]
        lengths = [len(range(n)[part]) for _, part in cut]
        assert [k for _, part in cut for k in range(n)[part]] == list(range(n))
        assert names == sorted(set(names))
        assert len(cut) == -(-n // size)
        assert not lengths or (max(lengths) <= size and max(lengths) - min(lengths) <= 1)

    def test_names_say_which_objects(self):
        """Sizes that give as many shards give the same shards."""
        assert split(range(100), 34) == split(range(100), 49) == split(range(100), 40)[:3]
        assert split(range(100), 34)[0] == ("00001-of-00003", slice(0, 33))

    def test_names_grow_with_their_number(self):
        (first, _), *_, (last, _) = split(range(100_000), 1)
        assert (first, last) == ("000001-of-100000", "100000-of-100000")

    def test_refuses_a_size_of_zero(self):
        with pytest.raises(ParameterError, match="from 1 on, found 0"):
            split("abc", 0)


class TestSurviving:
    @given(st.integers(0, 40), st.sets(st.integers(0, 39)))
    def test_only_what_fails_alone_is_left_out(self, n, bad):
        def work(objects):
            if bad.intersection(objects.tolist()):
                raise ValueError("a\nbad one")
            return 10 * objects

        results, failures = surviving(work, np.arange(n))
        good = [k for k in range(n) if k not in bad]
        assert [int(k) for objects, _ in results for k in objects] == good
        assert [int(k) for _, values in results for k in values] == [10 * k for k in good]
        assert failures == [(k, "ValueError: a bad one") for k in sorted(bad) if k < n]

    def test_one_bad_object_costs_a_logarithm_of_calls(self):
        calls = []

        def work(names):
            calls.append(len(names))
            if "object 13" in names:
                raise CatalogFileError("object 13", "there is no such file")

        _, failures = surviving(work, [f"object {k}" for k in range(64)])
        assert failures == [("object 13", "CatalogFileError: object 13: there is no such file")]
        assert len(calls) == 1 + 2 * 6

    def test_a_batch_too_large_is_halved(self):
        def work(objects):
            if len(objects) > 3:
                raise MemoryError
            return len(objects)

        results, failures = surviving(work, range(8))
        assert ([size for _, size in results], failures) == ([2, 2, 2, 2], [])

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.EIO, "the disk is broken"),
            because_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
            MemoryError("for one"),
            KeyboardInterrupt(),
        ],
        ids=repr,
    )
    def test_what_is_no_objects_fault_is_raised(self, error):
        def work(objects):
            raise error

        with pytest.raises(type(error)):
            surviving(work, ["a", "b"])


class TestFolder:
    def test_resumes_without_doing_anything_twice(self, tmp_path):
        done = []
        first = run(tmp_path / "run", counted, letters(tmp_path, "ab"), progress=done.append)
        again = run(tmp_path / "run", counted, letters(tmp_path), resume=True, progress=done.append)
        assert (first.kept, again.kept, again.objects) == (0, 2, 4)
        assert [path.read_text() for path in again.paths] == list("abcd")
        assert (tmp_path / "log").read_text() == "abcd"
        assert done == [1] * 6

    def test_paths_keep_the_order_given(self, tmp_path):
        report = run(tmp_path / "run", counted, letters(tmp_path, "cab"))
        assert [path.name for path in report.paths] == ["c.txt", "a.txt", "b.txt"]

    @pytest.mark.parametrize("harm", ["flipped", "cut", "removed"])
    def test_a_harmed_shard_is_made_anew(self, tmp_path, reference, harm):
        run(tmp_path / "run")
        victim = tmp_path / "run" / "00005-of-00010.npy"
        data = victim.read_bytes()
        victim.write_bytes(data[:-1] if harm == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
        if harm == "removed":
            victim.unlink()
        assert run(tmp_path / "run", resume=True).kept == 9
        assert contents(tmp_path / "run") == reference

    def test_another_run_is_refused_in_one_line(self, tmp_path):
        run(tmp_path / "run")
        other = {"seed": 7, "settings": {"size": 4, "prior": "lcdm", "new": None}}
        with pytest.raises(CatalogFileError) as caught:
            run(tmp_path / "run", resume=True, fingerprint=other)
        assert str(caught.value) == (
            f'{tmp_path / "run"}: holds shards of a run with settings.new = absent, settings.prior = "flat", this one '
            'has settings.new = null, settings.prior = "lcdm"; name another folder'
        )

    def test_a_setting_of_nan_equals_itself(self, tmp_path):
        for resume in (False, True):
            run(tmp_path / "run", fingerprint={"cut": float("nan")}, resume=resume)

    def test_without_resume_nothing_is_touched(self, tmp_path, reference):
        run(tmp_path / "run")
        with pytest.raises(CatalogFileError, match="of an earlier run; resume that, or name another folder"):
            run(tmp_path / "run", counted, letters(tmp_path))
        assert contents(tmp_path / "run") == reference

    @pytest.mark.parametrize("resume", [False, True])
    def test_a_folder_of_the_user_is_refused(self, tmp_path, resume):
        (tmp_path / "thesis.tex").write_text("years")
        with pytest.raises(CatalogFileError, match=r"no shards\.jsonl, so they are not ours"):
            run(tmp_path, resume=resume)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CatalogFileError, match="cannot be a folder of shards: File exists"):
            run(tmp_path / "file")

    def test_only_our_leftovers_are_removed(self, tmp_path):
        arguments = letters(tmp_path)
        folder = tmp_path / "run"
        run(folder, counted, arguments)
        (folder / "d.txt").unlink()
        seen = []

        def look(_, path):
            path.touch()
            seen.extend(file.name for file in folder.iterdir())

        for name in (".a.0123abcd.txt", "..b.0123abcd.89abcdef.txt"):
            (folder / name).touch()
        for name in (".a.notes.txt", ".z.0123abcd.txt", "mine.txt"):
            (folder / name).touch()
        run(folder, look, arguments, resume=True)
        assert not {".a.0123abcd.txt", "..b.0123abcd.89abcdef.txt"} & set(seen)
        assert set(contents(folder)) == {*arguments, ".a.notes.txt", ".z.0123abcd.txt", "mine.txt"}

    @POSIX
    def test_two_runs_do_not_share_a_folder(self, tmp_path):
        def nested(argument, path):
            path.touch()
            with pytest.raises(CatalogFileError, match="another run is writing its shards here"):
                run(tmp_path / "run", resume=True)

        assert run(tmp_path / "run", nested, {"a": None}).failed == ()

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a/b"], "without folders and not hidden, other than shards.jsonl: 'a/b'"),
            ([".a"], "not hidden"),
            (["shards.jsonl"], "other than shards.jsonl"),
            (["a", "a"], "different names, found 'a' twice"),
        ],
    )
    def test_names_are_names_of_files(self, tmp_path, names, message):
        with pytest.raises(ParameterError, match=message):
            run(tmp_path / "run", arguments=[(name, None) for name in names])
        assert not (tmp_path / "run").exists()

    def test_the_fingerprint_is_json(self, tmp_path):
        with pytest.raises(ParameterError, match=r"JSON values, found settings\.x = array"):
            run(tmp_path / "run", fingerprint={"settings": {"x": np.zeros(2)}})


class TestJournal:
    def test_a_line_cut_by_a_kill_is_forgotten(self, tmp_path):
        arguments = letters(tmp_path)
        folder = tmp_path / "run"
        run(folder, counted, arguments)
        journal = folder / "shards.jsonl"
        journal.write_bytes(journal.read_bytes()[:-10])
        assert run(folder, counted, arguments, resume=True).kept == 3
        assert [json.loads(line)["name"] for line in journal.read_text().splitlines()[1:]] == list(arguments)

    def test_a_journal_cut_at_its_beginning_is_begun_again(self, tmp_path):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "shards.jsonl").write_text('{"layout": 1, "finger')
        assert run(folder, counted, letters(tmp_path)).objects == 4
        assert run(folder, counted, letters(tmp_path), resume=True).kept == 4

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("no JSON\n", "line 1: expected a line of JSON, found JSONDecodeError"),
            ("[1]\n", r"line 1: expected a JSON object, found \[1\]"),
            ("[" * 100_000 + "\n", "line 1: expected a line of JSON, found RecursionError"),
            ('{"layout": 2, "fingerprint": {}}\n', "line 1: expected a journal of layout 1, found {'layout': 2"),
            ('{"layout": 1, "fingerprint": {}}\n{"name": "a"}\n', "expected name, sha256 and objects"),
        ],
    )
    def test_says_what_is_wrong(self, tmp_path, text, message):
        (tmp_path / "shards.jsonl").write_text(text)
        with pytest.raises(CatalogFormatError, match=message):
            run(tmp_path, fingerprint={}, resume=True)

    @settings(max_examples=100)
    @given(st.integers(0, 400), st.binary(max_size=3))
    def test_any_harm_is_an_error_of_ours_or_none(self, tmp_path_factory, place, harm):
        folder = tmp_path_factory.mktemp("journal")
        run(folder, failing({}), {"a": "a", "b": "b"})
        journal = folder / "shards.jsonl"
        data = journal.read_bytes()
        journal.write_bytes(data[:place] + harm + data[place + len(harm) :])
        with suppress(AstrotkError):
            report = run(folder, failing({}), {"a": "a", "b": "b"}, resume=True)
            assert [path.read_text() for path in report.paths] == ["a", "b"]


class TestFailures:
    def test_a_failing_shard_never_sinks_the_others(self, tmp_path):
        task = failing({"b": ZeroDivisionError("in\nb")})
        report = run(tmp_path / "run", task, {"a": "a", "b": "b", "c": "c"})
        assert [path.name for path in report.paths] == ["a", "c"]
        assert report.failed == (("b", "ZeroDivisionError: in b"),)
        assert set(contents(tmp_path / "run")) == {"a", "c"}
        mended = run(tmp_path / "run", failing({}), {"a": "a", "b": "b", "c": "c"}, resume=True)
        assert (mended.kept, mended.objects, mended.failed) == (2, 3, ())

    def test_what_raises_is_not_tried_again_but_want_of_memory_is(self, tmp_path):
        calls = []

        def task(argument, path):
            calls.append(argument)
            if argument == "a" or calls.count("b") < 3:
                raise {"a": ValueError, "b": MemoryError}[argument]
            path.touch()

        report = run(tmp_path / "run", task, {"a": "a", "b": "b"})
        assert (calls, [name for name, _ in report.failed]) == (["a", "b", "b", "b"], ["a"])

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
            OSError("Can't write data (errno = 28, error message = 'No space left on device')"),  # as h5py says it
            because_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
        ],
        ids=repr,
    )
    def test_a_full_disk_ends_the_run_and_keeps_the_rest(self, tmp_path, error):
        arguments = {name: name for name in "abcd"}
        with pytest.raises(CatalogFileError, match="the disk is full; 2 of 4 shards are finished and kept"):
            run(tmp_path / "run", failing({"c": error}), arguments)
        assert set(contents(tmp_path / "run")) == {"a", "b"}
        assert run(tmp_path / "run", failing({}), arguments, resume=True).kept == 2

    def test_ctrl_c_leaves_a_folder_to_resume(self, tmp_path):
        arguments = {name: name for name in "abc"}
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", failing({"c": KeyboardInterrupt()}), arguments)
        assert set(contents(tmp_path / "run")) == {"a", "b"}
        assert run(tmp_path / "run", failing({}), arguments, resume=True).kept == 2


class TestProcesses:
    def test_the_cores_are_shared_out_before_numba_starts(self):
        before = dict(os.environ)
        share = max(1, len(os.sched_getaffinity(0)) // 2) if hasattr(os, "sched_getaffinity") else 1
        with open_executor(2) as workers:
            calls = [workers.submit(threads, None) for _ in range(2)]
            found = [call.result() for call in calls]
            assert workers.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_DFL  # no traceback at Ctrl-C
        assert [told[:2] for told in found] == [(share, str(share))] * 2
        assert len({pid for *_, pid in found} | {os.getpid()}) == 3
        assert dict(os.environ) == before

    def test_an_exception_cancels_what_has_not_begun(self):
        calls = []
        with suppress(KeyboardInterrupt), open_executor(2) as workers:
            calls.extend(workers.submit(time.sleep, 0.3) for _ in range(20))
            raise KeyboardInterrupt
        assert all(call.done() for call in calls)
        assert calls[-1].cancelled()

    def test_the_end_of_the_block_waits(self):
        with open_executor(2) as workers:
            calls = [workers.submit(time.sleep, 0.1) for _ in range(6)]
        assert all(call.done() for call in calls)

    @POSIX
    def test_a_killed_process_loses_nothing(self, tmp_path, reference):
        done = []
        with open_executor(2) as workers:
            report = run(tmp_path / "run", deadly, with_deaths(tmp_path, 1), workers, progress=done.append)
        assert (report.objects, report.failed, sum(done)) == (40, (), 40)
        assert contents(tmp_path / "run") == reference

    @POSIX
    def test_a_deadly_shard_is_given_up_alone(self, tmp_path, reference):
        with open_executor(2) as workers:
            report = run(tmp_path / "run", deadly, with_deaths(tmp_path, 3), workers, retries=1)
        [(name, reason)] = report.failed
        assert name == "00004-of-00010.npy"
        assert reason.startswith("its worker was killed, perhaps for want of memory (BrokenProcessPool:")
        assert len(list(tmp_path.glob("marker*"))) == 1
        assert contents(tmp_path / "run") == {key: data for key, data in reference.items() if key != name}

    @POSIX
    @pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGINT])
    def test_the_whole_run_is_killed_and_resumed(self, tmp_path, reference, fatal):
        folder, pids = tmp_path / "run", tmp_path / "pids"
        pids.mkdir()
        command = [sys.executable, str(HERE / "shard_tasks.py"), "processes", str(folder), str(pids)]
        parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        wait_until(lambda: len(list(folder.glob("*.npy"))) >= 3)
        # a terminal sends Ctrl-C to all processes; a kill reaches one
        (os.kill if fatal == signal.SIGKILL else os.killpg)(parent.pid, fatal)
        _, complaint = parent.communicate(timeout=30)
        if fatal == signal.SIGINT:
            assert complaint == "interrupted\n"  # and no traceback of a worker
        workers = [int(path.name) for path in pids.iterdir()]
        assert len(workers) == 2
        wait_until(lambda: not any(map(alive, workers)))
        report = run(folder, resume=True)
        assert 1 <= report.kept < 10
        assert report.objects == 40
        assert contents(folder) == reference


class TestDask:
    @pytest.mark.parametrize("deaths_allowed", [0, 3], ids=["retried by us", "retried by Dask"])
    def test_a_killed_worker_loses_nothing(self, tmp_path, reference, deaths_allowed):
        with cluster(tmp_path, deaths_allowed) as (where, _), open_executor(dask=where) as workers:
            wait_until(lambda: workers.width == 2)
            assert len({workers.submit(time.time_ns).result() for _ in range(3)}) == 3  # equal calls stay three
            report = run(tmp_path / "run", deadly, with_deaths(tmp_path, 1), workers)
            assert workers.width == 1
        assert (report.objects, report.failed) == (40, ())
        assert contents(tmp_path / "run") == reference

    def test_a_lost_scheduler_keeps_what_is_finished(self, tmp_path, reference):
        with (
            cluster(tmp_path) as (where, scheduler),
            open_executor(dask=where) as workers,
            pytest.raises(CatalogFileError, match=r"the workers have gone; \d of 10 shards are finished and kept"),
        ):
            run(tmp_path / "run", executor=workers, progress=lambda _: scheduler.kill())
        assert 1 <= run(tmp_path / "run", resume=True).kept < 10
        assert contents(tmp_path / "run") == reference

    def test_an_address_where_nobody_answers(self, monkeypatch):
        pytest.importorskip("distributed")
        monkeypatch.setattr("stats._executors.TIMEOUT", 1)
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{unheard.getsockname()[1]}"
            with pytest.raises(CatalogFormatError, match=f"^{address}: expected a Dask scheduler") as caught:
                open_executor(dask=address).__enter__()
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_not_there(self, tmp_path):
        pytest.importorskip("distributed")
        with pytest.raises(CatalogFileError, match=r"no such scheduler file; an address is like tcp://host:8786"):
            open_executor(dask=str(tmp_path / "scheduler.json")).__enter__()


class TestMPI:
    def test_ranks_make_the_same_bits(self, tmp_path, reference):
        pytest.importorskip("mpi4py")
        mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if mpiexec is None:
            pytest.skip("no mpiexec")
        command = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", str(HERE / "shard_tasks.py")]
        options = {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        }
        done = subprocess.run(
            [*command, "mpi", str(tmp_path / "run"), str(tmp_path)],
            env=os.environ | options,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "40 objects, failed: ()\n"), done.stderr
        assert contents(tmp_path / "run") == reference
        assert len([path for path in tmp_path.iterdir() if path.name.isdigit()]) == 2


class TestOpenExecutor:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"jobs": 0}, "from 1 on, found 0"),
            ({"jobs": 2, "dask": "tcp://a:1"}, "one of jobs, dask and mpi, found jobs=2, dask=tcp://a:1, mpi=False"),
            ({"mpi": True, "dask": "tcp://a:1"}, "one of jobs, dask and mpi"),
        ],
    )
    def test_says_what_is_wrong(self, options, message):
        with pytest.raises(ParameterError, match=message):
            open_executor(**options).__enter__()

    @pytest.mark.parametrize(
        ("options", "module", "extra"),
        [({"dask": "tcp://a:1"}, "distributed", "dask"), ({"mpi": True}, "mpi4py.futures", "mpi")],
    )
    def test_names_the_extra_that_is_missing(self, monkeypatch, options, module, extra):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ParameterError, match=rf"{module} cannot be used .*: pip install 'astrotk\[{extra}\]'"):
            open_executor(**options).__enter__()

    def test_mpi_needs_a_second_rank(self):
        pytest.importorskip("mpi4py")
        code = "from stats.parallel import open_executor; open_executor(mpi=True).__enter__()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if "cannot be used" in done.stderr:
            pytest.skip("no MPI library")
        assert "ParameterError: MPI has one rank and so no worker: start with mpiexec -n N" in done.stderr

    def test_in_this_process_a_call_that_fails_is_a_future(self):
        with open_executor() as workers:
            assert workers.submit(int, "7").result() == 7
            assert isinstance(workers.submit(int, "seven").exception(), ValueError)

    def test_the_report_is_a_value(self, tmp_path):
        path = tmp_path / "run" / "a.txt"
        assert run(tmp_path / "run", counted, letters(tmp_path, "a")) == ShardReport((path,), 0, 1, ())


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


def alive(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    command = [shutil.which("ps") or pytest.skip("no ps"), "-o", "stat=", "-p", str(pid)]
    status = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return bool(status.strip()) and not status.startswith("Z")


@contextmanager
def cluster(folder, deaths_allowed=3):
    """A scheduler and two workers, processes that talk over TCP; nobody replaces a worker that is killed."""
    pytest.importorskip("distributed")
    where = folder / "scheduler.json"
    python_path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PYTHONPATH": python_path,
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(deaths_allowed),
    }
    dask = [sys.executable, "-m", "dask"]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = [*dask, "scheduler", "--port", "0", "--scheduler-file", str(where), *local]
    worker = [*dask, "worker", "--scheduler-file", str(where), "--no-nanny", "--nthreads", "1", *local]
    with ExitStack() as stack:
        processes = []
        for command in (scheduler, worker, worker):
            process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        wait_until(where.is_file)
        yield str(where), processes[0]
