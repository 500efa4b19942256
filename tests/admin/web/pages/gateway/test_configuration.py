"""The page of a tenant's configuration."""

from __future__ import annotations

from tests.admin.conftest import Person

HERE = "/admin/t/default/configuration"
DOCUMENT = "modelgate: 1\nroles: [{name: office, default: SEARCH}]\n"


async def test_what_a_document_changes_is_shown_before_it_is_applied(admin: Person) -> None:
    downloaded = await admin.http.get(f"{HERE}/download")
    assert "attachment" in downloaded.headers["content-disposition"]
    assert downloaded.text.startswith("modelgate: 1") or "\nmodelgate: 1" in downloaded.text

    shown = (await admin.http.post(HERE, data={"document": DOCUMENT, "action": "preview"})).text
    assert "This would change" in shown
    assert "office" in shown
    assert 'value="apply"' in shown
    assert [role["name"] for role in (await admin.get("/roles")).json()] == ["all"]

    applied = (await admin.http.post(HERE, data={"document": DOCUMENT, "action": "apply"})).text
    assert '<h2 id="changes">Applied</h2>' in applied
    assert {role["name"] for role in (await admin.get("/roles")).json()} == {"all", "office"}
    again = (await admin.http.post(HERE, data={"document": DOCUMENT, "action": "preview"})).text
    assert "1 unchanged." in again

    pruned = (await admin.http.post(HERE, data={"document": DOCUMENT, "prune": "true", "action": "preview"})).text
    assert "removed" in pruned


async def test_a_text_that_is_no_document_is_refused_at_its_field(admin: Person) -> None:
    refused = await admin.http.post(HERE, data={"document": "modelgate: 1\nservers: <b>1</b>\n", "action": "apply"})
    assert refused.status_code == 422
    assert 'id="document-error"' in refused.text
    assert "<b>1</b>" not in refused.text


async def test_viewers_have_no_such_page(viewer: Person) -> None:
    assert (await viewer.http.get(HERE)).status_code == 403
    assert (await viewer.http.get(f"{HERE}/download")).status_code == 403
    assert HERE not in (await viewer.http.get("/admin/t/default/overview")).text
