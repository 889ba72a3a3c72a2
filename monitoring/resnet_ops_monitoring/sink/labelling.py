"""Labels that are sent later: true classes of logged requests, in the log before they are answered for."""

import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import from_json

from resnet_ops.errors import DataError, ResnetOpsError
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.incoming import as_text
from resnet_ops_monitoring.inference_log.labels import Origin, give_labels
from resnet_ops_monitoring.sink.inference import Strict
from resnet_ops_monitoring.sink.reading import why_refused
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["Labelling", "labels_schema"]

_logger = logging.getLogger(__name__)
_RETRY_AFTER = 5  # seconds
_LONGEST_NAME = 250


class Label(Strict):
    """What one request's image shows."""

    request_id: str = Field(description="of an answer that is in the log")
    label: str = Field(description="the true class, one of a version that answered the request")


class Labels(Strict):
    """Of requests that were chosen in one way, by whoever says so."""

    labels: Annotated[list[Label], Field(min_length=1, fail_fast=True)]
    by: str = Field(description="who labelled; a pseudonym")
    origin: Origin = Field(
        description="how the requests were chosen: random, or proposed since they are hard, or by a complaint"
    )


def labels_schema() -> dict[str, Any]:
    """Of a body, in one piece: references would be looked for at the document's root."""
    schema = Labels.model_json_schema()
    schema["properties"]["labels"]["items"] = schema.pop("$defs")["Label"]
    return schema


class Labelling:
    """For one thread. url: of the log; most: labels of a body; classes_of: of versions whose rows came by this way."""

    def __init__(
        self, url: str, most: int, classes_of: Callable[[ModelIdentity], Collection[str] | None]
    ) -> None:
        self._url, self._most, self._classes_of = url, most, classes_of
        self._log: LogDatabase | None = None

    def write(self, body: bytes) -> tuple[int, int]:
        """How many labels a body holds, and how many of them are new or others than before; all or none are written.

        Raises Refusal for a body that is none, for requests without a logged answer, for labels that are no class, and
        while the log cannot be written to.
        """
        sent = self._read(body)
        try:
            self._log = self._log or LogDatabase(self._url)
            changed = give_labels(
                self._log,
                [as_text("request_id", each.request_id) for each in sent.labels],
                [as_text("label", each.label) for each in sent.labels],
                by=as_text("by", sent.by, _LONGEST_NAME),
                at=datetime.now(UTC),
                chosen=sent.origin,
                classes_of=self._classes_of,
            )
        except DataError as error:
            raise Refusal(400, str(error)) from None
        except ResnetOpsError as error:
            _logger.warning("Labels find no place: %s", error)
            raise Refusal(
                503, "The log cannot be written to. Send the labels again later.", _RETRY_AFTER
            ) from None
        return len(sent.labels), changed

    def close(self) -> None:
        """Give the connections back."""
        if self._log is not None:
            self._log.close()

    def _read(self, body: bytes) -> Labels:
        try:
            content = from_json(body, allow_inf_nan=False)
        except ValueError:
            raise Refusal(400, "The body is no JSON.") from None
        given = content.get("labels") if isinstance(content, dict) else None
        if isinstance(given, list) and len(given) > self._most:
            raise Refusal(413, f"The body holds {len(given)} labels; {self._most} are taken at once.")
        try:
            return Labels.model_validate(content)
        except ValidationError as error:
            raise Refusal(400, f"{why_refused(error)}. Nothing was labelled.") from None
