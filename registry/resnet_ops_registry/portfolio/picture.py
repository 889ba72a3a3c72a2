"""The portfolio as one picture: accuracy against latency, size and memory; SVG, without scripts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape

from resnet_ops_registry.attestations.evidence import Metric, show_metric, show_number
from resnet_ops_registry.portfolio.chart import INK, LINE, SOFT, Box, Linear, Log, Panel, text
from resnet_ops_registry.portfolio.pareto import Axis, front
from resnet_ops_registry.portfolio.portfolio import (
    SIZE,
    Budget,
    Entry,
    Portfolio,
    headline_axis,
    latency,
    memory,
)

__all__ = ["draw_portfolio"]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 560, 400, 56, 40, 16, 44
COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d", "#0e7490", "#4d4d4d")
FRONT, LIMIT = "#8fb8de", "#a3170d"
Shape = Callable[[float, float], str]
SHAPES: dict[str, Shape] = {
    "weights": lambda x, y: f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"',
    "onnx": lambda x, y: f'<path d="M{x:.1f},{y - 6.5:.1f}l6.5,11.5h-13z"',
    "int8": lambda x, y: f'<path d="M{x:.1f},{y - 7:.1f}l7,7l-7,7l-7,-7z"',
    "pt2": lambda x, y: f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"',
}


def draw_portfolio(portfolio: Portfolio) -> str:
    """A panel for each profile's latency, one for the size, one for each profile's memory, and a key."""
    axes = [
        *((latency(name), f"latency on {name}: p95 of one image, ms") for name in portfolio.profiles),
        (SIZE, "size of the file, KB"),
        *((memory(name), f"memory on {name}: peak of the process, MiB") for name in portfolio.profiles),
    ]
    cells = [_panel(portfolio, axis, title) for axis, title in axes] + [_key(portfolio)]
    placed = "".join(
        f'<g transform="translate({place % 2 * WIDTH},{place // 2 * HEIGHT})">{cell}</g>'
        for place, cell in enumerate(cells)
    )
    height = (len(cells) + 1) // 2 * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {height}" width="{2 * WIDTH}" '
        f'height="{height}" font-family="system-ui,sans-serif" font-size="11.5" fill="{INK}" role="img">'
        f"<title>Portfolio of {escape(portfolio.model)}</title>"
        f'<rect width="100%" height="100%" fill="white"/>{placed}</svg>\n'
    )


def _panel(portfolio: Portfolio, axis: Axis, title: str) -> str:
    shown = [entry for entry in portfolio.entries if axis.metric in entry.metrics]
    budgets = _merged([each for each in portfolio.budgets if each.metric == axis.metric])
    floors = _merged(
        [each for each in portfolio.budgets if each.metric == portfolio.headline.metric and each.is_floor]
    )
    heading = text(LEFT, 20, title, font_size="13", font_weight="600")
    if not shown:
        return heading + text(LEFT, 60, "not measured", fill=SOFT)
    panel = Panel(Box(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM))
    across = _across([entry.metrics[axis.metric] for entry in shown], [each.limit for each in budgets])
    upward = _upward([entry.metrics[entry.by.metric] for entry in shown], [each.limit for each in floors])
    _frame(panel, across, upward, 1000 if axis == SIZE else 1, portfolio.headline.label)
    _front(panel, across, upward, shown, axis)
    _budgets(panel, across, upward, budgets, floors)
    colours = _colours(portfolio)
    # what is proposed is drawn last, so that it lies on top
    for entry in sorted(shown, key=lambda entry: (entry.version is not None, bool(_marks(portfolio, entry)))):
        _point(panel, across, upward, entry, axis, colours[_member(entry)], bool(_marks(portfolio, entry)))
    _labels(panel, across, upward, portfolio, shown, axis)
    return heading + "".join(panel.parts)


def _merged(budgets: Sequence[Budget]) -> list[Budget]:
    """One line for what several aliases demand alike."""
    targets: dict[Budget, list[str]] = {}
    for budget in budgets:
        targets.setdefault(replace(budget, target=""), []).append(budget.target)
    return [replace(budget, target=", ".join(names)) for budget, names in targets.items()]


def _across(metrics: Sequence[Metric], limits: Sequence[float]) -> Log:
    ends = [end for metric in metrics for end in (metric.value, metric.low, metric.high)]
    every = [end for end in (*ends, *limits) if end is not None and end > 0] or [1.0]
    return Log(min(every) / 1.5, max(every) * 1.5, LEFT, WIDTH - RIGHT)


def _upward(metrics: Sequence[Metric], limits: Sequence[float]) -> Linear:
    lows = [metric.value if metric.low is None else metric.low for metric in metrics]
    highs = [metric.value if metric.high is None else metric.high for metric in metrics]
    low, high = min([*lows, *limits]), max([*highs, *limits])
    room = max(0.08 * (high - low), 0.002)
    # above the best there are only names
    return Linear(max(0.0, low - room), high + 3 * room, HEIGHT - BOTTOM, TOP)


def _frame(panel: Panel, across: Log, upward: Linear, unit: float, label: str) -> None:
    area = panel.area
    for tick in across.ticks():
        x = across.at(tick)
        panel.draw(f'<path d="M{x:.1f},{area.top}V{area.bottom}" stroke="{LINE}"/>')
        panel.draw(text(x, area.bottom + 16, f"{tick / unit:g}", text_anchor="middle", fill=SOFT))
    for tick in (tick for tick in upward.ticks() if tick <= 1):
        y = upward.at(tick)
        panel.draw(f'<path d="M{area.left},{y:.1f}H{area.right}" stroke="{LINE}"/>')
        panel.draw(text(area.left - 6, y + 4, f"{tick:g}", text_anchor="end", fill=SOFT))
    panel.draw(f'<path d="M{area.left},{area.top}V{area.bottom}H{area.right}" fill="none" stroke="{INK}"/>')
    panel.draw(text(area.left, area.top - 6, label, fill=SOFT))


def _front(panel: Panel, across: Log, upward: Linear, shown: Sequence[Entry], axis: Axis) -> None:
    best = front({entry.label: entry.metrics for entry in shown}, [headline_axis(shown[0].by), axis])
    corners = sorted(
        (entry.metrics[axis.metric].value, entry.score) for entry in shown if entry.label in best
    )
    path = f"M{across.at(corners[0][0]):.1f},{panel.area.bottom}"
    for value, score in corners:
        path += f"H{across.at(value):.1f}V{upward.at(score):.1f}"
    panel.draw(
        f'<path d="{path}H{panel.area.right}" fill="none" stroke="{FRONT}" stroke-width="5" stroke-opacity=".6" '
        'stroke-linejoin="round"/>'
    )


def _budgets(
    panel: Panel, across: Log, upward: Linear, limits: Sequence[Budget], floors: Sequence[Budget]
) -> None:
    area, dashed = panel.area, f'stroke="{LIMIT}" stroke-dasharray="5 4" fill="none"'
    for floor in floors:
        y = upward.at(floor.limit)
        end = "" if floor.bound == "value" else f" ({floor.bound} end)"
        words = f"{floor.target} \u2265 {show_number(floor.limit)}{end}"
        panel.draw(f'<path d="M{area.left},{y:.1f}H{area.right}" {dashed}/>')
        panel.crossed.append(Box(area.left, y - 1, area.right, y + 1))
        panel.draw(text(area.left + 4, y - 4, words, fill=LIMIT, font_size="10.5"))
        panel.taken.append(Box(area.left, y - 15, area.left + 4 + 5.8 * len(words), y + 2))
    for limit in limits:
        x = across.at(limit.limit)
        value = limit.limit / 1000 if limit.metric == SIZE.metric else limit.limit
        sign = "\u2265" if limit.is_floor else "\u2264"
        words = f"{limit.target} {sign} {show_number(value)}"
        panel.draw(f'<path d="M{x:.1f},{area.top}V{area.bottom}" {dashed}/>')
        panel.crossed.append(Box(x - 1, area.top, x + 1, area.bottom))
        turned = f"rotate(-90 {x - 4:.1f} {area.bottom - 8:.1f})"
        panel.draw(text(x - 4, area.bottom - 8, words, fill=LIMIT, font_size="10.5", transform=turned))
        panel.taken.append(Box(x - 15, area.bottom - 8 - 5.8 * len(words), x + 2, area.bottom))


def _point(
    panel: Panel, across: Log, upward: Linear, entry: Entry, axis: Axis, colour: str, marked: bool
) -> None:
    found, score = entry.metrics[axis.metric], entry.metrics[entry.by.metric]
    x, y = across.at(found.value), upward.at(score.value)
    tips = f"{entry.label}, {entry.format}: {entry.by.label} {show_metric(score)}, {axis.label} {show_metric(found)}"
    bars = ""
    if score.low is not None and score.high is not None:
        bars += f"M{x:.1f},{upward.at(score.low):.1f}V{upward.at(score.high):.1f}"
        panel.crossed.append(Box(x - 1, upward.at(score.high), x + 1, upward.at(score.low)))
    if found.low is not None and found.high is not None:
        bars += f"M{across.at(found.low):.1f},{y:.1f}H{across.at(found.high):.1f}"
        panel.crossed.append(Box(across.at(found.low), y - 1, across.at(found.high), y + 1))
    fill = "white" if entry.version is None else colour
    panel.draw(f"<g><title>{escape(tips)}</title>")
    panel.draw(f'<path d="{bars}" stroke="{colour}" stroke-width="1.6" stroke-opacity=".55" fill="none"/>')
    if marked:
        panel.draw(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="none" stroke="{INK}" stroke-width="2"/>')
    panel.draw(f'{_shape(entry.format)(x, y)} fill="{fill}" stroke="{colour}" stroke-width="2"/></g>')
    reach = 12 if marked else 7
    panel.taken.append(Box(x - reach, y - reach, x + reach, y + reach))


def _labels(
    panel: Panel, across: Log, upward: Linear, portfolio: Portfolio, shown: Sequence[Entry], axis: Axis
) -> None:
    """The most important first; who finds no room is in the table, and says its name under the pointer."""
    best, colours = (
        front({entry.label: entry.metrics for entry in shown}, [headline_axis(shown[0].by), axis]),
        _colours(portfolio),
    )

    def importance(entry: Entry) -> tuple[bool, bool, bool]:
        return (not _marks(portfolio, entry), entry.version is None, entry.label not in best)

    for entry in sorted(shown, key=importance):
        marks, place = _marks(portfolio, entry), entry.metrics[axis.metric].value
        words = " ".join([entry.label, *marks])
        more = {
            "font_weight": "700" if marks else "400",
            "fill": colours[_member(entry)],
        }
        panel.label(across.at(place), upward.at(entry.score), words, 13 if marks else 8, bool(marks), **more)


def _marks(portfolio: Portfolio, entry: Entry) -> list[str]:
    """Which aliases an entry carries, and with an arrow which it is proposed for."""
    carried = [f"@{alias}" for alias in entry.aliases]
    proposed = [target for target in portfolio.proposed_for(entry) if target not in carried]
    return [*carried, *(f"\u2192 {target}" for target in proposed)]


def _member(entry: Entry) -> str:
    """What has one colour: a member and its exports, which are named after it."""
    return entry.name if entry.format == "weights" else entry.name.removesuffix(f"-{entry.format}")


def _colours(portfolio: Portfolio) -> dict[str, str]:
    members = dict.fromkeys(_member(entry) for entry in portfolio.entries)
    return {member: COLOURS[place % len(COLOURS)] for place, member in enumerate(members)}


def _shape(format_: str) -> Shape:
    return SHAPES.get(format_, SHAPES["weights"])


def _key(portfolio: Portfolio) -> str:
    rows: list[tuple[str, str]] = []
    x = LEFT + 12
    for member, colour in _colours(portfolio).items():
        rows.append((f'<rect x="{x - 8}" y="-8" width="16" height="10" rx="2" fill="{colour}"/>', member))
    for format_ in dict.fromkeys(entry.format for entry in portfolio.entries):
        rows.append((f'{_shape(format_)(x, -4)} fill="{SOFT}" stroke="{SOFT}" stroke-width="2"/>', format_))
    hollow = f'{SHAPES["weights"](x, -4)} fill="white" stroke="{SOFT}" stroke-width="2"/>'
    ring = f'<circle cx="{x}" cy="-4" r="8" fill="none" stroke="{INK}" stroke-width="2"/>'
    rows += [
        (hollow, "hollow: measured, but no version of its own"),
        (ring, "carries an @alias, or is proposed for it (\u2192)"),
        (
            f'<path d="M{x},-13V5M{x - 9},-4H{x + 9}" stroke="{SOFT}" stroke-width="1.6"/>',
            _interval(portfolio),
        ),
        (
            f'<path d="M{x - 10},-4H{x + 10}" stroke="{FRONT}" stroke-width="5" stroke-opacity=".6"/>',
            "Pareto front: nothing measured is better in both directions",
        ),
    ]
    if portfolio.budgets:
        dashed = f'<path d="M{x - 10},-4H{x + 10}" stroke="{LIMIT}" stroke-dasharray="5 4"/>'
        rows.append((dashed, f"what the gate demands ({portfolio.policy})"))
    step = min(22.0, (HEIGHT - 60) / len(rows))
    drawn = "".join(
        f'<g transform="translate(0,{48 + place * step:.1f})">{sign}{text(x + 20, 0, words)}</g>'
        for place, (sign, words) in enumerate(rows)
    )
    return text(LEFT, 20, "How to read it", font_size="13", font_weight="600") + drawn


def _interval(portfolio: Portfolio) -> str:
    """Such as `95 % intervals`, as far as the methods say their level."""
    methods = {entry.metrics[entry.by.metric].method or "" for entry in portfolio.entries}
    levels = {method.rpartition(" ")[2] for method in methods}
    level = levels.pop() if len(levels) == 1 else ""
    try:
        return f"{100 * float(level):g} % interval"
    except ValueError:
        return "interval"
