"""Persons sign in at the authorization server of a server, and call it as who they are from then on."""

from __future__ import annotations

import asyncpg
import pytest

from gateway.errors import ConnectionNeededError, InvalidInputError, UpstreamUnavailableError
from tests.access.connections.oauth.conftest import BROWSER, REDIRECT, SignInWorld
from tests.doubles.oauth_server import OAuthServer


async def test_two_persons_sign_in_and_each_calls_as_who_they_are(world: SignInWorld) -> None:
    with pytest.raises(ConnectionNeededError, match="You have not connected Docs yet"):
        await world.call("ada")
    await world.sign_in("ada", "ben")
    assert [await world.call(name) for name in ("ada", "ben", "ada")] == ["ada", "ben", "ada"]
    # The gateway is the same client for both.
    assert len(world.oauth.registrations) == 1
    assert len({form["client_id"] for form in world.oauth.token_requests}) == 1
    stored = await world.parts.database.fetch("connections_of_person", 1, (await world.person("ada")).id)
    assert [(row["kind"], row["scopes"]) for row in stored] == [("oauth", "tools")]


async def test_what_is_stored_says_no_token(world: SignInWorld) -> None:
    await world.sign_in("ada")
    await world.send_away("ben")
    connection = await asyncpg.connect(world.parts.database.url)
    dump = ""
    for table in ("connections", "person_sign_ins", "oauth_registrations", "audit_log"):
        dump += str([[str(value) for value in row] for row in await connection.fetch(f"SELECT * FROM {table}")])
    await connection.close()
    secrets = [*world.oauth.access_tokens, *world.oauth.refresh_tokens, *world.oauth.codes]
    assert len(secrets) >= 3
    assert not any(secret in dump for secret in secrets)


async def test_an_answer_is_good_once_and_for_the_browser_that_began(world: SignInWorld) -> None:
    answer = await world.send_away("ada")
    with pytest.raises(InvalidInputError, match="begun in another browser"):
        await world.come_back(answer, "that of somebody else")
    assert (await world.come_back(answer)) is not None
    # The sign-in is known no more, nor is the code.
    assert await world.come_back(answer) is None
    assert len(world.requests("authorization_code")) == 1


async def test_an_answer_of_another_provider_connects_nothing(world: SignInWorld) -> None:
    for changed in ({"iss": "https://evil.example"}, {"iss": None}):
        answer = {**await world.send_away("ada"), **changed}
        with pytest.raises(InvalidInputError, match="comes from another authorization server"):
            await world.come_back({name: value for name, value in answer.items() if value is not None})
    assert world.oauth.token_requests == []
    with pytest.raises(ConnectionNeededError):
        await world.call("ada")


async def test_a_provider_that_never_names_itself_need_not(world: SignInWorld) -> None:
    world.oauth.names_issuer = False
    await world.sign_in("ada")
    assert await world.call("ada") == "ada"


async def test_a_code_that_was_taken_before_connects_nothing(world: SignInWorld) -> None:
    answer = await world.send_away("ada")
    world.oauth.codes.clear()
    with pytest.raises(UpstreamUnavailableError, match="invalid_grant"):
        await world.come_back(answer)


async def test_two_persons_in_one_browser_are_not_taken_for_each_other(world: SignInWorld) -> None:
    of_ada, of_ben = await world.send_away("ada"), await world.send_away("ben")
    finished = [await world.come_back(answer) for answer in (of_ben, of_ada)]
    assert [each.link for each in finished if each is not None] == ["link of ben", "link of ada"]
    assert [await world.call(name) for name in ("ada", "ben")] == ["ada", "ben"]
    # A state of one with the code of the other: the proof of who began does not fit.
    of_ada, of_ben = await world.send_away("ada"), await world.send_away("ben")
    with pytest.raises(UpstreamUnavailableError, match="invalid_grant"):
        await world.come_back({**of_ada, "code": of_ben["code"]})


async def test_a_sign_in_that_is_moved_to_another_person_connects_nothing(world: SignInWorld) -> None:
    answer, ben = await world.send_away("ada"), await world.person("ben")
    connection = await asyncpg.connect(world.parts.database.url)
    await connection.execute("UPDATE person_sign_ins SET person_id = $1", ben.id)
    await connection.close()
    with pytest.raises(InvalidInputError, match="Nobody waits for this sign-in"):
        await world.come_back(answer)
    assert world.oauth.token_requests == []


async def test_another_process_takes_up_a_sign_in(world: SignInWorld) -> None:
    answer = await world.send_away("ada")
    other = world.elsewhere()
    finished = await other.sign_in.finish(answer["state"], answer["code"], "what only this browser has", answer["iss"])
    assert finished is not None
    assert await world.call("ada") == "ada"


async def test_scopes_that_were_not_granted_are_told(world: SignInWorld) -> None:
    world.oauth.granted_scope = "read"
    finished = await world.come_back(await world.send_away("ada"))
    assert finished is not None
    assert finished.missing_scopes == ("tools",)
    connection = await world.parts.connections.get(*(await world.at("ada")).connection_key)
    assert connection is not None
    assert connection.scopes == "read"


async def test_a_registration_that_is_known_no_more_is_made_anew(world: SignInWorld) -> None:
    await world.sign_in("ada")
    await world.parts.token_sources.sign_in._registrations.forget(1, world.spec.id)
    await world.sign_in("ben")
    assert len(world.oauth.registrations) == 2
    assert [await world.call(name) for name in ("ada", "ben")] == ["ada", "ben"]


async def test_at_disconnecting_the_tokens_are_given_back(world: SignInWorld) -> None:
    await world.sign_in("ada", "ben")
    await world.parts.token_sources.sign_in.revoke(await world.at("ada"))
    assert [form["token_type_hint"] for form in world.oauth.revoked] == ["refresh_token", "access_token"]
    assert {world.oauth.people[form["token"]] for form in world.oauth.revoked} == {"ada"}
    assert await world.call("ben") == "ben"
    with pytest.raises(ConnectionNeededError, match="was taken back there, or has ended"):
        await world.call("ada")


async def test_a_provider_that_takes_nothing_back_keeps_nobody_from_disconnecting(
    world: SignInWorld, oauth: OAuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    await world.sign_in("ada")

    async def fail(_: object) -> object:
        raise RuntimeError("out of order")

    oauth.answers["/as/revoke"] = fail  # type: ignore[assignment]
    with caplog.at_level("WARNING", "gateway"):
        await world.parts.token_sources.sign_in.revoke(await world.at("ada"))
    assert "was not revoked" in caplog.text
    assert not any(token in caplog.text for token in [*oauth.access_tokens, *oauth.refresh_tokens])


async def test_a_person_who_is_removed_on_their_way_comes_back_to_nothing(world: SignInWorld) -> None:
    await world.sign_in("ben")
    answer, ada = await world.send_away("ada"), await world.person("ada")
    await world.parts.persons.remove(1, ada.id)
    assert await world.come_back(answer) is None
    assert len(world.requests("authorization_code")) == 1
    assert await world.call("ben") == "ben"


async def test_who_begins_ever_anew_takes_no_more_room_than_a_few_sign_ins(world: SignInWorld) -> None:
    at, source = await world.at("ada"), world.parts.token_sources.sign_in
    for number in range(25):
        await source.begin(at, REDIRECT, BROWSER, "", f"link {number}")
    connection = await asyncpg.connect(world.parts.database.url)
    links = [row["link"] for row in await connection.fetch("SELECT link FROM person_sign_ins ORDER BY expires_at")]
    await connection.close()
    assert links == [f"link {number}" for number in range(5, 25)]
