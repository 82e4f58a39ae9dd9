"""Real processes, real signals: what only worker processes can suffer."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from multiprocessing import Pipe, active_children, resource_tracker, util
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from evoconv.errors import ConfigError, SearchFailed
from evoconv.execution.executor import Executor, Job, Outcome, Progress
from evoconv.execution.processes import ProcessExecutor
from evoconv.execution.worker import _WorkerControl
from evoconv.records import Failure, FailureKind
from tests.execution import tasks

HOUSE = Path(__file__).parents[2]


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    with closing(ProcessExecutor(tasks.set_up, ["cpu", "cpu"], grace_s=0.1)) as one:
        yield one


def run_one(executor: Executor, job: Job) -> Outcome:
    executor.submit(job)
    (outcome,) = executor.wait(20)
    return outcome


def failure_in(outcome: Outcome) -> Failure:
    assert outcome.failure is not None
    return outcome.failure


def wait_for_progress(executor: Executor) -> Progress:
    """Return the first report of the only running job."""
    while not executor.progress():
        assert executor.wait(0.01) == []
    return executor.progress()[0]


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: list[int], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        assert time.monotonic() < end, f"still there: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.01)


def test_a_killed_worker_loses_its_job_and_the_next_one_runs(executor: ProcessExecutor) -> None:
    executor.submit(Job(number=0, task=tasks.ignore_everything))
    os.kill(int(wait_for_progress(executor).message), signal.SIGKILL)
    (outcome,) = executor.wait(20)
    assert failure_in(outcome).kind is FailureKind.LOST
    message = f"worker {outcome.worker} was killed by signal 9 (SIGKILL)"
    assert failure_in(outcome).message == message
    for number in (1, 2):
        executor.submit(Job(number=number, task=partial(tasks.double, value=number)))
    results = [*executor.wait(20)]
    results += [] if len(results) == 2 else executor.wait(20)
    assert sorted(outcome.result for outcome in results) == [2, 4]


def test_a_worker_killed_while_idle_costs_no_job() -> None:
    with closing(ProcessExecutor(tasks.set_up, ["cpu"])) as executor:
        first = run_one(executor, Job(number=0, task=tasks.tell_process)).result
        (process,) = (one for one in active_children() if one.pid == first)
        process.kill()
        process.join()  # not only a zombie, of which a thread may still hold the pipe
        second = run_one(executor, Job(number=1, task=tasks.tell_process))
    assert second.failure is None
    assert second.result != first


def test_a_worker_that_ends_by_itself_is_lost_with_its_exit_code(
    executor: ProcessExecutor,
) -> None:
    outcome = run_one(executor, Job(number=0, task=partial(tasks.exit_at_once, code=3)))
    assert str(outcome.failure) == f"worker lost: worker {outcome.worker} ended with exit code 3"


def test_a_job_that_never_looks_up_is_killed_at_its_time_out(executor: ProcessExecutor) -> None:
    outcome = run_one(executor, Job(number=0, task=tasks.ignore_everything, timeout_s=0.2))
    assert str(outcome.failure) == "time-out: took more than 0.2 s"
    assert 0.2 <= outcome.finished_at - outcome.started_at < 2


def test_a_job_that_ignores_its_cancellation_is_killed_after_the_grace(
    executor: ProcessExecutor,
) -> None:
    executor.submit(Job(number=0, task=tasks.ignore_everything))
    pid = int(wait_for_progress(executor).message)
    executor.cancel(0)
    (outcome,) = executor.wait(20)
    assert failure_in(outcome).kind is FailureKind.CANCELLED
    assert not is_alive(pid)


def test_a_cancelled_job_leaves_its_worker_alive(executor: ProcessExecutor) -> None:
    executor.submit(Job(number=0, task=tasks.run_until_told))
    pid = int(wait_for_progress(executor).message)
    executor.cancel(0)
    assert failure_in(executor.wait(20)[0]).kind is FailureKind.CANCELLED
    assert is_alive(pid)


def test_the_clock_of_a_job_starts_when_its_worker_has_started() -> None:
    setup = partial(tasks.set_up_slowly, seconds=0.5)
    with closing(ProcessExecutor(setup, ["cpu"])) as executor:
        submitted_at = time.time()
        outcome = run_one(executor, Job(number=0, task=tasks.tell_process, timeout_s=0.4))
    assert outcome.failure is None
    assert outcome.started_at - submitted_at >= 0.5


def test_a_job_above_the_memory_limit_is_killed() -> None:
    with closing(ProcessExecutor(tasks.set_up, ["cpu"], 100_000_000)) as executor:
        task = partial(tasks.take_memory, size_bytes=200_000_000)
        outcome = run_one(executor, Job(number=0, task=task))
        assert str(outcome.failure).startswith("out of memory: used ")
        assert str(outcome.failure).endswith(" MB, limit 100 MB")
        assert 100e6 < (outcome.peak_memory_bytes or 0) < 300e6
        assert run_one(executor, Job(number=1, task=tasks.tell_process)).failure is None


def test_a_mapped_file_does_not_count_as_memory(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(b"\1" * 200_000_000)
    with closing(ProcessExecutor(tasks.set_up, ["cpu"], 100_000_000)) as executor:
        task = partial(tasks.read_mapped_file, path=path, seconds=0.7)
        outcome = run_one(executor, Job(number=0, task=task))
    assert outcome.failure is None
    assert outcome.peak_memory_bytes is not None
    assert outcome.peak_memory_bytes < 50_000_000


@pytest.mark.parametrize(
    ("task", "reason"),
    [(tasks.give_lock, "lock"), (tasks.give_what_breaks_on_arrival, "ValueError: it broke")],
)
def test_a_result_that_can_not_travel_is_a_failure_and_the_worker_lives(
    executor: ProcessExecutor, task: object, reason: str
) -> None:
    assert callable(task)
    outcome = run_one(executor, Job(number=0, task=task))
    assert failure_in(outcome).kind is FailureKind.ERROR
    assert reason in failure_in(outcome).message
    pids = {run_one(executor, Job(number=1, task=tasks.tell_process)).result for _ in range(5)}
    assert len(pids) <= 2


def test_a_task_that_the_worker_can_not_import_is_a_failure(
    executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("only_here")
    exec("def task(workplace, control): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    outcome = run_one(executor, Job(number=0, task=module.task))
    assert failure_in(outcome).message == "ModuleNotFoundError: No module named 'only_here'"


def test_a_task_that_can_not_be_sent_is_the_callers_mistake(executor: ProcessExecutor) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        executor.submit(Job(number=0, task=lambda workplace, control: None))
    assert executor.free_slots() == 2


def test_reports_are_rationed() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        control = _WorkerControl(theirs)
        for step in range(1000):
            control.report(step / 1000)
        assert ours.recv().fraction == 0
        assert not ours.poll()


def test_a_worker_that_dies_in_each_setup_ends_the_search() -> None:
    with closing(ProcessExecutor(tasks.die_in_setup, ["cpu"])) as executor:
        executor.submit(Job(number=0, task=tasks.tell_process))
        with pytest.raises(SearchFailed, match=r"signal 9 \(SIGKILL\) while it started on cpu"):
            executor.wait(20)
        # The job isn't forgotten: its outcome says the same.
        assert failure_in(executor.wait()[0]).kind is FailureKind.LOST


def test_a_worker_that_dies_in_its_first_setup_gets_a_second_chance(tmp_path: Path) -> None:
    setup = partial(tasks.die_in_first_setup, marker=tmp_path / "died")
    with closing(ProcessExecutor(setup, ["cpu"])) as executor:
        outcome = run_one(executor, Job(number=0, task=tasks.tell_process))
    assert outcome.failure is None
    assert (tmp_path / "died").exists()


def test_workers_use_one_thread_and_the_parents_environment_stays(
    executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with closing(ProcessExecutor(tasks.set_up, ["cpu"])) as one:
        seen = run_one(one, Job(number=0, task=tasks.tell_environment)).result
    assert seen["OMP_NUM_THREADS"] == seen["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_workers_are_deaf_to_interrupts_from_their_start_on() -> None:
    with closing(ProcessExecutor(tasks.set_up, ["cpu"])) as executor:
        # Not by its command line, which it may not have yet.
        (child,) = active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)  # Python has hardly started there
        executor.submit(Job(number=0, task=tasks.run_until_told))
        pid = int(wait_for_progress(executor).message)
        assert pid == child.pid
        os.kill(pid, signal.SIGINT)
        assert executor.wait(0.1) == []
        assert is_alive(pid)


def test_ctrl_c_waits_until_a_worker_knows_what_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    children: list[int] = []

    def interrupt_after(*arguments: Any) -> int:
        children.append(spawn(*arguments))
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # Python looks at signals of other threads when the lock changes hands
        return children[-1]

    resource_tracker.ensure_running()  # it is no worker
    spawn = util.spawnv_passfds
    monkeypatch.setattr(util, "spawnv_passfds", interrupt_after)
    # A signal that the main thread has blocked reaches the process by any other one.
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ProcessExecutor(tasks.set_up, ["cpu"])
    finally:
        end.set()
        other.join()
    (child,) = children
    os.waitpid(child, 0)
    assert capfd.readouterr().err == ""


def test_no_worker_is_left_after_closing_with_busy_ones(executor: ProcessExecutor) -> None:
    for number in range(2):
        executor.submit(Job(number=number, task=tasks.ignore_everything))
    wait_for_progress(executor)
    pids = [worker.pid for worker in _workers_of(os.getpid())]
    assert len(pids) == 2
    started = time.monotonic()
    executor.close()
    assert time.monotonic() - started < 1
    assert not any(map(is_alive, pids))


def test_at_least_one_worker_is_needed() -> None:
    with pytest.raises(ConfigError, match="at least one worker"):
        ProcessExecutor(tasks.set_up, [])


KILLED_SCRIPT = """
from functools import partial
from evoconv.execution.executor import Job
from evoconv.execution.processes import ProcessExecutor
from tests.execution import tasks

executor = ProcessExecutor({setup}, ["cpu", "cpu"])
print("started", flush=True)
for number in range(2):
    executor.submit(Job(number=number, task=tasks.ignore_everything))
while len(executor.progress()) < 2:
    executor.wait(0.01)
print("running", flush=True)
executor.wait()
"""


def _script(text: str, path: Path) -> subprocess.Popen[str]:
    path.write_text(text)
    environment = os.environ | {"PYTHONPATH": f"{HOUSE / 'src'}{os.pathsep}{HOUSE}"}
    return subprocess.Popen(
        [sys.executable, path], stdout=subprocess.PIPE, env=environment, text=True
    )


def _workers_of(pid: int) -> list[psutil.Process]:
    """Return the children but for multiprocessing's own, the resource tracker."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("setup", "moment"),
    [
        ("tasks.set_up", "started"),
        ("partial(tasks.set_up_slowly, seconds=60)", "started"),
        ("tasks.set_up", "running"),
    ],
    ids=["while Python starts", "in setup", "in a job"],
)
def test_no_worker_outlives_a_killed_coordinator(setup: str, moment: str, tmp_path: Path) -> None:
    with _script(KILLED_SCRIPT.format(setup=setup), tmp_path / "main.py") as coordinator:
        assert coordinator.stdout is not None
        while coordinator.stdout.readline().strip() != moment:
            assert coordinator.poll() is None
        if "slowly" in setup:  # both have got as far as their setup
            _wait_until_asleep(coordinator.pid)
        family = [one.pid for one in psutil.Process(coordinator.pid).children(recursive=True)]
        assert len(family) >= 2
        coordinator.kill()
        wait_until_gone(family)


def _wait_until_asleep(pid: int) -> None:
    """Wait until each worker has its watching thread, which it starts just before its setup."""
    end = time.monotonic() + 10
    while any(worker.num_threads() < 2 for worker in _workers_of(pid)):
        assert time.monotonic() < end
        time.sleep(0.01)


UNGUARDED_SCRIPT = """
from evoconv.execution.executor import Job
from evoconv.execution.processes import ProcessExecutor
from tests.execution import tasks

print("once", flush=True)
executor = ProcessExecutor(tasks.set_up, ["cpu"])
executor.submit(Job(number=0, task=tasks.tell_main_file))
print(executor.wait()[0].result)
executor.close()
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    with _script(UNGUARDED_SCRIPT, tmp_path / "main.py") as process:
        output, _ = process.communicate(timeout=30)
    assert output == "once\nNone\n"
    assert process.returncode == 0


SETUP_IN_SCRIPT = """
from functools import partial
from evoconv.execution.executor import Job
from evoconv.execution.processes import ProcessExecutor
from tests.execution import tasks

def set_up(slot, device):
    return "from the script"

if __name__ == "__main__":
    executor = ProcessExecutor(set_up, ["cpu"])
    executor.submit(Job(number=0, task=tasks.tell_workplace))
    print(executor.wait()[0].result)
    executor.close()
"""


def test_a_setup_from_the_main_script_works_with_a_guard(tmp_path: Path) -> None:
    with _script(SETUP_IN_SCRIPT, tmp_path / "main.py") as process:
        output, _ = process.communicate(timeout=30)
    assert output == "from the script\n"
