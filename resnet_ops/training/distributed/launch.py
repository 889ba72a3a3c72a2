"""Start the workers of one machine, as torchrun does."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resnet_ops.errors import ServiceError

__all__ = ["start_workers"]


def start_workers(count: int, script: Sequence[str]) -> None:
    """Run a Python script with its arguments in `count` processes, which `join_workers` joins, and wait for their end.

    What the first worker prints is seen; of the others, what the one said that failed first. Raises SystemExit where
    a worker failed, ServiceError where one was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="resnet-ops-workers-") as folder:
        hidden = dict.fromkeys(range(1, count), Std.ALL)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            run_id=str(os.getpid()),
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=hidden),
        )
        try:
            elastic_launch(config, sys.executable)(*script)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if rank:
                for log in Path(folder).rglob(f"{rank}/stderr.log"):
                    sys.stderr.write(log.read_text())
            if failure.exitcode < 0:
                raise ServiceError(
                    f"Worker {rank} of {count} was killed by {signal.Signals(-failure.exitcode).name}. Run the same "
                    "command again: training goes on from its checkpoint."
                ) from error
            raise SystemExit(1) from None
