"""The contract of every strategy, run over the catalogue."""

import random
from itertools import pairwise

import pytest

from evoconv.errors import ConfigError
from evoconv.evolution.catalogue import METHODS, EvolutionOptions, build_strategy
from evoconv.execution.executor import Job
from evoconv.records import Individual, TrialState
from evoconv.study.replay import resume
from evoconv.study.stop import StopRules
from tests.simulation import (
    SCORE,
    ToyRun,
    ToySpace,
    ToyTask,
    individual,
    measured,
    options_of,
    score,
    values_of,
)

EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
WITH_BARRIER = [name for name, method in METHODS.items() if method.in_generations]
WITHOUT = [name for name in METHODS if name not in WITH_BARRIER]
SLOTS = pytest.mark.parametrize("slots", [1, 2, 7, 64])


def trials_of(run: ToyRun) -> list[Individual]:
    return [trial.individual for trial in run.log.trials() if trial.state.is_finished]


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    known = ", ".join(METHODS)
    with pytest.raises(ConfigError, match=f"method must be one of {known}, got sink"):
        build_strategy("sink", ToySpace(), EvolutionOptions(), SCORE, 1)


@EVERY_METHOD
def test_every_method_says_in_a_line_what_it_is(method: str) -> None:
    assert 20 < len(METHODS[method].summary) < 80


@EVERY_METHOD
@SLOTS
@pytest.mark.parametrize("luck", range(3))
def test_a_search_never_stalls_whatever_the_order_of_arrival(
    method: str, slots: int, luck: int
) -> None:
    latencies = random.Random(luck)
    run = ToyRun(
        method=method,
        slots=slots,
        seed=luck,
        stop=StopRules(evaluations=300),
        latency_s=lambda _: latencies.expovariate(0.1),
    )
    assert run.go() == "all 300 evaluations are done"
    assert sum(one.copy_of is None for one in trials_of(run)) == 300
    if method in WITHOUT:
        # Idle only once too little budget is left for all slots.
        longest = 10 * 15
        assert run.executor.idle_s < slots * longest
        assert run.executor.busy_s > 0


@pytest.mark.parametrize("method", WITHOUT)
@SLOTS
def test_no_worker_waits_while_there_is_budget(method: str, slots: int) -> None:
    run = ToyRun(method=method, slots=slots, stop=StopRules(deadline=200.0))
    assert run.go() == "the time for the search is over"
    assert run.executor.idle_s == 0
    assert run.executor.busy_s >= 200.0 * slots


@pytest.mark.parametrize("method", WITH_BARRIER)
@SLOTS
def test_generations_end_a_search_when_all_of_the_last_is_told(method: str, slots: int) -> None:
    run = ToyRun(method=method, slots=slots, stop=StopRules(generations=3))
    assert run.go() == "all 3 generations are done"
    assert run.strategy.num_generations() == 3
    assert all(trial.state.is_finished for trial in run.log.trials())
    alone = ToyRun(method=method, slots=1, stop=StopRules(generations=3))
    alone.go()
    numbers = [trial.number for trial in run.log.trials()]
    assert numbers == [trial.number for trial in alone.log.trials()]
    further = ToyRun(method=method, slots=slots, log=run.log, stop=StopRules(generations=4))
    assert further.go() == "all 4 generations are done"
    assert len(run.log.trials()) > len(numbers)


@EVERY_METHOD
@pytest.mark.parametrize("slots", [1, 2, 7])
def test_whoever_is_bred_from_is_a_member_then(method: str, slots: int) -> None:
    """Weights of members are kept, so a child finds those of its parents."""
    strategy = build_strategy(method, ToySpace(), options_of(method), SCORE, 1)
    waiting: list[Individual] = []
    for _ in range(150):
        born = strategy.ask(slots - len(waiting)) if len(waiting) < slots else []
        known = {one.original for one in strategy.members()}
        assert {parent for one in born for parent in one.parents} <= known
        waiting += born
        strategy.tell(measured(waiting.pop(0)))


@pytest.mark.parametrize("method", WITH_BARRIER)
def test_who_has_settled_is_the_same_for_any_number_of_workers(method: str) -> None:
    seen = []
    for slots in (1, 2, 7):
        strategy = build_strategy(method, ToySpace(), options_of(method), SCORE, 1)
        settled: dict[int, list[int]] = {}
        while len(settled) < 150:
            for one in strategy.ask(slots):
                settled[one.number] = [member.number for member in strategy.settled()]
                strategy.tell(measured(one))
        seen.append({number: settled[number] for number in range(150)})
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("method", WITHOUT)
def test_methods_without_generations_count_none(method: str) -> None:
    run = ToyRun(method=method)
    run.go()
    assert run.strategy.num_generations() is None


def test_an_iteration_of_gradient_is_three_lots_after_the_first_population() -> None:
    options = EvolutionOptions(population=6, offspring=2, crossover=0.5, max_repeated=0)
    run = ToyRun(
        method="gradient",
        space=ToySpace(limit=1_000),
        options=options,
        stop=StopRules(generations=2),
        make_job=lambda one: Job(
            number=one.number, task=ToyTask(individual=one, fails=lambda _: False)
        ),
    )
    run.go()
    assert len(run.log.trials()) == 6 + 2 * (6 + 2 + 2)


@EVERY_METHOD
@SLOTS
def test_replay_rebuilds_the_strategy(method: str, slots: int) -> None:
    live = ToyRun(method=method, slots=slots, stop=StopRules(deadline=150.0))
    live.go()
    rebuilt = build_strategy(method, ToySpace(), options_of(method), SCORE, live.seed)
    resumed = resume(live.log, rebuilt, SCORE)
    assert any(one.failure for one in trials_of(live))
    assert resumed.tally.best == live.resumed.tally.best
    assert {one.number for one in resumed.unfinished} == {
        trial.number for trial in live.log.trials() if trial.state is TrialState.WAITING
    }
    # Whatever the strategy will do next is the same as well.
    for one in resumed.unfinished:
        rebuilt.tell(one)
        live.strategy.tell(one)
    for slots_offered in (1, 5, 2):
        assert rebuilt.ask(slots_offered) == live.strategy.ask(slots_offered)


@pytest.mark.parametrize("method", WITH_BARRIER)
def test_any_number_of_workers_gives_the_same_trials(method: str) -> None:
    runs = [ToyRun(method=method, slots=slots) for slots in (1, 2, 7, 64)]
    for run in runs:
        run.go()
    for one, other in pairwise(runs):
        assert trials_of(one) == trials_of(other)


def test_the_methods_that_any_number_of_workers_does_not_change() -> None:
    assert {"sync", "nsga2"} <= set(WITH_BARRIER)
    assert {"async", "compact", "aging", "random"} <= set(WITHOUT)


@EVERY_METHOD
@pytest.mark.parametrize("num_seeds", [1, 5, 50])
def test_seeds_are_measured_first_whatever_the_method(method: str, num_seeds: int) -> None:
    seeds = tuple(individual(0, number // 9, number % 9, 1, 1, 1, 1).genome for number in range(50))
    space = ToySpace(seeds=seeds[:num_seeds])  # type: ignore[arg-type]
    run = ToyRun(method=method, slots=3, space=space)
    run.go()
    first = trials_of(run)[:num_seeds]
    assert [one.genome for one in first] == list(seeds[:num_seeds])
    assert {one.operator for one in first} == {"seed"}
    later = trials_of(run)[num_seeds:]
    assert all(one.operator != "seed" for one in later)
    if num_seeds == 50 and method != "random":
        assert any(set(one.parents) & set(range(num_seeds)) for one in later)


@EVERY_METHOD
def test_equal_seeds_give_equal_searches_and_others_differ(method: str) -> None:
    first, again, other = (ToyRun(method=method, slots=3, seed=seed) for seed in (1, 1, 2))
    for run in (first, again, other):
        run.go()
    assert trials_of(first) == trials_of(again)
    assert trials_of(first) != trials_of(other)


@EVERY_METHOD
def test_a_failed_trial_never_becomes_a_parent_or_the_best(method: str) -> None:
    run = ToyRun(method=method, slots=7, stop=StopRules(evaluations=400))
    run.go()
    trials = trials_of(run)
    failed = {one.number for one in trials if one.failure is not None}
    assert len(failed) > 20
    assert not failed & {parent for one in trials for parent in one.parents}
    best = run.resumed.tally.best
    assert best is not None
    assert score(best.genome) == max(score(one.genome) for one in trials if not one.failure)


@EVERY_METHOD
def test_every_individual_keeps_the_limits_and_counts_up(method: str) -> None:
    run = ToyRun(method=method, slots=7, space=ToySpace(limit=15))
    run.go()
    assert all(sum(values_of(one.genome)) <= 15 for one in trials_of(run))
    numbers = [trial.number for trial in run.log.trials()]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "gradient"])
def test_an_exhausted_space_is_noticed_and_each_phenotype_is_trained_once(method: str) -> None:
    run = ToyRun(
        method=method,
        slots=1,
        space=ToySpace(size=2),
        stop=StopRules(),
    )
    assert "all are known" in run.go()
    trained = [
        one.genome.digest for one in trials_of(run) if one.copy_of is None and not one.failure
    ]
    assert len(set(trained)) == 2**5
    if method in WITHOUT:  # where siblings may be alike, none of them being measured yet
        assert len(trained) == 2**5
    for one in trials_of(run):
        if one.copy_of is not None:
            assert run.log.trial(one.copy_of).individual.genome.digest == one.genome.digest


@pytest.mark.parametrize("method", ["async", "sync", "nsga2", "aging"])
def test_evolution_beats_random_search_on_a_smooth_problem(method: str) -> None:
    def mean_best(name: str) -> float:
        total = 0.0
        for seed in range(10):
            run = ToyRun(method=name, slots=4, seed=seed, stop=StopRules(evaluations=150))
            run.go()
            best = run.resumed.tally.best
            assert best is not None
            total += score(best.genome)
        return total / 10

    assert mean_best(method) > mean_best("random") + 3
