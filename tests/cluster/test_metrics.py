"""`GET /metrics` of one process, for all that serve the database."""

from __future__ import annotations

from tests.cluster.conftest import Pair, cluster_of


async def test_one_process_gives_the_metrics_of_all_where_it_is_asked_for_them(pair: Pair) -> None:
    for _ in range(3):
        await pair.second.request("ping")
    ids = {cluster_of(each).forwarder.own_id for each in pair.both}
    text = (await pair.first.http.get("/metrics?members=all")).text
    for member in ids:
        assert f'modelgate_index_tools{{member="{member}"}} ' in text
    assert text.count("# TYPE modelgate_request_seconds histogram") == 1
    requests = [line for line in text.splitlines() if line.startswith("modelgate_request_seconds_count")]
    of_second = f'member="{cluster_of(pair.second).forwarder.own_id}"'
    assert [line.endswith(" 3.0") for line in requests if of_second in line] == [True]
    assert "member=" not in (await pair.first.http.get("/metrics")).text
    assert (await pair.first.http.get("/metrics?members=all", headers={"Via": "1.1 proxy"})).status_code == 401
