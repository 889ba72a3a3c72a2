"""Pareto dominance against brute force, and against a sweep that knows two directions only."""

from hypothesis import given
from hypothesis import strategies as st

from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.portfolio.pareto import Axis, better_on, dominates, front

ACCURACY, LATENCY, SIZE = (
    Axis("top1", True, "accuracy"),
    Axis("p95", False, "latency"),
    Axis("bytes", False, "size"),
)
AXES = [ACCURACY, LATENCY, SIZE]
SMALL = st.integers(0, 4)  # few values, so that ties are common
POINTS = st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=12)


def metrics(point: tuple[int, ...]) -> dict[str, Metric]:
    return {axis.metric: Metric(value=value, n=1) for axis, value in zip(AXES, point, strict=False)}


def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    no_worse = one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]
    return no_worse and one != other


@given(POINTS)
def test_the_front_is_who_nobody_beats_by_brute_force(points: list[tuple[int, int, int]]) -> None:
    found = front({place: metrics(point) for place, point in enumerate(points)}, AXES)
    assert found == [
        place for place, point in enumerate(points) if not any(beats(other, point) for other in points)
    ]


@given(st.lists(st.tuples(SMALL, SMALL), max_size=12))
def test_the_front_of_two_directions_is_that_of_a_sweep(points: list[tuple[int, int]]) -> None:
    found = front({place: metrics(point) for place, point in enumerate(points)}, [ACCURACY, LATENCY])
    best, swept = -1, set()
    for latency in range(5):  # from fast to slow, whoever is more accurate than all before
        accuracies = [top1 for top1, p95 in points if p95 == latency]
        if accuracies and max(accuracies) > best:
            best = max(accuracies)
            swept.add((best, latency))
    assert {points[place] for place in found} == swept
    assert sorted(found) == [place for place, point in enumerate(points) if point in swept]


@given(POINTS.filter(lambda points: len(points) > 1))
def test_dominance_is_no_circle_and_nobody_dominates_itself(points: list[tuple[int, int, int]]) -> None:
    one, other = metrics(points[0]), metrics(points[1])
    assert not dominates(one, one, AXES)
    assert not (dominates(one, other, AXES) and dominates(other, one, AXES))


def test_who_was_not_measured_neither_dominates_nor_is_on_the_front() -> None:
    whole, part = metrics((4, 0, 0)), metrics((3, 1))
    assert not dominates(whole, part, AXES)
    assert not dominates(part, whole, AXES)
    assert dominates(whole, part, [ACCURACY, LATENCY])
    assert front({"whole": whole, "part": part}, AXES) == ["whole"]


def test_it_is_told_on_which_axes_one_is_better() -> None:
    assert better_on(metrics((3, 1, 1)), metrics((3, 2, 1)), AXES) == [LATENCY]
    assert better_on(metrics((3, 1, 1)), metrics((3, 1, 1)), AXES) == []
    assert better_on(metrics((3, 1, 2)), metrics((3, 2, 1)), AXES) is None
