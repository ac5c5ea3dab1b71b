"""Jobs: what a request causes and need not wait for, and what happens again and again.

A job is a row, enqueued in the transaction that causes it, so it is there if and only if that transaction committed.
Workers take it, at least once; ``Job.once`` makes its effect happen once. The queue is Procrastinate's.
"""

from homing.jobs.defer import absorb, defer
from homing.jobs.install import install
from homing.jobs.task import HopelessError, Job, Task

__all__ = ["HopelessError", "Job", "Task", "absorb", "defer", "install"]
