"""A worker in a process of its own, for tests that kill it: ``python -m tests.jobs.work URL LEASE``.

It knows one task, ``test.write``: writes its text into public.written, once, and stops where its ``hold`` says until
its process is killed.
"""

import asyncio
import sys
from datetime import UTC, datetime

from homing.jobs import Job, Task
from homing.jobs.worker import Worker
from homing.postgres.database import Database


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def write(db: Database, job: Job) -> None:
    hold = job.args.get("hold") if job.attempt == 1 else None
    if hold == "before":
        await stop(job)
    async with db.transaction() as conn:
        if await job.once(conn):
            await conn.execute("INSERT INTO public.written (text) VALUES (%s)", [job.args["text"]])
        if hold == "inside":
            await stop(job)
    if hold == "after":
        await stop(job)
    say(f"wrote {job.args['text']}")


async def stop(job: Job) -> None:
    say(f"holding {job.args['text']}")
    await asyncio.Event().wait()


WRITE = Task(name="test.write", run=write, tries=3)


async def main(url: str, lease: float) -> None:
    db = Database(url, pool_size=4)
    await db.open()
    say("working")
    await Worker(owner=db, tasks=[WRITE], context=db, clock=lambda: datetime.now(UTC), lease=lease).work()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
