"""An RQ worker, announced when its module is loaded. Each job has a process of its own, which ends by `os._exit`."""

from __future__ import annotations

from typing import Any

import rq

from rotation.fleet import stop_announcing
from tests.served.reader import do_job, keep

keep()


class Worker(rq.Worker):
    """Removes the entry of a job's process."""

    def perform_job(self, *given: Any) -> bool:
        """Performs the job."""
        try:
            return bool(super().perform_job(*given))
        finally:
            stop_announcing()


def read() -> None:
    """Opens the token."""
    do_job()
