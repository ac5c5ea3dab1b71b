"""Bad items of a push, each with the answer it gets: what reliability asks of section 4.2, row by row (B1 to B36)."""

# ruff: noqa: E501 - a row is a line, so that the table can be read

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.sync.scene import Scene, create, delete, update

NOWHERE = "00000000-0000-4000-8000-000000000001"
OUTSIDE = "the row would be outside what the caller may see and write"
NO_REFERENCE = "a referenced row does not exist, or the caller cannot see it"


def surroundings(scene: Scene) -> dict[str, Any]:
    """Somebody with a device, and rows for bad items to be about."""
    person = scene.person()
    elsewhere = str(uuid4())
    found = {
        "person": person,
        "team": person.team,
        "elsewhere": elsewhere,
        "mine": scene.shelf(person.team),
        "foreign": scene.shelf(elsewhere),
        "gone": scene.shelf(person.team),
        "gone_elsewhere": scene.shelf(elsewhere),
        "used": scene.shelf(person.team),
        "other": scene.shelf(person.team),
        "taken": f"taken-{uuid4()}",
        "good": scene.good(person.team),
    }
    scene.shelf(elsewhere, code=found["taken"])
    scene.good(person.team, shelf_id=found["used"])
    scene.execute("DELETE FROM shop.shelves WHERE id IN (%s, %s)", found["gone"], found["gone_elsewhere"])
    return found


def shelf(**values: Any) -> Any:
    return lambda c: create("shelf", team_id=c["team"], **{"name": "bad", **values})


def raw(payload: bytes) -> Any:
    head = b'{"resource_type": "shelf", "action": "create", "client_version": 1, "payload": '
    return lambda c: head + payload.replace(b"TEAM", c["team"].encode()) + b"}"


def error(code: str, message: str, path: str | None = None) -> dict[str, Any]:
    found = {"status": "error", "code": code, "error": message}
    return found if path is None else {**found, "path": path}


def value(column: str, message: str) -> dict[str, Any]:
    return error("invalid_value", f"{column}: {message}", f"/{column}")


def is_time(text: str) -> tuple[str, Any, dict[str, Any]]:
    return (f"time {text}", shelf(built=text), value("built", TIME_FORM))


NO_TABLE = error("unknown_table", "resource_type names no synced table", "/resource_type")
NO_ROW = error("not_found", "there is no such row")
TIME_FORM = "expected a time like 2025-12-22T12:34:56Z, with an offset and at most 6 digits of a second"
NO_MOMENT = "no such moment between the years 0001 and 9999"

BAD: list[tuple[str, Any, dict[str, Any]]] = [
    # The item itself.
    ("a number", lambda _: b"5", error("invalid_value", "the item: expected object, got int")),
    ("null", lambda _: b"null", error("invalid_value", "the item: expected object, got null")),
    ("no type", lambda _: {"action": "create"}, error("invalid_value", "the item: object missing required field resource_type")),
    ("an action", lambda _: {"resource_type": "shelf", "action": "upsert"}, error("invalid_value", "the item: invalid enum value 'upsert'", "/action")),
    ("payload null", raw(b"null"), error("invalid_value", "the payload must be a JSON object: Expected `object`, got `null`", "/")),
    ("payload array", raw(b"[]"), error("invalid_value", "the payload must be a JSON object: Expected `object`, got `array`", "/")),
    # B4
    ("B4 empty key", lambda c: create("shelf", "", team_id=c["team"], name="bad"), error("invalid_value", "client_temp_id must be 1 to 200 bytes", "/client_temp_id")),
    ("B4 long key", lambda c: create("shelf", "x" * 10_000, team_id=c["team"], name="bad"), error("invalid_value", "client_temp_id must be 1 to 200 bytes", "/client_temp_id")),
    ("B4 number for a key", lambda c: {**create("shelf", team_id=c["team"], name="bad"), "client_temp_id": 5}, error("invalid_value", "the item: expected str | null, got int", "/client_temp_id")),
    ("B4 NUL in a key", lambda c: create("shelf", "a\0b", team_id=c["team"], name="bad"), error("invalid_value", "client_temp_id: NUL cannot be stored", "/client_temp_id")),
    # B7, B8
    *((f"B7 table {name[:30]!r}", lambda c, name=name: create(name, team_id=c["team"], name="bad"), NO_TABLE)
      for name in ("foo", "pg_authid", "users", "homing.users", "sync_items", 'shelf"; DROP TABLE shop.shelves;--', "public.shelf",
                   "SHELF", "sh\u0435lf", "shelf" + "f" * 80, "shelf\0", "", "shelves")),
    # B9, B10
    ("B9 unknown column", shelf(colour="red"), error("unknown_column", "shelf has no colour", "/colour")),
    ("B9 operator", shelf(**{"name->>'x'": 1}), error("unknown_column", "shelf has no name->>'x'", "/name->>'x'")),
    ("B9 quote", shelf(**{'name"; DROP': 1}), error("unknown_column", 'shelf has no name"; DROP', '/name"; DROP')),
    ("B9 long", shelf(**{"x" * 100: 1}), error("unknown_column", f"shelf has no {'x' * 63}", f"/{'x' * 63}")),
    ("B9 our own name", shelf(homing_id=NOWHERE), error("unknown_column", "shelf has no homing_id", "/homing_id")),
    ("B10 inspector", shelf(inspector="me"), error("read_only_column", "inspector cannot be written", "/inspector")),
    ("B10 inspector, update", lambda c: update("shelf", c["mine"], 1, inspector="me"), error("read_only_column", "inspector cannot be written", "/inspector")),
    ("B10 version", shelf(version=7), error("read_only_column", "version is kept by the server", "/version")),
    ("B10 changed", shelf(changed="1"), error("read_only_column", "changed is kept by the server", "/changed")),
    ("B10 hidden", lambda c: create("good", team_id=c["team"], title="bad", secret="s"), error("unknown_column", "good has no secret", "/secret")),
    # B11, B12, B13, B14
    ("B11 update, invisible", lambda c: update("shelf", c["foreign"], 1, name="bad"), NO_ROW),
    ("B11 update, absent", lambda _: update("shelf", NOWHERE, 1, name="bad"), NO_ROW),
    ("B11 delete, invisible", lambda c: delete("shelf", c["foreign"], 1), NO_ROW),
    ("B11 delete, absent", lambda _: delete("shelf", NOWHERE, 1), NO_ROW),
    ("B11 deleted, invisible", lambda c: update("shelf", c["gone_elsewhere"], 1, name="bad"), NO_ROW),
    ("B12 id taken elsewhere", lambda c: create("shelf", id=c["foreign"], team_id=c["team"], name="bad"), error("not_found", "This id cannot be used; leave it to the server to give one.")),
    ("B13 create elsewhere", lambda c: create("shelf", team_id=c["elsewhere"], name="bad"), error("forbidden", OUTSIDE)),
    ("B13 create in no scope", lambda c: create("memo", body="bad"), error("forbidden", OUTSIDE)),
    ("B13 move away", lambda c: update("shelf", c["mine"], 1, team_id=c["elsewhere"]), error("forbidden", OUTSIDE)),
    ("B14 invisible, create", lambda c: create("good", team_id=c["team"], title="bad", shelf_id=c["foreign"]), error("fk_missing", NO_REFERENCE)),
    ("B14 absent, create", lambda c: create("good", team_id=c["team"], title="bad", shelf_id=NOWHERE), error("fk_missing", NO_REFERENCE)),
    ("B14 invisible, update", lambda c: update("good", c["good"], 1, shelf_id=c["foreign"]), error("fk_missing", NO_REFERENCE)),
    ("B14 absent, update", lambda c: update("good", c["good"], 1, shelf_id=NOWHERE), error("fk_missing", NO_REFERENCE)),
    # B15
    ("B15 text", shelf(code="a\0b"), value("code", "NUL cannot be stored")),
    ("B15 JSON", shelf(plan={"a": "x\0"}), value("plan", "NUL cannot be stored")),
    ("B15 JSON key", shelf(plan={"a\0": 1}), value("plan", "NUL cannot be stored")),
    ("B15 array", shelf(tags=["\0"]), value("tags", "NUL cannot be stored")),
    ("B15 half a surrogate pair", raw(rb'{"team_id": "TEAM", "name": "\ud83d"}'), value("name", "NUL cannot be stored")),
    ("B15 id", lambda _: update("shelf", "\0", 1, name="bad"), NO_ROW),
    ("B15 text key", lambda _: update("aisle", "a\0", 1, label="bad"), NO_ROW),
    ("B15 reference", lambda c: create("good", team_id=c["team"], title="bad", shelf_id="\0"), value("shelf_id", "invalid UUID")),
    # B16, B17, B18
    ("B16 over", shelf(size=2**31), value("size", "expected int <= 2147483647")),
    ("B16 under", shelf(size=-(2**31) - 1), value("size", "expected int >= -2147483648")),
    ("B16 text", shelf(size="5"), value("size", "expected int | null, got str")),
    ("B16 boolean", shelf(size=True), value("size", "expected int | null, got bool")),
    ("B16 fraction", shelf(size=1.5), value("size", "expected int | null, got float")),
    ("B16 fraction in bigint", shelf(places=1.5), value("places", "expected int | str | null, got float")),
    ("B16 2^63", shelf(places="9223372036854775808"), value("places", "the integer is out of range")),
    ("B16 2^53 + 1", shelf(places=2**53 + 1), value("places", "integers beyond 2^53 travel as strings")),
    ("B16 minus zero", shelf(places="-0"), value("places", "expected an integer")),
    ("B17 NaN", shelf(rent="NaN"), value("rent", "the number must be finite")),
    ("B17 1e131073", shelf(rent="1e131073"), value("rent", "at most 8 digits before the point are kept")),
    ("B17 40 digits", shelf(rent="9" * 40), value("rent", "at most 8 digits before the point are kept")),
    ("B17 scale", shelf(rent="1.005"), value("rent", "at most 2 digits after the point are kept")),
    ("B18 NaN", shelf(height="NaN"), value("height", "expected int | float | null, got str")),
    ("B18 digits", shelf(height=2**53 + 1), value("height", "more digits than a float holds")),
    # B19
    *map(is_time, ("infinity", "now", "tomorrow", "epoch", "0000-00-00", "10000-01-01T00:00:00Z", "0044-03-15T00:00:00Z BC", "2023-01-01T00:00:00+16:00",
                   "2023-01-01T00:00:00", "2023-01-01T00:00:00.1234567890Z", "2023-01-01", "2023-01-01 00:00:00Z")),
    ("B19 30 February", shelf(built="2023-02-30T00:00:00Z"), value("built", NO_MOMENT)),
    ("B19 leap second", shelf(built="2023-01-01T23:59:60Z"), value("built", NO_MOMENT)),
    ("B19 before year 1", shelf(built="0001-01-01T00:00:00+01:00"), value("built", NO_MOMENT)),
    ("B19 no such day", shelf(closed="2023-02-30"), value("closed", "invalid RFC3339 encoded date")),
    ("B19 infinite day", shelf(closed="infinity"), value("closed", "invalid RFC3339 encoded date")),
    # B20, B21, B22, B23
    ("B20 braces", lambda c: create("shelf", team_id=f"{{{c['team']}}}", name="bad"), value("team_id", "invalid UUID")),
    ("B20 id in braces", shelf(id=f"{{{NOWHERE}}}"), error("invalid_value", "id is no valid uuid", "/id")),
    ("B21 over length", shelf(mark="12345678 "), value("mark", "expected str of length <= 8")),
    ("B22 index key", shelf(code="".join(str(uuid4()) for _ in range(900))), error("too_large", "a value is too large for an index")),
    ("B22 text key", lambda c: create("aisle", code="x" * 3000, team_id=c["team"], label="bad"), error("invalid_value", "id is no valid text", "/id")),
    ("B23 large", shelf(plan="x" * 2**20), error("too_large", "a payload may hold 1048576 bytes", "/payload")),
    ("B23 digits", shelf(plan=[2**53 + 1]), value("plan", "integers beyond 2^53 travel as strings")),
    # B25
    ("B25 missing", lambda c: update("shelf", c["mine"], None, name="bad"), error("invalid_value", "an update needs client_version, the version it was based on", "/client_version")),
    ("B25 negative", lambda c: update("shelf", c["mine"], -1, name="bad"), error("invalid_value", "client_version must be 0 to 2147483647", "/client_version")),
    ("B25 huge", lambda c: update("shelf", c["mine"], 2**31, name="bad"), error("invalid_value", "client_version must be 0 to 2147483647", "/client_version")),
    ("B25 text", lambda c: update("shelf", c["mine"], "1", name="bad"), error("invalid_value", "the item: expected int | null, got str", "/client_version")),  # type: ignore[arg-type]
    ("B25 base.version", lambda c: {**update("shelf", c["mine"], None, name="bad"), "base": {"version": -1}}, error("invalid_value", "base.version must be 0 to 2147483647", "/base/version")),
    ("two bases", lambda c: {**update("shelf", c["mine"], None, name="bad"), "base": {"version": 1, "none": True}}, error("invalid_value", "base names exactly one of version, token, row, none, absent", "/base")),
    ("no id", lambda _: {"resource_type": "shelf", "action": "update", "payload": {"name": "bad"}, "client_version": 1}, error("invalid_value", "update needs the id of the row in its payload", "/payload/id")),
    ("an id of another type", shelf(id=["x"]), error("invalid_value", "id must be a text or an integer", "/id")),
    # B30
    ("B30 words", lambda c: {**create("shelf", team_id=c["team"], name="bad"), "edited_at": "tomorrow"}, error("invalid_value", "edited_at must be an RFC 3339 time with an offset", "/edited_at")),
    # What only the database, or the application, can say.
    ("missing", lambda c: create("shelf", team_id=c["team"]), error("missing_value", "name needs a value", "/name")),
    ("null", shelf(name=None), value("name", "expected str, got null")),
    ("check constraint", shelf(name=""), error("check_failed", "the value breaks the rule shelf_has_a_name")),
    ("referenced", lambda c: delete("shelf", c["used"], 1), error("still_referenced", "Other rows still refer to this one.")),
    ("prepare", lambda c: create("good", team_id=c["team"], title="refused by prepare"), error("check_failed", "prepare does not like this title", "/title")),
    ("check", lambda c: create("good", team_id=c["team"], title="refused by check"), error("check_failed", "the check does not like this title", "/title")),
    ("effect", lambda c: create("good", team_id=c["team"], title="refused by effect"), error("check_failed", "the printer does not like this title", "/title")),
    ("effect, update", lambda c: update("good", c["good"], 1, title="refused by effect"), error("check_failed", "the printer does not like this title", "/title")),
]  # fmt: skip
