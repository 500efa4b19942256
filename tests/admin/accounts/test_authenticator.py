"""Letting people in."""

from __future__ import annotations

import asyncio

import httpx2

from gateway.admin.accounts.setup import create_setup_token
from tests.admin.conftest import PASSWORD, Person, SignInAs
from tests.support.gateway import RunningGateway


async def _try(gateway: RunningGateway, name: str, password: str) -> httpx2.Response:
    return await gateway.http.post("/api/v1/session", json={"name": name, "password": password})


async def test_a_right_password_opens_a_session_in_a_cookie_that_scripts_cannot_read(
    gateway: RunningGateway, admin: Person
) -> None:
    response = await _try(gateway, "ada", PASSWORD)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("modelgate_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert response.json()["name"] == "ada"
    assert PASSWORD not in response.text
    assert (await admin.get("/session")).json()["role"] == "admin"


async def test_a_name_is_known_in_whatever_case(gateway: RunningGateway, admin: Person) -> None:
    assert (await _try(gateway, "ADA", PASSWORD)).status_code == 200


async def test_an_unknown_name_is_answered_like_a_wrong_password(gateway: RunningGateway, admin: Person) -> None:
    wrong = await _try(gateway, "ada", "not the password")
    unknown = await _try(gateway, "nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_repeated_failures_lock_a_name_out_at_their_address_even_for_the_right_password(
    gateway: RunningGateway, admin: Person
) -> None:
    for _ in range(5):
        assert (await _try(gateway, "ada", "wrong")).status_code == 401
    locked = await _try(gateway, "ada", PASSWORD)
    assert locked.status_code == 429
    assert 1 <= int(locked.headers["retry-after"]) <= 30
    assert "try again in" in locked.json()["detail"]
    # The session that is open stays open.
    assert (await admin.get("/session")).status_code == 200


async def test_each_further_failure_makes_the_wait_longer(gateway: RunningGateway) -> None:
    waits = []
    for _ in range(4):
        async with gateway.parts.database.connection() as connection:
            assert await connection.fetchval("record_sign_in_attempt", "name x", 1, 30.0, 100.0) is not None
            waits.append(round(await connection.fetchval("sign_in_wait_seconds", "name x")))
            await connection._connection.execute("UPDATE sign_in_failures SET locked_until = now()")
    assert waits == [30, 60, 100, 100]


async def test_many_attempts_at_once_are_counted_each(gateway: RunningGateway) -> None:
    answers = await asyncio.gather(*(_try(gateway, "nobody", "guess") for _ in range(12)))
    assert sum(answer.status_code == 401 for answer in answers) <= 5


async def test_a_success_forgets_the_failures_before_it(gateway: RunningGateway, admin: Person) -> None:
    for _ in range(4):
        await _try(gateway, "ada", "wrong")
    assert (await _try(gateway, "ada", PASSWORD)).status_code == 200
    for _ in range(4):
        assert (await _try(gateway, "ada", "wrong")).status_code == 401


async def test_signing_out_ends_the_session_on_the_server(gateway: RunningGateway, admin: Person) -> None:
    cookie = admin.http.cookies["modelgate_session"]
    assert (await admin.delete("/session")).status_code == 204
    again = await gateway.http.get("/api/v1/session", headers={"Cookie": f"modelgate_session={cookie}"})
    assert again.status_code == 401


async def test_a_new_password_ends_ones_other_sessions_and_not_this_one(gateway: RunningGateway, admin: Person) -> None:
    other = await _try(gateway, "ada", PASSWORD)
    cookie = other.headers["set-cookie"].partition(";")[0]
    body = {"current_password": PASSWORD, "new_password": "another good password"}
    assert (await admin.post("/session/password", body)).status_code == 204
    assert (await admin.get("/session")).status_code == 200
    assert (await gateway.http.get("/api/v1/session", headers={"Cookie": cookie})).status_code == 401
    assert (await _try(gateway, "ada", "another good password")).status_code == 200


async def test_a_wrong_present_password_is_told_at_its_field(admin: Person) -> None:
    response = await admin.post("/session/password", {"current_password": "no", "new_password": "long enough now"})
    assert (response.status_code, response.json()["field"]) == (422, "current_password")


async def test_a_session_that_was_not_used_for_long_has_ended(gateway: RunningGateway, admin: Person) -> None:
    async with gateway.parts.database.connection() as connection:
        await connection._connection.execute("UPDATE admin_sessions SET used_at = now() - interval '3 hours'")
    assert (await admin.get("/session")).status_code == 401


async def test_the_setup_link_makes_the_first_admin_once(gateway: RunningGateway) -> None:
    token = await create_setup_token(gateway.parts.database)
    body = {"token": token, "name": "first", "password": "a good password"}
    made = await gateway.http.post("/api/v1/setup", json=body)
    assert (made.status_code, made.json()["role"]) == (200, "admin")
    again = await gateway.http.post("/api/v1/setup", json={**body, "name": "second"})
    assert again.status_code == 403
    assert await create_setup_token(gateway.parts.database) is None


async def test_a_setup_link_with_a_bad_password_can_be_tried_again(gateway: RunningGateway) -> None:
    token = await create_setup_token(gateway.parts.database)
    body = {"token": token, "name": "first", "password": "short"}
    refused = await gateway.http.post("/api/v1/setup", json=body)
    assert (refused.status_code, refused.json()["field"]) == (422, "password")
    assert (await gateway.http.post("/api/v1/setup", json={**body, "password": "long enough"})).status_code == 200


async def test_a_setup_link_ends_after_an_hour(gateway: RunningGateway) -> None:
    token = await create_setup_token(gateway.parts.database)
    async with gateway.parts.database.connection() as connection:
        await connection._connection.execute("UPDATE admin_setup SET expires_at = now() - interval '1 second'")
    body = {"token": token, "name": "first", "password": "a good password"}
    assert (await gateway.http.post("/api/v1/setup", json=body)).status_code == 403


async def test_an_api_token_works_without_a_session_and_ends_at_once(gateway: RunningGateway, admin: Person) -> None:
    made = (await admin.post("/tokens", {"name": "ci", "role": "viewer"})).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await gateway.http.get("/api/v1/servers", headers=bearer)).status_code == 200
    # The token may do less than its admin.
    refused = await gateway.http.post("/api/v1/roles", headers=bearer, json={"name": "new"})
    assert refused.status_code == 403
    assert made["token"] not in (await admin.get("/tokens")).text
    assert (await admin.delete(f"/tokens/{made['id']}")).status_code == 204
    assert (await gateway.http.get("/api/v1/servers", headers=bearer)).status_code == 401


async def test_a_viewer_makes_no_token_that_could_do_more(viewer: Person) -> None:
    refused = await viewer.post("/tokens", {"name": "more", "role": "admin"})
    assert (refused.status_code, refused.json()["field"]) == (422, "role")
    assert (await viewer.post("/tokens", {"name": "same"})).status_code == 201


async def test_a_clients_key_is_no_admins_token(gateway: RunningGateway) -> None:
    response = await gateway.http.get("/api/v1/servers", headers={"Authorization": f"Bearer {gateway.key}"})
    assert response.status_code == 401
    assert gateway.key not in response.text


async def test_sign_ins_good_and_bad_are_in_the_trace(gateway: RunningGateway, sign_in_as: SignInAs) -> None:
    admin = await sign_in_as("ada")
    await _try(gateway, "ada", "wrong")
    rows: list[tuple[str, str]] = []
    while len(rows) < 2:
        page = (await admin.get("/audit/gateway", action="admin.signed in")).json()
        rows = [(row["actor_name"], row["outcome"]) for row in page["items"]]
    assert rows == [("ada", "denied"), ("ada", "ok")]
