"""Which version is proposed for an alias, and the words that say why."""

from dataclasses import replace

from resnet_ops_registry.attestations.evidence import Headline, Metric
from resnet_ops_registry.portfolio.portfolio import choose, headline_axis
from tests.unit.registry.portfolios import AXES, entry, portfolio_of


def test_the_most_accurate_version_that_passes_is_proposed_with_its_numbers() -> None:
    small, large = entry("small", 1, 0.95, p95=0.5), entry("large", 2, 0.97, p95=2)
    choice = choose("@champion", [small, large], AXES)
    assert choice.proposed is large
    assert choice.reason.startswith(
        "v2 large: the best top-1 of 2 that pass. top-1 0.970 (0.950-0.980, n=360)"
    )
    assert "p95 on edge 2" in choice.reason
    assert "No version that is shown carries @champion." in choice.reason
    assert choice.others == ((small, "passes; a worse top-1 (0.950 against 0.970)"),)


def test_among_those_that_pass_validation_decides_where_all_of_them_say_it() -> None:
    lucky, best = entry("lucky", 1, 0.98), entry("best", 2, 0.97)
    lucky, best = (
        replace(each, metrics={**each.metrics, "validation.top1": Metric(value=value, n=180)})
        for each, value in ((lucky, 0.95), (best, 0.96))
    )
    choice = choose("@champion", [lucky, best], AXES)
    assert choice.proposed is best
    assert choice.reason.startswith("v2 best: the best top-1 on validation of 2 that pass. top-1 0.970")
    assert choice.others == ((lucky, "passes; a worse top-1 on validation (0.950 against 0.960)"),)
    silent = entry("silent", 3, 0.96)
    assert choose("@champion", [lucky, best, silent], AXES).proposed is lucky


def test_where_the_headline_is_to_be_low_the_lowest_is_proposed() -> None:
    by = Headline(metric="test.error", chosen_by="validation.error", label="error", higher_is_better=False)
    worse, better = (
        replace(each, by=by, metrics={**each.metrics, "test.error": Metric(value=value, n=180)})
        for each, value in ((entry("a", 1, 0.97), 0.2), (entry("b", 2, 0.95), 0.1))
    )
    choice = choose("@champion", [worse, better], [headline_axis(by)])
    assert choice.proposed is better
    assert choice.reason.startswith("v2 b: the best error of 2 that pass")


def test_a_refused_version_is_not_proposed_however_accurate_and_its_reason_is_told() -> None:
    refused = entry("large", 1, 0.99, refusals={"@champion": "size.bytes 9 is above 5"})
    only = entry("small", 2, 0.95, p95=0.1)
    choice = choose("@champion", [refused, only], AXES)
    assert choice.proposed is only
    assert choice.reason.startswith("v2 small: the only version that passes.")
    assert choice.others == ((refused, "refused: size.bytes 9 is above 5"),)


def test_where_nobody_passes_nobody_is_proposed() -> None:
    refused = entry("a", 1, 0.99, refusals={"@champion": "refused: too slow"})
    choice = choose("@champion", [refused], AXES)
    assert choice.proposed is None
    assert choice.reason == "No version passes. No version that is shown carries @champion."
    assert choice.others == ((refused, "refused: too slow"),)


def test_a_version_of_which_the_gate_says_nothing_is_not_proposed() -> None:
    silent = entry("a", 1, 0.99, refusals={})
    choice = choose("@champion", [silent], AXES)
    assert choice.proposed is None
    assert choice.others == ((silent, "refused: the gate has not judged it"),)


def test_there_need_be_no_version_at_all() -> None:
    assert choose("@champion", [], AXES).proposed is None


def test_of_equally_accurate_ones_the_earlier_is_proposed_and_the_better_one_pointed_at() -> None:
    first = entry("a", 1, 0.98, p95=2, size=2000)
    second = entry("a-int8", 2, 0.98, p95=1, size=1000, format_="int8")
    choice = choose("@champion", [second, first], AXES)
    assert choice.proposed is first
    assert "the best top-1 of 2 that pass, with v2 a-int8; the earlier version goes first." in choice.reason
    assert "But v2 a-int8 passes too, nowhere worse, and better in p95 on edge and size." in choice.reason
    assert choice.others == ((second, "passes; an equal top-1, but registered later"),)


def test_a_better_export_that_is_no_version_is_pointed_at_but_never_proposed() -> None:
    version = entry("a", 1, 0.98, p95=2)
    loose = entry("a-onnx", None, 0.98, p95=1, format_="onnx")
    choice = choose("@champion", [version, loose], AXES)
    assert choice.proposed is version
    assert (
        "And a-onnx, which is not a version yet, is nowhere worse, and better in p95 on edge" in choice.reason
    )
    assert "deployments" in choice.reason
    assert choice.others == ()


def test_a_version_that_another_beats_everywhere_is_named_with_the_axes() -> None:
    best = entry("best", 1, 0.98, p95=1, megabytes=50, size=500)
    worse = entry("worse", 2, 0.97, p95=1, megabytes=60, size=500)
    (_, why), *_ = choose("@champion", [best, worse], AXES).others
    assert why.endswith("v1 best is nowhere worse, and better in top-1 and memory on edge")
    found = portfolio_of(best, worse)
    assert found.dominated_by(worse) is best
    assert found.dominated_by(best) is None


def test_who_serves_is_told_and_whether_it_would_pass_today() -> None:
    old = entry("old", 1, 0.95, p95=0.1, aliases=("champion",), refusals={"@champion": "top1 is too low"})
    new = entry("new", 2, 0.97)
    choice = choose("@champion", [old, new], AXES)
    assert (choice.serving, choice.proposed) == (old, new)
    assert "Now v1 old carries it, and would be refused today (top1 is too low)." in choice.reason
    kept = choose("@champion", [entry("only", 3, 0.97, aliases=("champion",))], AXES)
    assert "It carries @champion already." in kept.reason


def test_what_was_not_measured_there_does_not_count() -> None:
    gpu_less = entry("export", 2, 0.98, p95=1)
    slower = entry("trained", 1, 0.97, p95=2)
    found = portfolio_of(slower, gpu_less)
    assert found.proposed_for(gpu_less) == ["@champion"]
    assert found.dominated_by(slower) is gpu_less
