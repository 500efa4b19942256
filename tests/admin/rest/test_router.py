"""What every operation of the REST API has in common."""

from __future__ import annotations

from tests.admin.conftest import Person


async def test_a_body_that_is_no_json_is_refused(admin: Person) -> None:
    post = admin.http.post
    json_header = {"Content-Type": "application/json"}
    assert (await post("/api/v1/servers", content=b"{", headers=json_header)).status_code == 422
    assert (await post("/api/v1/servers", content=b"[" * 100_000, headers=json_header)).status_code == 422
    assert (await post("/api/v1/servers", content=b"name=x")).status_code == 415
    too_long = b'{"name": "' + b"x" * (4 * 1024 * 1024) + b'"}'
    assert (await post("/api/v1/servers", content=too_long, headers=json_header)).status_code == 413
