"""Deployments name settings that there are; tools that check such files check them where they are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from gateway import __version__
from gateway.settings import load_settings
from tests.opensearch.install import TESTED_VERSION as VERSION

DEPLOY = Path(__file__).parents[1] / "deploy"
CHART = DEPLOY / "helm" / "modelgate"
TEMPLATES = sorted((CHART / "templates").iterdir())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
HEAP = ("Xms", "Xmx")
NEEDED = {"database": {"url": "postgresql://user:password@db/modelgate"}, "encryptionKey": "0" * 64}
FULL = {
    **NEEDED,
    "metricsToken": "token",
    "trustedProxies": ["10.0.0.0/8"],
    "env": {"MODELGATE_EMBEDDER_TYPE": "builtin"},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls"},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True},
}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_each_variable_of_a_deployment_is_a_setting_and_each_value_may_be() -> None:
    environ = {"MODELGATE_DATABASE_URL": "postgresql://x@y/z"}
    for service in ("gateway-1", "gateway-2"):
        for name, value in compose()["services"][service]["environment"].items():
            default = re.fullmatch(r"\$\{(\w+)(?::-(.*))?(?::\?.*)?\}", str(value))
            given = str(value) if default is None else default[2] or ""
            environ |= {name: given} if name.startswith("MODELGATE_") and given else {}
    loaded = load_settings(environ=environ)
    assert loaded.server.trusted_proxies == ("172.30.80.0/24",)
    unit = (DEPLOY / "systemd" / "modelgate.service").read_text(encoding="utf-8")
    chart = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    for name in set(re.findall(r"\bMODELGATE_[A-Z_]+", unit + chart)):
        value = {"MODELGATE_ENCRYPTION_KEY": "0" * 64, "MODELGATE_DATABASE_URL": "postgresql://x@y/z"}.get(name, "30")
        load_settings(environ={name: value})


def test_the_config_of_the_chart_is_one_that_the_gateway_reads(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(VALUES["config"], encoding="utf-8")
    assert load_settings(file, environ={}).server.log_format == "json"


def test_the_profile_of_a_cluster_adds_one_node_that_the_gateway_is_led_to() -> None:
    root: dict[str, Any] = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text(encoding="utf-8"))
    services = root["services"]
    assert set(root) == {"name", "services", "volumes"}
    assert [name for name, service in services.items() if "profiles" in service] == ["opensearch"]
    known = {
        "build",
        "command",
        "depends_on",
        "entrypoint",
        "environment",
        "healthcheck",
        "image",
        "mem_limit",
        "ports",
    }
    for service in services.values():
        assert set(service) <= {*known, "profiles", "restart", "stop_grace_period", "ulimits", "volumes"}
        assert all(volume.partition(":")[0] in root["volumes"] for volume in service.get("volumes", ()))
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            # One of a profile is not there without it, and whoever waits for it does not start then.
            assert "healthcheck" in services[other]
            assert "profiles" not in services[other]
        # Composers refuse true and false that are no texts.
        assert all(isinstance(value, str) for value in service.get("environment", {}).values())
    cluster = services["opensearch"]
    assert cluster["image"] == f"opensearchproject/opensearch:{VERSION}"
    assert cluster["environment"]["discovery.type"] == "single-node"
    assert "ports" not in cluster
    loaded = load_settings(environ=root_gateway(services, MODELGATE_SEARCH_INDEX="opensearch"))
    assert (loaded.search.index, loaded.opensearch.urls) == ("opensearch", ("http://opensearch:9200",))
    assert loaded.opensearch.replicas == 0
    # Nobody is asked who they are, over no TLS, as the gateway is told, and as no one outside can reach it.
    assert cluster["environment"]["DISABLE_SECURITY_PLUGIN"] == "true"
    assert (loaded.opensearch.username, loaded.opensearch.password, loaded.opensearch.api_key) == ("", "", "")
    # The health is asked for where the gateway asks, and counts from the status that one node without copies comes to.
    kind, command, *_, asked = cluster["healthcheck"]["test"]
    assert (kind, command) == ("CMD", "curl")
    assert asked.startswith("http://localhost:9200/_cluster/health?wait_for_status=yellow&")
    seconds = float(re.findall(r"timeout=(\d+)s", asked)[0])
    assert seconds < float(cluster["healthcheck"]["timeout"].removesuffix("s"))
    # Heap of one size, and as much again for all else.
    (least,), (most,) = (re.findall(rf"-{flag}(\d+)g", cluster["environment"]["OPENSEARCH_JAVA_OPTS"]) for flag in HEAP)
    assert least == most
    assert cluster["mem_limit"] == f"{2 * int(most)}g"
    assert set(cluster["ulimits"]["nofile"].values()) == {65_536}


def test_a_cluster_of_ones_own_is_named_to_the_compose_file_by_variables_alone() -> None:
    root: dict[str, Any] = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text(encoding="utf-8"))
    given = {
        "MODELGATE_SEARCH_INDEX": "opensearch",
        "MODELGATE_OPENSEARCH_URLS": "https://search-1.example.com:9200,https://search-2.example.com:9200",
        "MODELGATE_OPENSEARCH_USERNAME": "modelgate",
        "MODELGATE_OPENSEARCH_PASSWORD": "secret",
        "MODELGATE_OPENSEARCH_REPLICAS": "1",
    }
    loaded = load_settings(environ=root_gateway(root["services"], **given)).opensearch
    assert loaded.urls == ("https://search-1.example.com:9200", "https://search-2.example.com:9200")
    assert (loaded.username, loaded.password, loaded.replicas) == ("modelgate", "secret", 1)


def root_gateway(services: dict[str, Any], **given: str) -> dict[str, str]:
    """The gateway's variables as the compose file sets them where `given` is in the environment or in .env."""
    given = {"POSTGRES_PASSWORD": "secret", **given}
    environ = {}
    for name, value in services["gateway"]["environment"].items():
        taken = re.fullmatch(r"\$\{(\w+)(?::-(.*)|:\?.*)\}", value)
        # What has no default has to be given.
        text = value if taken is None else given.get(taken[1]) or ("" if taken[2] is None else taken[2])
        if name.startswith("MODELGATE_"):
            environ[name] = text
    return environ


def test_all_gateways_share_a_database_and_a_key_and_nginx_knows_each() -> None:
    services = compose()["services"]
    gateways = [name for name in services if name.startswith("gateway-")]
    nginx = (DEPLOY / "compose" / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"server (gateway-\d):8080", nginx) == gateways
    for name in gateways:
        assert ":?" in services[name]["environment"]["MODELGATE_ENCRYPTION_KEY"]
    # A call that was sent may have been carried out: it goes to no second gateway.
    assert "non_idempotent" not in nginx


def test_each_gateway_keeps_the_address_that_nginx_has_asked_for() -> None:
    loaded = compose()
    (subnet,) = [each["subnet"] for each in loaded["networks"]["default"]["ipam"]["config"]]
    gateways = [service for name, service in loaded["services"].items() if name.startswith("gateway-")]
    addresses = {service["networks"]["default"]["ipv4_address"] for service in gateways}
    assert len(addresses) == 2
    assert all(ip_address(address) in ip_network(subnet) for address in addresses)
    assert gateways[0]["environment"]["MODELGATE_SERVER_TRUSTED_PROXIES"] == subnet


def test_each_deployment_gives_a_gateway_the_time_that_it_takes_to_stop() -> None:
    drain = load_settings(environ={}).server.drain_seconds
    for service in compose()["services"].values():
        if "stop_grace_period" in service:
            assert float(service["stop_grace_period"].removesuffix("s")) >= drain + 10
    unit = (DEPLOY / "systemd" / "modelgate.service").read_text(encoding="utf-8")
    assert float(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) >= drain + 10
    deployment = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    assert "terminationGracePeriodSeconds: {{ add 20 .Values.drainSeconds }}" in deployment
    assert VALUES["drainSeconds"] == drain


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_values_of_the_chart_are_those_that_its_templates_ask_for() -> None:
    asked = {
        tuple(path.split("."))
        for template in TEMPLATES
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", template.read_text(encoding="utf-8"))
    }

    def exists(path: tuple[str, ...]) -> bool:
        value: Any = VALUES
        for part in path:
            if part not in value:
                return False
            value = value[part]
        return True

    assert {path for path in asked if not exists(path)} == set()
    assert {path[0] for path in asked} == set(VALUES)
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    assert set(schema["properties"]) == set(VALUES) | {"global"}
    validator = Draft7Validator(schema)
    for values in (VALUES, {**VALUES, **FULL}):
        assert list(validator.iter_errors(values)) == []
    assert list(validator.iter_errors({**VALUES, "replicas": 2}))
    assert list(validator.iter_errors({**VALUES, "encryptionKey": "short"}))


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed")
@pytest.mark.parametrize("values", [NEEDED, FULL, {"existingSecret": "mine"}])
def test_helm_takes_the_chart(values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    subprocess.run(["helm", "lint", "--strict", str(CHART), "--values", str(file)], check=True, timeout=60)
    rendered = subprocess.run(
        ["helm", "template", "release", str(CHART), "--values", str(file)], check=True, timeout=60, capture_output=True
    ).stdout
    kinds = {resource["kind"] for resource in yaml.safe_load_all(rendered) if resource}
    assert {"Deployment", "Service", "PodDisruptionBudget"} <= kinds
    if shutil.which("kubeconform") is not None:
        command = ["kubeconform", "-strict", "-ignore-missing-schemas", "-"]
        subprocess.run(command, input=rendered, check=True, timeout=60)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "modelgate.service").read_text(encoding="utf-8")
    file = tmp_path / "modelgate.service"
    # Whether the command is there is not for the unit to say.
    file.write_text(unit.replace("/opt/modelgate/bin/modelgate serve", "/bin/true"), encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stderr) == (0, "")
