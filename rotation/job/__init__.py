"""The one loop: read a batch, plan, write, count; here or on many machines."""

from rotation.job.loop import Job, rotate
from rotation.job.options import LocalOptions, RunOptions, RunSettings
from rotation.job.runs import census, run, status

__all__ = ["Job", "LocalOptions", "RunOptions", "RunSettings", "census", "rotate", "run", "status"]
