"""Judge what is due: validate, judge, remember, write the page, publish and tell; a repeat does no harm.

Whatever was done is known by the version's files and the window, so a run that was killed is completed by the next.
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from mlflow import MlflowClient

from resnet_ops.data.depth import Pixels
from resnet_ops_monitoring.drift.budget import k_of_n, window_level
from resnet_ops_monitoring.drift.detector import invalid
from resnet_ops_monitoring.drift.time_ranges import Judged, judge_time_range
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import Period, TimeRange
from resnet_ops_monitoring.report.evidently_workspace import workspace_folder
from resnet_ops_monitoring.report.publish import publish_window
from resnet_ops_monitoring.report.report import PageContext, write_window
from resnet_ops_monitoring.report.stored_reference import registered_version
from resnet_ops_monitoring.service.alerts import Address, Alerts
from resnet_ops_monitoring.service.history import VerdictHistory
from resnet_ops_monitoring.service.watched import Watched
from resnet_ops_monitoring.service.windows import (
    changed_periods,
    due_time_ranges,
    rows_after,
    skipped_time_ranges,
)
from resnet_ops_monitoring.settings.service import MonitorSettings
from resnet_ops_monitoring.validation.window_checks import check_window, failures
from resnet_ops_registry.common.settings import ui_address
from resnet_ops_registry.gate.reviews import reviews_of

__all__ = ["ALARM", "INVALID", "Monitor", "Showing", "alone"]

ALARM, INVALID = "alarm", "invalid data"
_UNJUDGED = ("insufficient data", "invalid data")


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no other run holds the lock; it is let go with the process, also when that is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@dataclass(frozen=True)
class Showing:
    """Images for the pages of windows, where somebody has them.

    of: those of some requests by their ids, (N, H, W, C); None where it lacks one of them. reference: of the
    reference's split, any number. simulated: a sentence where the traffic is not real.
    """

    of: Callable[[Sequence[str]], Pixels | None]
    reference: Pixels
    simulated: str | None = None


@dataclass(frozen=True)
class Monitor:
    """Watches one version. reports: folder with one sub-folder for each window. publishes: into MLflow, too."""

    log: InferenceLog
    client: MlflowClient
    watched: Watched
    settings: MonitorSettings
    reports: Path
    showing: Showing | None = None
    publishes: bool = True

    @property
    def history(self) -> VerdictHistory:
        return VerdictHistory(self.log)

    @property
    def alerts(self) -> Alerts:
        return Alerts(self.log)

    def judge_due(
        self, addresses: Sequence[Address], now: datetime, stopping: Callable[[], bool] = lambda: False
    ) -> list[Verdict]:
        """Judge every window that is due, oldest first, and what came late; write down whom to tell of it."""
        self.alerts.register(tuple(addresses))
        self._follow(now)  # for a run that was killed in between
        verdicts = []
        for time_range in self._due(now):
            if stopping():
                break
            verdicts.append(self.judge_window(time_range, now))
            self._follow(now)
        return verdicts

    def judge_window(self, time_range: TimeRange, now: datetime) -> Verdict:
        """Validate and judge one window, write and publish its page, and keep the verdict."""
        period = time_range.period(self.log)
        judged = self._judged(time_range, period, now)
        verdict = replace(self._remembered(time_range, judged.verdict), lost=period.lost)
        if verdict.end is None:
            verdict = replace(
                verdict, start=time_range.since, end=time_range.until - timedelta(microseconds=1)
            )
        folder, context = self.reports / time_range.name, self._context(time_range, judged)
        reference, drift = self.watched.reference, self.settings.drift
        write_window(folder, verdict, judged.rows, reference, drift, context, workspace=workspace_folder())
        link = publish_window(self.client, folder) if self.publishes else ""
        self.history.add(verdict, link=link, period=period)
        return verdict

    def _context(self, time_range: TimeRange, judged: Judged) -> PageContext:
        history, identity = self.history, time_range.identity
        earlier = history.recent(identity, before=time_range.since)
        context = PageContext(
            role=self.watched.alias, history=[*earlier, *history.beside(identity, time_range.since)]
        )
        if self.publishes:
            reviews = reviews_of(registered_version(self.client, identity), time_range.name)
            context = replace(context, reviews=reviews)
        if self.showing is None:
            return context
        return replace(
            context,
            simulated=self.showing.simulated,
            images=self.showing.of(judged.rows["request_id"].tolist()),
            reference_images=self.showing.reference,
        )

    def _judged(self, time_range: TimeRange, period: Period, now: datetime) -> Judged:
        reference, drift = self.watched.reference, self.settings.drift
        length = time_range.until - time_range.since
        checks = check_window(
            self.log,
            time_range,
            reference.classes,
            self.watched.versions,
            self.settings.validate,
            now,
            reference.schema.scalars,
        )
        if problem := failures(checks):
            verdict = invalid(reference, drift, window=time_range.name, reason=problem, rows=period.rows)
            return Judged(verdict, self.log.rows_of([], reference.identity.digest))
        return judge_time_range(
            self.log,
            reference,
            drift,
            name=time_range.name,
            start=time_range.since,
            end=time_range.until,
            level=lambda rows: window_level(self.settings.run, drift, length, rows, reference),
        )

    def alarm(self) -> bool:
        """Whether an alarm lasts: enough of the windows that were judged last fired."""
        params = self.settings.run
        recent = self.history.recent(self.watched.identity, limit=20 * params.windows)
        return k_of_n([_fired(each) for each in recent], params.min_alarms, params.windows)

    def last(self) -> Verdict | None:
        """The latest window's verdict."""
        recent = self.history.recent(self.watched.identity, limit=1)
        return recent[-1] if recent else None

    def link(self, window: str) -> str:
        """Where a window's page opens; "" when it is not published."""
        place = self.history.link(self.watched.identity, window)
        return f"{ui_address(self.settings.alerts.mlflow)}/{place}" if place else ""

    def set_aside(self, now: datetime) -> int:
        """How many rows say that they are from the future: no window holds them before it has come."""
        allowance = timedelta(seconds=self.settings.validate.clock_allowance_seconds)
        return rows_after(self.log, self.watched.identity, now + allowance)

    def _due(self, now: datetime) -> Iterator[TimeRange]:
        identity, params = self.watched.identity, self.settings.run
        periods = self.history.periods(identity, limit=params.late_windows)
        yield from changed_periods(self.log, identity, periods)
        yield from skipped_time_ranges(self.log, identity, params, periods)
        yield from due_time_ranges(self.log, identity, params, self.history.judged_until(identity), now)

    def _follow(self, now: datetime) -> None:
        verdict = self.last()
        if verdict is None:
            return
        identity, window = verdict.identity, verdict.window
        page = self.link(window)
        where = f"--why TEXT --key NAME --reports {self.reports}"
        way_back = f"resnet-ops drift rollback {window} {self.watched.alias} {where}"
        for kind, troubled in ((ALARM, self.alarm()), (INVALID, verdict.status == INVALID)):
            words = f"{window}: {verdict.headline}. {verdict.reason}\nPage: {page}"
            if kind == ALARM and troubled:
                words += f"\nThe way back, through the gate: {way_back}"
            self.alerts.follow(
                identity,
                kind,
                troubled,
                window=window,
                words=words,
                reminder_hours=self.settings.alerts.reminder_hours,
                now=now,
            )

    def _remembered(self, time_range: TimeRange, verdict: Verdict) -> Verdict:
        """A window that fired alone is to be watched; it takes several for an alarm."""
        params = self.settings.run
        if verdict.status != ALARM:
            return verdict
        earlier = self.history.recent(time_range.identity, before=time_range.since, limit=20 * params.windows)
        if k_of_n([*map(_fired, earlier), True], params.min_alarms, params.windows):
            return verdict
        return replace(verdict, status="warning")


def _fired(verdict: Verdict) -> bool | None:
    return None if verdict.status in _UNJUDGED else verdict.fired
