"""The one loop: read a batch, plan, write, count; here or on many machines."""

from rotation.job.rotation import Job, rotate
from rotation.job.runs import RunSettings, census, run, status

__all__ = ["Job", "RunSettings", "census", "rotate", "run", "status"]
