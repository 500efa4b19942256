"""The pages that add a server of the registry, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.settings import RegistrySettings, Settings
from tests.admin.conftest import Person, SignInAs
from tests.doubles.registry import RegistryDouble
from tests.support.gateway import RunningGateway
from tests.support.serving import serving

HERE = "/admin/t/default/servers/registry"
CHOSEN = {"listed": "io.github.acme/notes", "version": "1.2.3", "run_by": "package", "name": "My notes"}


@pytest.fixture
def double() -> RegistryDouble:
    return RegistryDouble()


@pytest.fixture
async def settings(settings: Settings, double: RegistryDouble) -> AsyncIterator[Settings]:
    async with serving(double.app()) as url:
        yield replace(settings, registry=RegistrySettings(url))


async def test_a_server_is_added_with_what_it_asks_for(gateway: RunningGateway, admin: Person) -> None:
    found = await admin.http.get(HERE, params={"q": "notes"})
    assert "io.github.acme/notes" in found.text
    assert "Keeps notes" in found.text
    assert "no server of such a name" in (await admin.http.get(HERE, params={"q": "nothing"})).text

    form = (await admin.http.get(f"{HERE}/server", params={"name": CHOSEN["listed"], "version": "1.2.3"})).text
    assert "npx -y --quiet @acme/notes@1.2.3" in form
    assert 'type="password" id="value-1" name="value.NOTES_TOKEN"' in form
    assert 'name="value.NOTES_MODE" value="fast"' in form

    refused = await admin.http.post(f"{HERE}/server", data={**CHOSEN, "value.NOTES_TOKEN": "s3cret"})
    assert refused.status_code == 422
    assert "It needs a value for home, folder." in refused.text
    assert 'value="My notes"' in refused.text
    assert "s3cret" not in refused.text

    given = {"value.NOTES_TOKEN": "s3cret", "value.home": "/home/ada", "value.folder": "/srv", "value.NOTES_MODE": ""}
    added = await admin.http.post(f"{HERE}/server", data={**CHOSEN, **given})
    assert added.status_code == 303
    server_id = int(added.headers["location"].rpartition("/")[2])
    [server] = await gateway.parts.servers.list(1)
    assert (server.id, server.name, server.enabled) == (server_id, "My notes", False)
    spec = await gateway.parts.servers.spec(1, server_id)
    assert spec.env == {"NOTES_TOKEN": "s3cret", "NOTES_MODE": "fast", "NOTES_HOME": "/home/ada/notes"}
    assert spec.args == ("-y", "--quiet", "@acme/notes@1.2.3", "/srv", "--level", "info")
    again = await admin.http.post(f"{HERE}/server", data={**CHOSEN, **given})
    assert again.status_code == 409
    assert "There is a server named" in again.text


async def test_the_server_that_its_makers_run_can_be_chosen(gateway: RunningGateway, admin: Person) -> None:
    form = await admin.http.get(f"{HERE}/server", params={"name": CHOSEN["listed"], "run_by": "remote"})
    assert "https://eu.notes.example/mcp" in form.text
    assert "run the package here instead" in form.text
    given = {**CHOSEN, "run_by": "remote", "value.token": "t", "value.region": "us"}
    added = await admin.http.post(f"{HERE}/server", data=given)
    spec = await gateway.parts.servers.spec(1, int(added.headers["location"].rpartition("/")[2]))
    assert (spec.url, spec.headers) == ("https://us.notes.example/mcp", {"Authorization": "Bearer t"})


async def test_who_may_not_add_a_command_is_told(viewer: Person, sign_in_as: SignInAs) -> None:
    assert (await viewer.http.get(HERE)).status_code == 403
    assert (await viewer.http.post(f"{HERE}/server", data=CHOSEN)).status_code == 403
    of_one_tenant = await sign_in_as("tom", tenants=["default"])
    given = {"value.NOTES_TOKEN": "t", "value.home": "h", "value.folder": "/srv"}
    refused = await of_one_tenant.http.post(f"{HERE}/server", data={**CHOSEN, **given})
    assert refused.status_code == 403
    assert "only an admin of every tenant may add one" in refused.text


async def test_a_registry_that_fails_is_told(admin: Person, double: RegistryDouble) -> None:
    missing = await admin.http.get(f"{HERE}/server", params={"name": "io.github.acme/none"})
    assert missing.status_code == 404
    assert "no such server or version" in missing.text
    double.servers = [{"name": "io.github.acme/odd", "version": "1"}]
    odd = await admin.http.get(f"{HERE}/server", params={"name": "io.github.acme/odd"})
    assert odd.status_code == 422
    assert "neither a package" in odd.text
