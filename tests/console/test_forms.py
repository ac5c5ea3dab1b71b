"""Forms: written with the form beside it, published, compared."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from homing.console.compare import Line, compare
from homing.console.form_preview import picture
from tests.console.desk import entered, office
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server

ODD = "<b>Mass</b> & 'more'"


def schema(**properties: object) -> str:
    return json.dumps({"type": "object", "properties": properties})


def test_a_form_is_written_published_and_compared(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.get_by_role("link", name="Forms", exact=True).click()
    expect(page.get_by_role("heading", name="No forms")).to_be_visible()
    check_page(page)
    page.get_by_role("link", name="New form").click()
    check_page(page)
    page.get_by_label("Code").fill("nest")
    page.get_by_role("textbox", name="Name", exact=True).first.fill(ODD)
    typed = page.get_by_label("JSON Schema")
    preview = page.locator("#preview")
    # The form beside it follows what is typed, and says what is wrong with it and where.
    typed.fill('{"type": "object", "properties": {"mass": {"type": "numbr"}}}')
    expect(preview).to_contain_text("/properties/mass/type")
    typed.fill('{"type": "object", "type": "object"}')
    expect(preview).to_contain_text("twice")
    typed.fill('{"type":')
    expect(preview.locator(".said")).to_be_visible()
    typed.fill(schema(mass={"type": "number", "title": ODD, "minimum": 1}, sex={"enum": ["male", ODD]}))
    expect(preview.get_by_label(ODD)).to_have_attribute("type", "number")
    expect(preview).to_contain_text("at least 1")
    expect(preview.locator("option")).to_have_text(["", "male", ODD])
    check_page(page)
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_role("status").first).to_have_text("The draft is saved.")
    check_page(page)

    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("status").first).to_contain_text("v1 is published")
    page.get_by_label("JSON Schema").fill(schema(mass={"type": "strin"}))
    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("alert")).to_contain_text("/properties/mass/type")
    expect(page.get_by_label("JSON Schema")).to_have_value(re.compile("strin"))
    page.get_by_label("JSON Schema").fill(schema(mass={"type": "integer", "title": ODD}))
    page.get_by_role("textbox", name="Version").fill("2026.1")
    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("status").first).to_contain_text("2026.1 is published")
    check_page(page)
    page.get_by_role("link", name="Compare versions").click()
    expect(page.locator(".compared del").first).to_be_visible()
    expect(page.locator(".compared ins")).to_contain_text(["integer"])
    check_page(page)
    page.go_back()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status").first).to_contain_text("withdrawn")
    page.get_by_role("button", name="Offer again").click()
    expect(page.get_by_role("status").first).to_contain_text("offer the form again")


def test_who_saves_second_is_told(browser_page: Page, server: Server) -> None:
    page = browser_page
    with office(server) as api:
        made = api.post("/forms", json={"code": "twice", "name": "Twice", "schema": {"type": "object"}}).json()
        sign_in_to(page, server)
        page.goto(f"{server.url}/console/forms/{made['id']}")
        theirs = api.patch("/forms/twice", json={"schema": {"type": "object", "title": "Theirs"}})
        assert theirs.status_code == 200, theirs.text
        mine = '{"type": "object", "title": "Mine"}'
        page.get_by_label("JSON Schema").fill(mine)
        page.get_by_role("button", name="Save the draft").click()
        expect(page.get_by_role("alert")).to_contain_text("Somebody else saved")
        expect(page.get_by_label("JSON Schema")).to_have_value(mine)
        check_page(page)
        page.get_by_role("button", name="Save the draft").click()
        expect(page.get_by_role("status").first).to_have_text("The draft is saved.")
        assert api.get("/forms/twice").json()["draft_schema"]["title"] == "Mine"


def test_whatever_is_typed_is_answered(server: Server) -> None:
    with office(server) as api, entered(server) as web:
        made = api.post("/forms", json={"code": "odd", "name": "Odd", "schema": {"type": "object"}}).json()
        address = f"/forms/{made['id']}"
        text = web.get(address).text
        csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', text)
        was = re.search(r'name="was" value="([^"]+)"', text)
        assert csrf is not None
        assert was is not None
        deep = '{"properties":' * 5000 + "{}" + "}" * 5000
        for typed in ("", "[]", "null", '{"a": 1e999}', '{"a": "\\ud800"}', deep, '{"$ref": "#/x"}', '{"required": 3}'):
            sent = {"csrf": csrf[1], "was": was[1], "name": "Odd", "schema": typed, "do": "publish"}
            assert web.post("/forms/preview", data=sent).status_code == 200, typed[:30]
            saved = web.post(address, data=sent)
            assert 400 <= saved.status_code < 500, typed[:30]
            again = re.search(r'name="was" value="([^"]+)"', saved.text)
            was = again or was
        assert web.get(f"{address}/compare?left=none&right=draft").status_code == 404
        job = {"csrf": csrf[1], "was": was[1], "name": "Odd", "schema": '{"type": "object"}', "version": "no blanks"}
        assert web.post(address, data=job).status_code == 422


def test_a_picture_of_any_schema() -> None:
    """Whatever it is: fields within fields, references, circles, and what is no schema at all."""
    circle = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    asked = picture({"type": "object", "properties": {"first": {"$ref": "#/$defs/node"}}, "$defs": {"node": circle}})
    assert [each.path for each in asked] == ["/first" + "/next" * depth for depth in range(8)]
    asked = picture(
        {
            "properties": {
                "a/b": {"type": ["integer", "null"], "title": 7},
                "eggs": {"type": "array", "items": {"type": "object", "properties": {"mass": {"type": "number"}}}},
                "odd": 3,
            },
            "required": {"a/b": True},
        }
    )
    assert [(each.path, each.label, each.kind, each.required) for each in asked] == [
        ("/a~1b", "a/b", "number", False),
        ("/eggs", "eggs", "textarea", False),
        ("/eggs/0/mass", "mass", "number", False),
        ("/odd", "odd", "textarea", False),
    ]
    assert picture({"properties": []}) == []


def test_texts_side_by_side() -> None:
    left, right = [str(line) for line in range(20)], [str(line) for line in range(20) if line != 10]
    assert compare(left, left) == []
    assert compare(left, right) == [
        Line("gap", None, None),
        *(Line("same", (at + 1, str(at)), (at + 1, str(at))) for at in (7, 8, 9)),
        Line("changed", (11, "10"), None),
        *(Line("same", (at + 1, str(at)), (at, str(at))) for at in (11, 12, 13)),
    ]
