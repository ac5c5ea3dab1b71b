"""Pictures of the console's pages in both themes, for the README, the docs, and to be looked at: ``make screenshots``.

    python -m tests.console.screenshots [part of a name …] [--to docs/images]

The server is the demo's, with the demo's data and what ``scene.py`` adds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from homing.cli._demo import sample
from homing.cli._demo.office import OFFICE, PASSWORD, ensure_office
from homing.cli._demo.serving import serving
from homing.cli.demo import APPS
from homing.jobs.defer import defer
from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.console.scene import Scene, play
from tests.fixtures.browser import ARGUMENTS


@dataclass(frozen=True)
class Shot:
    """A page: the picture's name, its address (with places of the scene in braces), and how it is looked at. ``press``:
    keys pressed first, and ``shows`` what then has to be there; ``width``: of the window."""

    name: str
    address: str
    login: str | None = OFFICE
    press: tuple[str, ...] = ()
    shows: str | None = None
    width: int = 1360
    height: int = 850


SHOTS = (
    Shot("sign-in", "/console/sign-in", login=None),
    Shot("overview", "/console/overview"),
    Shot("overview-phone", "/console/overview", width=390, height=844),
    Shot("conflicts", "/console/conflicts"),
    Shot("workbench", "/console/conflicts/{nest}", height=900),
    Shot("workbench-tried", "/console/conflicts/{nest}", press=("s",), shows="#tried", height=900),
    Shot("workbench-phone", "/console/conflicts/{nest}", width=390, height=844),
    Shot("workbench-decided", "/console/conflicts/{decided}"),
    Shot("conflicts-phone", "/console/conflicts", width=390, height=844),
    Shot("devices", "/console/devices"),
    Shot("devices-phone", "/console/devices", width=390, height=844),
    Shot("device", "/console/devices/{tablet}", height=1400),
    Shot("device-phone", "/console/devices/{tablet}", width=390, height=844),
    Shot("explain", "/console/explain?device={tablet}&table=submission&row={missing}"),
    Shot("batches", "/console/batches"),
    Shot("batch", "/console/batches/{batch}"),
    Shot("batch-tried", "/console/batches/{batch}", press=("t",), shows=".then-now"),
    Shot("quarantine", "/console/quarantine"),
    Shot("quarantined", "/console/quarantine/{item}"),
    Shot("quarantined-phone", "/console/quarantine/{item}", width=390, height=844),
    Shot("tables", "/console/tables"),
    Shot("rows", "/console/tables/crm.customer?where=name:has:a&sort=name"),
    Shot("rows-submissions", "/console/tables/fieldwork.submission"),
    Shot("row", "/console/tables/crm.job/row?key={job}"),
    Shot("row-edit", "/console/tables/crm.job/edit?key={job}"),
    Shot("row-new", "/console/tables/crm.customer/new"),
    Shot("row-history", "/console/tables/crm.job/history?key={job}"),
    Shot("row-phone", "/console/tables/crm.job/row?key={job}", width=390, height=844),
    Shot("rows-phone", "/console/tables/crm.customer", width=390, height=844),
    Shot("submissions", "/console/submissions"),
    Shot("submissions-map", "/console/submissions/map"),
    Shot("submission", "/console/submissions/{submission}", height=1100),
    Shot("messages", "/console/messages"),
    Shot("message-thread", "/console/messages/{user}"),
    Shot("message-new", "/console/messages/new"),
    Shot("enrolments", "/console/enrolments"),
    Shot("enrolment-new", "/console/enrolments/new"),
    Shot("enrolment", "/console/enrolments/{enrolment}"),
    Shot("crm", "/console/crm"),
    Shot("crm-job", "/console/crm/jobs/{job}", height=1000),
    Shot("crm-job-phone", "/console/crm/jobs/{job}", width=390, height=844),
    Shot("crm-customers", "/console/crm/customers?q=555-02"),
    Shot("crm-customer", "/console/crm/customers/{customer}"),
    Shot("crm-activity", "/console/crm/activity"),
    Shot("crm-worker", "/console/crm", login="ana"),
    Shot("forms", "/console/forms"),
    Shot("form", "/console/forms/{form}", height=1100),
    Shot("form-compare", "/console/forms/{form}/compare"),
    Shot("form-new", "/console/forms/new"),
    Shot("marketplace", "/console/marketplace", height=1000),
    Shot("marketplace-notifications", "/console/marketplace/notifications"),
    Shot("marketplace-metrics", "/console/marketplace/metrics", height=1100),
    Shot("users", "/console/users"),
    Shot("user", "/console/users/{user}"),
    Shot("user-new", "/console/users/new"),
    Shot("roles", "/console/roles"),
    Shot("audit", "/console/audit"),
    Shot("jobs", "/console/jobs"),
    Shot("job", "/console/jobs/{background}"),
    Shot("tenants", "/console/tenants"),
    Shot("settings", "/console/settings"),
    Shot("api", "/console/api?tag=push"),
    Shot("go-to", "/console/users", press=("Control+k",)),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    path = shutil.which("chromium")
    if path is None:
        sys.exit("There is no Chromium; on Debian: apt-get install chromium")
    given.to.mkdir(parents=True, exist_ok=True)
    wanted = [shot for shot in SHOTS if not given.names or any(name in shot.name for name in given.names)]

    jobs: list[int] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        async with tenant.engine.owner.transaction() as conn:  # one that waits, so that there is one to look at
            jobs.append(await defer(conn, "homing.daily", at=datetime.now(UTC) + timedelta(days=1)))

    with TemporaryDirectory(prefix="homing-pictures-") as folder:
        settings = Settings(data_dir=Path(folder), port=0, apps=APPS, payments="sandbox")
        with serving(settings, prepare) as url:
            sample.fill(url)
            scene = play(url)
            scene.places["background"] = str(jobs[0])
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
                for theme in ("light", "dark"):
                    draw(browser, url, scene, wanted, theme, given.to)
                browser.close()


def draw(browser: Browser, url: str, scene: Scene, shots: list[Shot], theme: str, to: Path) -> None:
    for login in {shot.login for shot in shots}:
        context = browser.new_context(color_scheme=theme, reduced_motion="reduce", locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
        page = context.new_page()
        if login is not None:
            page.goto(f"{url}/console/sign-in")
            page.get_by_label("E-mail or username").fill(login)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda at: "/sign-in" not in at)
        for shot in shots:
            if shot.login != login:
                continue
            page.set_viewport_size({"width": shot.width, "height": shot.height})
            page.goto(url + shot.address.format(**scene.places))
            page.wait_for_load_state("networkidle")
            for key in shot.press:
                page.keyboard.press(key)
            if shot.shows is not None:
                page.locator(shot.shows).first.wait_for()
            keep(page.screenshot(), to / f"{shot.name}-{theme}.png")
        context.close()


def keep(picture: bytes, path: Path) -> None:
    """With 256 colours, which is a third of the bytes and looks the same."""
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
