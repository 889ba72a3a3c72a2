"""Simulated clients of a server: a folder of images, replayed at a rate. It is no real traffic, and says so."""

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from resnet_ops.data.listing.folders import find
from resnet_ops.errors import DataError
from resnet_ops.evaluation.corruptions.corrupt import corrupt
from resnet_ops.messages import Progress
from resnet_ops_monitoring.inference_log.labels import give_labels
from resnet_ops_monitoring.inference_log.log import InferenceLog

__all__ = ["BY", "SIMULATED", "Corruption", "Plan", "Sent", "Traffic"]

SIMULATED = "Simulated traffic: images of a folder, replayed. Sources and labels in the log say so too."
BY = "simulated traffic"
"""Who gave the labels."""
_CLIENTS = 16
_KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_LONGEST_DELAY = 1e7  # seconds
_LABELS_EVERY, _LABELS_WITHIN = 0.25, 30.0  # seconds; the latter: that rows may take into the log


@dataclass(frozen=True)
class Corruption:
    """What befalls images: name and severity as `corrupt` takes them, from this share of the requests on."""

    name: str
    severity: int
    after: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sent: so many requests, `rate` a second on average, by so many sources in turn.

    label_delay: seconds after an answer until its image's true class, the name of its folder, is in the log; None for
    no labels. group: what in an image's path names its group; an image without it is its own.
    """

    requests: int
    rate: float
    sources: int
    corruption: Corruption | None
    label_delay: float | None
    seed: int
    group: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        """Raises DataError for numbers that no traffic has."""
        after = self.corruption.after if self.corruption else 0
        counts = self.requests >= 1 and self.sources >= 1 and 0 < self.rate < 1e6
        if not (counts and 0 <= after <= 1 and 0 <= (self.label_delay or 0) <= _LONGEST_DELAY):
            raise DataError(
                "Traffic has one request and one source at least, and a rate above 0; corruption begins after a share "
                f"from 0 to 1, and labels come after 0 to {_LONGEST_DELAY:g} seconds."
            )


@dataclass(frozen=True)
class Sent:
    """What became of the requests: by status, 0 for no answer; and labels that are in the log now."""

    statuses: dict[int, int]
    labelled: int


class Traffic:
    """Images of a folder, and a way to ask with them.

    ask: a query string, headers and a body -> the status. Images are drawn with the plan's seed, so that a second run
    sends the same ones under other ids.
    """

    def __init__(self, folder: Path, plan: Plan, ask: Callable[[str, dict[str, str], bytes], int]) -> None:
        """Raises DataError where the folder holds no image that the server takes."""
        self._folder, self._plan, self._ask = folder, plan, ask
        self._images = sorted(path for path in find(folder).images if path.suffix.lower() in _KINDS)
        if not self._images:
            raise DataError(f"{folder} holds no image of {', '.join(_KINDS)} at any depth.")
        self._name = f"simulated-{time.time_ns():x}"
        self._due = deque[tuple[float, str, str]]()

    def run(self, log: InferenceLog | None, progress: Progress = lambda done, total: None) -> Sent:
        """Send everything, each request at its time whether or not others are answered, and give the labels.

        log: where labels go. Raises DataError where their rows do not come into the log, and for an image that cannot
        be read.
        """
        plan, chance = self._plan, np.random.default_rng(self._plan.seed)
        due, statuses, labelled = time.monotonic(), Counter[int](), 0
        under_way = deque[tuple[int, Path, Future[int]]]()
        with ThreadPoolExecutor(_CLIENTS, thread_name_prefix="client") as clients:
            for number in range(plan.requests):
                path = self._images[chance.integers(len(self._images))]
                due += chance.exponential(1 / plan.rate)
                time.sleep(max(due - time.monotonic(), 0))
                under_way.append((number, path, clients.submit(self._send, number, path)))
                self._collect(under_way, statuses, wait=False)
                labelled += self._label(log, wait=False)
                progress(number + 1, plan.requests)
            self._collect(under_way, statuses, wait=True)
        labelled += self._label(log, wait=True)
        return Sent(dict(statuses), labelled)

    def _send(self, number: int, path: Path) -> int:
        corruption = self._plan.corruption
        try:
            content, kind = path.read_bytes(), _KINDS[path.suffix.lower()]
            if corruption and number >= corruption.after * self._plan.requests:
                content, kind = _corrupted(content, corruption, (self._plan.seed, number)), "image/png"
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path} cannot be sent ({type(error).__name__}). Move it away.") from error
        query = {"source": f"simulated camera {number % self._plan.sources + 1}"}
        found = self._plan.group and self._plan.group.search(str(path.relative_to(self._folder)))
        if found and found[0]:
            query["group"] = f"simulated {found[0]}"
        return self._ask(urlencode(query), {"Content-Type": kind, "X-Request-Id": self._id(number)}, content)

    def _id(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _collect(
        self, under_way: deque[tuple[int, Path, Future[int]]], statuses: Counter[int], *, wait: bool
    ) -> None:
        while under_way and (wait or under_way[0][2].done()):
            number, path, answer = under_way.popleft()
            statuses[answer.result()] += 1
            if answer.result() == 200 and self._plan.label_delay is not None:
                self._due.append(
                    (time.monotonic() + self._plan.label_delay, self._id(number), path.parent.name)
                )

    def _label(self, log: InferenceLog | None, *, wait: bool) -> int:
        """Give the labels that are due, now and then; or all, each when it is due."""
        given = 0
        while log is not None and self._due and (wait or time.monotonic() > self._due[0][0] + _LABELS_EVERY):
            if wait:
                time.sleep(max(self._due[0][0] - time.monotonic(), 0))
            some = list(self._taken())
            given += _give(log, [name for _, name, _ in some], [label for *_, label in some])
        return given

    def _taken(self) -> Iterator[tuple[float, str, str]]:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            yield self._due.popleft()


def _give(log: InferenceLog, names: Sequence[str], labels: Sequence[str]) -> int:
    """Once their rows are in the log, which takes a moment."""
    until = time.monotonic() + _LABELS_WITHIN
    while True:
        try:
            return give_labels(log, names, labels, by=BY, at=datetime.now(UTC), chosen="random")
        except DataError:
            if time.monotonic() > until:
                raise
            time.sleep(_LABELS_EVERY)


def _corrupted(content: bytes, corruption: Corruption, seed: tuple[int, ...]) -> bytes:
    """As PNG, at the image's own size."""
    with Image.open(BytesIO(content)) as image:
        pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    changed = corrupt(pixels.reshape(1, *pixels.shape[:2], -1), corruption.name, corruption.severity, seed)[0]
    made = BytesIO()
    Image.fromarray(changed[..., 0] if changed.shape[-1] == 1 else changed).save(made, "PNG")
    return made.getvalue()
