"""The sample data of ``homing demo``, and things to try with it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from homing.cli._demo import crm_sample, market_sample, penguins
from homing.cli._demo.office import OFFICE, PASSWORD, Desk, at_desk
from homing.cli._demo.penguins import ISLANDS, PLACES

PEOPLE = {"ana": "Torgersen", "ben": "Biscoe", "dora": "Dream"}
TABLET = "anas-tablet"
METER = "generator-torgersen"

_NESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ana", "N1A1", {"culmen_length_mm": 39.1, "culmen_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750}),
    ("ana", "N1A2", {"culmen_length_mm": 39.5, "culmen_depth_mm": 17.4, "flipper_length_mm": 186, "body_mass_g": 3800}),
    ("ana", "N2A1", {"culmen_length_mm": 40.3, "culmen_depth_mm": 18.0, "flipper_length_mm": 195, "body_mass_g": 3250}),
    (
        "ben",
        "N11A1",
        {"culmen_length_mm": 37.8, "culmen_depth_mm": 18.3, "flipper_length_mm": 174, "body_mass_g": 3400},
    ),
    (
        "ben",
        "N11A2",
        {"culmen_length_mm": 37.7, "culmen_depth_mm": 18.7, "flipper_length_mm": 180, "body_mass_g": 3600},
    ),
    (
        "dora",
        "N21A1",
        {"culmen_length_mm": 39.5, "culmen_depth_mm": 16.7, "flipper_length_mm": 178, "body_mass_g": 3250},
    ),
    (
        "dora",
        "N21A2",
        {"culmen_length_mm": 37.2, "culmen_depth_mm": 18.1, "flipper_length_mm": 178, "body_mass_g": 3900},
    ),
    ("dora", "N22A1", {"comments": "Adult not sampled."}),
)

WEATHER: dict[str, Any] = {
    "title": "Weather at noon",
    "type": "object",
    "properties": {
        "temperature_c": {"type": "number", "minimum": -60, "maximum": 20},
        "wind_kn": {"type": "integer", "minimum": 0, "maximum": 150},
        "sky": {"enum": ["clear", "cloudy", "snow", "fog"]},
    },
    "required": ["temperature_c"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Try:
    """Something to paste into a shell; ``title`` says what it shows."""

    title: str
    command: str


def fill(url: str) -> None:
    """Teams, people, forms, meters and a few nests, through the API, as the office and the people would."""
    with at_desk(url) as desk:
        teams = {}
        for login, island in PEOPLE.items():
            teams[island] = desk.make_team(island, [desk.make_worker(login, login.title())])
        desk.publish_form(penguins.CODE, "Penguin at the nest", penguins.SCHEMA)
        desk.publish_form("weather", "Weather at noon", WEATHER)
        for island in ISLANDS:
            new = {"name": "Generator", "unit": "h", "reading": 100, "team_id": teams[island]}
            desk.call("POST", "/meters", {"code": f"generator-{island.lower()}", **new})
        for sample_number, (login, individual, measured) in enumerate(_NESTS, 1):
            with at_desk(url, login) as field:
                _write_down(field, PEOPLE[login], sample_number, individual, measured)
        # What the office read meanwhile: the second thing to try meets it.
        meter = _meter(desk)
        for reading in (120, 131.5):
            desk.call("PATCH", f"/meters/{meter}", {"reading": reading})
        first = desk.call("GET", "/submissions", limit=1)["items"][0]["id"]
        desk.call("POST", f"/submissions/{first}/review", {"status": "approved", "notes": "Thank you."})
        if _has_messaging(desk):
            _write_letters(desk, url)
        crm_sample.fill(desk, {login: _user(desk, login) for login in PEOPLE})
        market_sample.fill(desk, url)
    with at_desk(url, "ana", device_id=TABLET) as tablet:
        about = {"device_id": TABLET, "device_type": "tablet", "os_version": "14", "app_version": "1.0.0"}
        tablet.call("POST", "/mobile/devices", about)


def _has_messaging(desk: Desk) -> bool:
    return any(app["name"] == "messaging" for app in desk.call("GET", "/auth/me")["apps"])


def _write_letters(desk: Desk, url: str) -> None:
    office = desk.call("GET", "/auth/me")["user"]["id"]
    for login, island in PEOPLE.items():
        with at_desk(url, login) as field:
            words = f"Good morning from {island}. The generator runs."
            field.call("POST", "/messages", {"recipient_id": office, "content": words})
    desk.call("POST", "/messages", {"recipient_id": _user(desk, "ben"), "content": "The ship comes on Friday."})


def _user(desk: Desk, login: str) -> str:
    return str(next(each["id"] for each in desk.call("GET", "/users")["items"] if each["username"] == login))


def _write_down(field: Desk, island: str, number: int, individual: str, measured: dict[str, Any]) -> None:
    lat, lon = PLACES[island]
    field.call(
        "POST",
        "/submissions",
        {
            "form_id": penguins.CODE,
            "data": {
                "study": "PAL0708",
                "sample": number,
                "species": "Adelie Penguin (Pygoscelis adeliae)",
                "island": island,
                "individual": individual,
                "egg_date": "2007-11-11",
                **measured,
            },
            "metadata": {"gps": {"lat": lat, "lon": lon}},
        },
    )


def _meter(desk: Desk) -> str:
    return str(next(each["id"] for each in desk.call("GET", "/meters")["items"] if each["code"] == METER))


def to_try(url: str) -> list[Try]:
    """Five things, and with messaging and the marketplace two more each, with the real ids of the server at ``url``.
    They are pasted in this order."""
    with at_desk(url) as desk:
        meter = _meter(desk)
        ana = _user(desk, "ana")
        messaging = _has_messaging(desk)
        to_pay = market_sample.to_pay(desk)
    api = f"{url}/api/v1"
    curl = r"curl -sw '\n'"  # answers end without a line end, and the prompt would follow at once
    take = """sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    json = "-H 'Content-Type: application/json'"
    nest = (
        '{"study": "PAL0708", "sample": 99, "species": "Gentoo penguin (Pygoscelis papua)", "island": "Torgersen",'
        ' "individual": "N99A1", "egg_date": "2007-12-03", "body_mass_g": 5400}'
    )
    steps = [
        Try(
            "Be the office: sign in, and see on a map what the teams sent",
            f"OFFICE=$(curl -s {api}/auth/login {json} \\\n"
            f"""  -d '{{"login": "{OFFICE}", "password": "{PASSWORD}"}}' | {take})\n"""
            f'{curl} "{api}/submissions/export.geojson?bbox=-65,-65,-64,-64" -H "Authorization: Bearer $OFFICE"',
        ),
        Try(
            "Be Ana's tablet: push a nest and a reading that is older than what the office knows",
            f"ANA=$(curl -s {api}/auth/login {json} \\\n"
            f"""  -d '{{"login": "ana", "password": "{PASSWORD}", "device_id": "{TABLET}"}}' | {take})\n"""
            f'{curl} {api}/mobile/sync/push {json} -H "Authorization: Bearer $ANA" -d \'{{"items": [\n'
            f'  {{"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create", "client_version": 1,\n'
            f'   "payload": {{"form_id": "penguins", "form_version": "v1", "data": {nest}}}}},\n'
            f'  {{"resource_type": "meter", "action": "update", "client_version": 1,\n'
            f'   "payload": {{"id": "{meter}", "reading": 128}}}}]}}\'',
        ),
        Try(
            "Send the same nest with a weight in kilograms: refused, with the path and what is wrong",
            f'{curl} {api}/mobile/sync/push {json} -H "Authorization: Bearer $ANA" -d \'{{"items": [\n'
            f'  {{"client_temp_id": "tmp-2", "resource_type": "submission", "action": "create", "client_version": 1,\n'
            f'   "payload": {{"form_id": "penguins", "data": {nest.replace("5400", "5.4")}}}}}]}}\'',
        ),
        Try(
            "Pull everything that Ana may see: her island, not the others",
            f'{curl} {api}/mobile/sync/pull {json} -H "Authorization: Bearer $ANA" -d \'{{"since_token": null}}\'',
        ),
        Try(
            "Decide the conflict of 2. as the office, for Ana's reading; then look at the meter",
            f'CONFLICT=$(curl -s "{api}/mobile/conflicts?resolution=pending&limit=1" \\\n'
            """  -H "Authorization: Bearer $OFFICE" | sed 's/^{"items":\\[{"id":"\\([^"]*\\)".*/\\1/')\n"""
            f'{curl} {api}/mobile/conflicts/$CONFLICT/resolve {json} -H "Authorization: Bearer $OFFICE" \\\n'
            """  -d '{"resolution": "accept_client"}'\n"""
            f'{curl} {api}/meters/{meter} -H "Authorization: Bearer $OFFICE"',
        ),
    ]
    if messaging:
        steps += [
            Try(
                "Write to Ana as the office: the message waits for her tablet (pending_sync)",
                f'MESSAGE=$(curl -s {api}/messages {json} -H "Authorization: Bearer $OFFICE" \\\n'
                f"""  -d '{{"recipient_id": "{ana}", "content": "How are the penguins?"}}' \\\n"""
                """  | sed 's/^{"id":"\\([^"]*\\)".*/\\1/')\n"""
                f'{curl} {api}/messages/$MESSAGE -H "Authorization: Bearer $OFFICE"',
            ),
            Try(
                "Pull and ack as Ana's tablet: now it is there (synced); and let Ana read it (read)",
                f"TOKEN=$(curl -s {api}/mobile/sync/pull {json} -H \"Authorization: Bearer $ANA\" -d '{{}}' \\\n"
                """  | sed 's/.*"next_token":"\\([^"]*\\)".*/\\1/')\n"""
                f'curl -s -o /dev/null {api}/mobile/sync/ack {json} -H "Authorization: Bearer $ANA" \\\n'
                """  -d "{\\"ack_token\\": \\"$TOKEN\\"}"\n"""
                f'{curl} {api}/messages/$MESSAGE -H "Authorization: Bearer $OFFICE"\n'
                f'{curl} -X POST {api}/messages/$MESSAGE/read -H "Authorization: Bearer $ANA"',
            ),
        ]
    if to_pay is not None:
        asked = (
            f'{{"proposal_id": "{to_pay}", "amount": {market_sample.AMOUNT_CENTS}, "currency": "usd",'
            ' "platform": "mobile", "deviceFingerprint": "5f0c1b6e"}'
        )
        steps += [
            Try(
                "Look at the market as a phone does: the condensed form",
                f'{curl} "{url}/api/jobs/marketplace?platform=mobile&limit=2" -H "Authorization: Bearer $ANA"',
            ),
            Try(
                "Pay Ana for the nests she counted, in the sandbox: no money moves, her earnings grow",
                f'SECRET=$(curl -s {url}/api/payments/create-intent {json} -H "Authorization: Bearer $OFFICE" \\\n'
                f"""  -d '{asked}' \\\n"""
                """  | sed 's/.*"client_secret":"\\([^"]*\\)".*/\\1/')\n"""
                f'curl -s -o /dev/null {api}/payments/sandbox/confirm {json} -H "Authorization: Bearer $OFFICE" \\\n'
                """  -d "{\\"client_secret\\": \\"$SECRET\\"}"\n"""
                f'{curl} {api}/marketplace/profile -H "Authorization: Bearer $ANA"',
            ),
        ]
    return steps


def welcome(url: str) -> str:
    """What a person sees first."""
    people = ", ".join(f"{login} ({island})" for login, island in PEOPLE.items())
    tries = to_try(url)
    count = {5: "Five", 7: "Seven", 9: "Nine"}[len(tries)]
    steps = "\n\n".join(
        f"{number}. {each.title}:\n\n{textwrap.indent(each.command, '')}" for number, each in enumerate(tries, 1)
    )
    return (
        f"\nHoming serves {url}\n\n"
        f"  the console  {url}/console\n"
        f"  the office   {OFFICE}\n"
        f"  in the field {people}\n"
        f"  password     {PASSWORD}   (of all of them; this server answers on this machine only)\n\n"
        f"{count} things to try, in this order (a token lasts ten minutes; then begin again with 1. and 2.):\n\n"
        f"{steps}\n\nStop with Ctrl-C. The data stay; `homing demo --scenario` plays a whole season,\n"
        "`homing demo --scenario messaging` a conversation, `homing demo --scenario crm` a contractor's week,\n"
        "`homing demo --scenario marketplace` clients and freelancers, in browsers and on phones.\n"
    )
