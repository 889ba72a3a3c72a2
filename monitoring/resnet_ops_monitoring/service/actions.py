"""What the monitor does by itself, where the policy in params.yaml lets it: propose what to label, and roll back."""

import math
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement

from resnet_ops.errors import DataError, EvidenceError, GateDenied, ServiceError
from resnet_ops_monitoring.drift.words import percent
from resnet_ops_monitoring.inference_log.labels import count_right, expect_labels
from resnet_ops_monitoring.inference_log.time_range import TimeRange
from resnet_ops_monitoring.service.labelling import HARD, labelling_list, write_labelling_list
from resnet_ops_monitoring.service.monitor import ALARM, Monitor
from resnet_ops_monitoring.service.reviewing import roll_back_for
from resnet_ops_monitoring.statistics.accuracy import Accuracy, counted_accuracy
from resnet_ops_monitoring.statistics.mistakes import proof_of_mistakes
from resnet_ops_registry.attestations.keys import read_key

__all__ = ["PROPOSED", "ROLLED_BACK", "act", "labelled_accuracy", "propose_retraining", "queue_retraining"]

_DAY, _EPOCH = timedelta(days=1), datetime(1970, 1, 1, tzinfo=UTC)
PROPOSED, ROLLED_BACK = "retraining proposed", "rollback"


def act(monitor: Monitor, now: datetime) -> list[str]:
    """Do what the policy asks for in this state, once for each window; gives what was done, in words."""
    actions = monitor.settings.actions
    verdict = monitor.last()
    if verdict is None:
        return []
    identity, window, done = verdict.identity, verdict.window, []
    alarmed = verdict.status == ALARM and not monitor.alerts.was_told(identity, PROPOSED, window)
    if actions.propose_retraining.enabled and alarmed:
        words = propose_retraining(monitor, window, queue=actions.propose_retraining.queue)
        monitor.alerts.once(identity, PROPOSED, window=window, words=words, now=now)
        done.append(words)
    if actions.roll_back.enabled and not monitor.alerts.was_told(identity, ROLLED_BACK, window):
        why = _too_many_mistakes(monitor, now)
        if why:
            words = _roll_back(monitor, window, why)
            monitor.alerts.once(identity, ROLLED_BACK, window=window, words=words, now=now)
            done.append(words)
    return done


def propose_retraining(monitor: Monitor, window: str, *, queue: bool) -> str:
    """Write the window's labelling list beside its page, and queue an experiment if asked; says so in words.

    Raises DataError when the window is none of those that were judged in a row.
    """
    params, identity = monitor.settings.actions.propose_retraining, monitor.watched.identity
    time_ranges = [
        TimeRange(identity, period.since, period.until)
        for period in monitor.history.periods(identity, limit=10_000)
    ]
    time_range = next((each for each in time_ranges if each.name == window), None)
    if time_range is None:
        raise DataError(
            f"{window[:100]!r} is not a window of {identity} that monitor run judged. See which are: "
            "resnet-ops monitor show"
        )
    choice = {"digest": identity.digest, "start": time_range.since, "end": time_range.until}
    frame = monitor.log.read(identity.name, all_kept=True, **choice)
    drawn = frame["request_id"].isin(monitor.log.read(identity.name, **choice)["request_id"])
    folder = Path(params.folder) if params.folder else None
    table = labelling_list(frame, drawn.to_numpy(), monitor.watched.reference, params.images, folder)
    path = monitor.reports / window / "to_label.csv"
    chosen = table["why"].isin(HARD)
    ids = table["request_id"]
    expect_labels(monitor.log, ids[~chosen].tolist(), ids[chosen].tolist())
    write_labelling_list(path, table)
    words = f"{path} lists {len(table)} images of {window} to label; then: resnet-ops log label {path}"
    return f"{words}. {queue_retraining(window)}" if queue else words


def queue_retraining(window: str) -> str:
    """Queue `dvc exp run` under the window's name; a name that is there already is replaced. Says so in words."""
    name = "retrain-" + re.sub(r"[^A-Za-z0-9-]", "-", window)
    command = [sys.executable, "-m", "dvc", "exp", "run", "--queue", "--force", "--name", name]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # noqa: S603
    if ran.returncode != 0:
        output = (ran.stderr.strip() or ran.stdout.strip()).splitlines()
        return f"The experiment could not be queued: {output[-1] if output else 'dvc said nothing'}"
    return f"Experiment {name} is queued; start it: dvc queue start"


def labelled_accuracy(monitor: Monitor, since: datetime) -> Accuracy | None:
    """Of the version's answers since a moment whose labels say how right it is; None where there are none.

    Those count that were drawn at random or labelled whole, and not those that were asked for because they are hard.
    """
    right, wrong = count_right(monitor.log, *_answers(monitor, since))
    return counted_accuracy(right, right + wrong, monitor.settings.drift.confidence)


def _answers(monitor: Monitor, since: datetime) -> list[ColumnElement[bool]]:
    rows, identity = monitor.log.table.c, monitor.watched.identity
    return [rows.model == identity.name, rows.digest == identity.digest, rows.time >= since]


def _too_many_mistakes(monitor: Monitor, now: datetime) -> str:
    """Why labels prove that the version is worse than may be; empty when they do not.

    The proof is judged by the number of days that the version has been watched, so that hourly looks at the same
    labels make no false one more probable (`mistakes`).
    """
    params, drift = monitor.settings.actions.roll_back, monitor.settings.drift
    since = now - timedelta(days=params.days)
    found = labelled_accuracy(monitor, since)
    begun = monitor.history.watched_since(monitor.watched.identity)
    if found is None or begun is None or found.n < params.min_labels or params.floor == 0:
        return ""
    doubt, floor = (1 - drift.confidence) / 2, min(params.floor, 1 - 1e-9)
    last, first = _day(now), _day(begun)
    # whole days, and at least today: a start that moves with each look is not one of those proven
    oldest = min(max(_day(since) + 1, first), last)
    log, time = monitor.log, monitor.log.table.c.time
    days = [
        count_right(log, *_answers(monitor, _start(day)), time < _start(day + 1))
        for day in range(oldest, last + 1)
    ]
    if proof_of_mistakes(days, oldest - first + 1, floor) < -math.log(doubt):
        return ""
    return (
        f"{found.n} labelled answers of {params.days:g} days are {percent(found.value)} right; the floor is "
        f"{percent(params.floor)}, and 1 in {1 / doubt:.0f} versions that keep it is ever taken for worse"
    )


def _day(moment: datetime) -> int:
    return (moment - _EPOCH) // _DAY


def _start(day: int) -> datetime:
    return _EPOCH + day * _DAY


def _roll_back(monitor: Monitor, window: str, why: str) -> str:
    identity, alias = monitor.watched.identity, monitor.watched.alias
    key = read_key(monitor.settings.actions.roll_back.key)
    try:
        _, version, name = roll_back_for(monitor.client, monitor.reports / window, alias, why, key)
    except (GateDenied, EvidenceError, ServiceError) as error:
        return f"{identity} should be rolled back: {why}. It was not: {error}"
    return f"{identity.name} v{version} is @{name} again, instead of v{identity.version}: {why}."
