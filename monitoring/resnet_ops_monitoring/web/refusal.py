"""Why a request is not answered."""

from resnet_ops.errors import ResnetOpsError

__all__ = ["Refusal"]


class Refusal(ResnetOpsError):
    """A request that is not answered, with the HTTP status that says so. The message is one line."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(" ".join(message.split())[:500])
        self.status = status
        self.retry_after = retry_after
        """Seconds after which it may be sent again; None where that would change nothing."""
