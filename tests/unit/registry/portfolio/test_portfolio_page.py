"""The portfolio's page and picture: self-contained, complete, and with labels that can be read."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_ops_registry.portfolio.chart import Box, Linear, Log, Panel
from resnet_ops_registry.portfolio.csv_file import portfolio_csv
from resnet_ops_registry.portfolio.page import portfolio_page
from resnet_ops_registry.portfolio.picture import draw_portfolio
from resnet_ops_registry.portfolio.portfolio import Budget, Portfolio
from tests.unit.registry.portfolios import entry, portfolio_of

HOSTILE = """<script>alert(1)</script>"'&<img src=http://x.example/>"""
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def portfolio() -> Portfolio:
    budgets = (
        Budget("@champion", "test.top1", 0.9, True, "low"),
        Budget("@champion", "edge.latency_p95_ms", 20, False, "value"),
        Budget("@champion", "size.bytes", 400_000, False, "value"),
    )
    return portfolio_of(
        entry("resnet8", 1, 0.95, p95=0.4, size=10_000),
        entry("resnet20", 2, 0.98, p95=0.9, size=1_100_000, aliases=("challenger",)),
        entry("resnet20-onnx", None, 0.98, p95=0.1, megabytes=60, size=1_100_000, format_="onnx"),
        budgets=budgets,
    )


def words(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_page_needs_nothing_from_outside_and_runs_no_script(portfolio: Portfolio) -> None:
    page = portfolio_page(portfolio).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//|src=|href=|url\(|@import|<script|javascript:", page)


def test_what_somebody_named_in_html_is_shown_as_text() -> None:
    hostile = portfolio_of(
        entry(HOSTILE, 1, 0.97, aliases=(HOSTILE,)),
        entry(f"{HOSTILE}-onnx", None, 0.9, format_=HOSTILE),
        entry("other", 2, 0.96, refusals={"@champion": HOSTILE}),
        model=HOSTILE,
    )
    page = portfolio_page(hostile)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    ElementTree.fromstring(draw_portfolio(hostile))


def test_every_entry_and_every_choice_is_on_the_page(portfolio: Portfolio) -> None:
    page = portfolio_page(portfolio)
    for each in ("v1 resnet8", "v2 resnet20 @challenger", "resnet20-onnx", "@champion: v2 resnet20"):
        assert each in page
    assert portfolio.choices[0].reason in page
    assert "0.980 (0.960-0.990)" in page


def test_the_picture_has_a_panel_for_latency_size_and_memory_with_the_gates_budgets(
    portfolio: Portfolio,
) -> None:
    said = words(draw_portfolio(portfolio))
    assert "latency on edge: p95 of one image, ms" in said
    assert "size of the file, KB" in said
    assert "memory on edge: peak of the process, MiB" in said
    assert said.count("@champion ≥ 0.900 (low end)") == 3
    assert said.count("@champion ≤ 20") == 1
    assert said.count("@champion ≤ 400") == 1
    assert said.count("v2 resnet20 @challenger → @champion") == 3
    assert "95 % interval" in said


def test_everything_is_drawn_inside_of_the_picture(portfolio: Portfolio) -> None:
    wide = entry("wide", 3, 0.5, p95=1e-3, size=1e9)
    p95 = wide.metrics["edge.latency_p95_ms"].model_copy(update={"high": 1e5})
    wide = replace(wide, metrics={**wide.metrics, "edge.latency_p95_ms": p95})
    picture = draw_portfolio(replace(portfolio, entries=(*portfolio.entries, wide)))
    for path in re.findall(r'<path d="(M[^"]*)" stroke="#', picture):
        across = [float(x) for x in re.findall(r"[MH](-?[\d.]+)", path)]
        assert all(0 <= x <= 560 for x in across), path


def test_what_two_aliases_demand_alike_is_one_line(portfolio: Portfolio) -> None:
    more = tuple(replace(budget, target="@edge") for budget in portfolio.budgets)
    said = words(draw_portfolio(replace(portfolio, budgets=(*portfolio.budgets, *more))))
    assert said.count("@champion, @edge ≤ 20") == 1
    assert not any(each.startswith(("@champion ≤", "@edge")) for each in said)


def test_the_same_portfolio_gives_the_same_bytes(portfolio: Portfolio) -> None:
    assert portfolio_page(portfolio) == portfolio_page(portfolio)


def test_without_a_policy_no_limit_is_drawn_and_the_page_says_why(portfolio: Portfolio) -> None:
    blind = replace(portfolio, policy=None, budgets=())
    assert "≤" not in "".join(words(draw_portfolio(blind)))
    assert "Only the server knows the policy" in portfolio_page(blind)


def test_an_empty_portfolio_is_a_page_too() -> None:
    page = portfolio_page(portfolio_of())
    assert "No version passes" in page
    assert "not measured" in page


def test_the_csv_has_a_line_for_each_entry_and_profile(portfolio: Portfolio) -> None:
    lines = portfolio_csv(portfolio).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("resnet20,weights,2,edge,@champion,0.98,0.96,0.99,0.9,")


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(50, 450), st.floats(50, 300), st.booleans()), max_size=25))
def test_labels_touch_neither_each_other_nor_a_point_and_stay_inside(
    points: list[tuple[float, float, bool]],
) -> None:
    panel = Panel(Box(40, 40, 480, 320))
    for x, y, _ in points:
        panel.taken.append(Box(x - 7, y - 7, x + 7, y + 7))
    placed = [panel.label(x, y, "v12 resnet20-int8", 8, important) for x, y, important in points]
    labels, signs = panel.taken[len(points) :], panel.taken[: len(points)]
    assert len(labels) == sum(placed)
    for place, label in enumerate(labels):
        assert label.within(panel.area)
        assert not any(label.touches(other) for other in [*labels[:place], *signs])


def test_scales_hit_their_ends_and_tick_within_them() -> None:
    linear, log = Linear(0.9, 1.0, 300, 40), Log(0.05, 20, 50, 450)
    assert linear.at(0.9) == 300
    assert linear.at(1.0) == pytest.approx(40)
    assert log.at(1.0) == pytest.approx(250)
    assert log.at(0) == 50, "what cannot be on the scale is at its end"
    assert linear.ticks() == pytest.approx([0.9, 0.92, 0.94, 0.96, 0.98, 1.0])
    assert log.ticks() == pytest.approx([0.1, 0.3, 1, 3, 10])
