"""The Python client: a replica in SQLite that works without a line, and two drivers that sync it when there is one.

client = Client("field.sqlite", "https://homing.example")
client.login("ana", "…")
client.register_device(device_type="tablet")
client.sync()
row = client.replica.create("submission", {"form_id": "f-1", "data": {"species": "Adelie"}})
client.sync()
"""

from homing.client.attachments import Attachment
from homing.client.call import RefusalError
from homing.client.drivers import AsyncClient, Client
from homing.client.exchange import Answer, Progress, Request, Response, Unreachable, Wait
from homing.client.flow import Report, sync
from homing.client.integrity import Difference
from homing.client.live import Heard
from homing.client.login import OtherUserError
from homing.client.outbox import EditError
from homing.client.replica import Replica, Status
from homing.client.salvage import Salvage
from homing.client.store import ClosedError
from homing.client.verdicts import Verdict

__all__ = [
    "Answer",
    "AsyncClient",
    "Attachment",
    "Client",
    "ClosedError",
    "Difference",
    "EditError",
    "Heard",
    "OtherUserError",
    "Progress",
    "RefusalError",
    "Replica",
    "Report",
    "Request",
    "Response",
    "Salvage",
    "Status",
    "Unreachable",
    "Verdict",
    "Wait",
    "sync",
]
