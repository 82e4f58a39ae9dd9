import time

from evoconv.timetable import AFTERWARDS_S, Timetable


def test_without_a_time_nothing_is_limited() -> None:
    plan = Timetable(started_at=0.0, time_s=None, final_share=0.4)
    assert plan.deadline is plan.search_deadline is plan.last_call is None
    assert plan.left_s() is plan.left_for_training_s() is None
    assert plan.affordable_macs(1e9, 1000, 1000, 2, 40) is None


def test_search_final_training_and_the_rest_fill_the_time() -> None:
    plan = Timetable(started_at=1000.0, time_s=600.0, final_share=0.4)
    assert plan.deadline == 1600
    assert plan.search_deadline == 1600 - 240 - AFTERWARDS_S
    assert plan.last_call is not None
    assert plan.deadline < plan.last_call <= plan.deadline + 10


def test_what_is_left_is_measured_from_now() -> None:
    plan = Timetable(started_at=time.time() - 10, time_s=100.0, final_share=0.4)
    left = plan.left_s()
    assert left is not None
    assert 80 < left <= 90


def test_more_time_workers_or_speed_afford_larger_networks() -> None:
    def most(time_s: float, speed: float, slots: int, num_images: int = 1) -> int:
        plan = Timetable(started_at=0.0, time_s=time_s, final_share=0.5)
        macs = plan.affordable_macs(speed, 10_000, num_images, slots, 40)
        assert macs is not None
        return macs

    # 200 s of search on one slot in 40 evaluations: 5 s each at 1e9 / 10,000 per second.
    assert most(400, 1e9, 1) == 500_000
    assert most(200, 1e9, 1) == 250_000
    assert most(400, 2e9, 1) == most(400, 1e9, 2) == 1_000_000
    # Four times ten minutes: twice as many evaluations, of networks twice as large.
    assert most(2400, 1e9, 1) == 2 * most(600, 1e9, 1)
    # 200 s of final training in 8 epochs of 100,000 images: 25 s each.
    assert most(400, 1e9, 1, 100_000) == 250_000
