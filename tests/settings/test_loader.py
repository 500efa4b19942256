"""Settings as their owner meets them: files, the environment, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import LoadedSettings, load_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ)
    return caught.value.message


def test_without_file_and_environment_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}) == LoadedSettings()


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[server]\nport = 9000\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).server.port == 9000


def test_the_environment_names_a_file_and_wins_over_it(tmp_path: Path) -> None:
    path = written(tmp_path, '[server]\nport = 9000\nhost = "0.0.0.0"\n')
    loaded = load_settings(environ={"MODELGATE_CONFIG": str(path), "MODELGATE_SERVER_PORT": "9001"})
    assert (loaded.server.port, loaded.server.host) == (9001, "0.0.0.0")


def test_names_that_users_know_are_read(tmp_path: Path) -> None:
    loaded = load_settings(
        written(tmp_path, ""),
        {
            "MODELGATE_EMBEDDER_TYPE": "openai",
            "MODELGATE_EMBEDDER_URL": "http://here:1234",
            "MODELGATE_EMBEDDER_MODEL": "some-model",
            "OPENAI_API_KEY": "sk-1",
            "MODELGATE_ENCRYPTION_KEY": "ab" * 32,
            "MODELGATE_DATABASE_URL": "postgresql://h/d",
        },
    )
    assert (loaded.embedder.type, loaded.embedder.base_url) == ("openai", "http://here:1234")
    assert (loaded.embedder.model, loaded.embedder.api_key) == ("some-model", "sk-1")
    assert loaded.server.encryption_key == "ab" * 32
    assert loaded.database.url == "postgresql://h/d"


@pytest.mark.parametrize(
    ("text", "environ", "address"),
    [
        ("", {}, "http://gpu:11434"),
        ('[embedder]\nbase_url = ""\n', {}, "http://gpu:11434"),
        ('[embedder]\nbase_url = "http://mine"\n', {}, "http://mine"),
        ("", {"MODELGATE_EMBEDDER_URL": "http://mine"}, "http://mine"),
        ('[embedder]\ntype = "openai"\n', {}, ""),
    ],
)
def test_the_address_that_others_use_for_ollama_is_read_where_nothing_else_is_set(
    tmp_path: Path, text: str, environ: dict[str, str], address: str
) -> None:
    loaded = load_settings(written(tmp_path, text), {**environ, "OLLAMA_BASE_URL": "http://gpu:11434"})
    assert loaded.embedder.base_url == address


def test_the_exact_name_wins_over_an_alias(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-alias", "MODELGATE_EMBEDDER_API_KEY": "sk-exact"}
    assert load_settings(written(tmp_path, ""), environ).embedder.api_key == "sk-exact"


def test_names_in_braces_are_read_from_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, '[database]\nurl = "postgresql://me:${SECRET}@${HOST}/x"\n')
    assert load_settings(path, {"SECRET": "s3", "HOST": "db"}).database.url == "postgresql://me:s3@db/x"


def test_a_name_in_braces_that_is_not_set_stands_for_nothing(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, '[embedder]\napi_key = "${NOT_SET}"\n'), {}).embedder.api_key == ""


def test_lists_come_from_the_file_and_from_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, '[server]\nallowed_hosts = ["a", "b:1"]\n')
    assert load_settings(path, {}).server.allowed_hosts == ("a", "b:1")
    assert load_settings(path, {"MODELGATE_SERVER_ALLOWED_HOSTS": "c, d"}).server.allowed_hosts == ("c", "d")


def test_an_unknown_key_is_told_with_file_line_and_nearest_key(tmp_path: Path) -> None:
    path = written(tmp_path, '# mine\n[server]\nhost = "h"\nprot = 1\n')
    assert refusal(path) == f"{path}, line 4: unknown key server.prot. Did you mean port?"


def test_an_unknown_section_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "[server]\n\n[serch]\nmode = 1\n")
    assert refusal(path) == f"{path}, line 3: unknown section [serch]. Did you mean search?"


def test_a_key_outside_of_any_section_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "port = 1\n[server]\n")
    assert refusal(path).startswith(f"{path}, line 1: unknown section [port].")


def test_an_unknown_variable_is_told_with_the_nearest() -> None:
    told = refusal(MODELGATE_SERVER_PROT="1")
    assert told == "Environment variable MODELGATE_SERVER_PROT: unknown setting. Did you mean MODELGATE_SERVER_PORT?"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[server]\nport = 70000", "line 2: server.port has to be a whole number from 0 to 65535, not 70000."),
        ("[server]\nport = 80.5", "line 2: server.port has to be a whole number, not 80.5."),
        ("[server]\nport = true", "line 2: server.port has to be a whole number, not True."),
        ("[server]\nhost = 1", "line 2: server.host has to be a string, not 1."),
        ("[server]\nallowed_hosts = [1]", "line 2: server.allowed_hosts has to be a list of strings, not [1]."),
        ('[search]\nmode = "fuzzy"', "line 2: search.mode has to be one of hybrid, cosine, not 'fuzzy'."),
        ("[search]\nthreshold = 1.5", "line 2: search.threshold has to be a number from 0.0 to 1.0, not 1.5."),
        ("[search]\nthreshold = nan", "line 2: search.threshold has to be a number from 0.0 to 1.0, not nan."),
        ("[search]\nmax_results = 51", "line 2: search.max_results has to be a whole number from 1 to 50, not 51."),
        ("[embedder]\napi_key = 5", "line 2: embedder.api_key has to be a string."),
        ("server = 5", "line 1: server has to be a section, written [server]."),
    ],
)
def test_a_bad_value_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = written(tmp_path, line)
    assert refusal(path) == f"{path}, {told}"


def test_a_bad_value_in_the_environment_is_told() -> None:
    told = refusal(MODELGATE_SERVER_PORT="eighty")
    assert told == "Environment variable MODELGATE_SERVER_PORT: server.port has to be a whole number, not 'eighty'."


def test_tables_are_read_from_the_file_and_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[embedder]\nmodel = "m"\n\n[[embedder.route]]\nlanguages = ["ja", "ko"]\nmodel = "bge-m3"\n'
        'api_key = "${KEY}"\n\n'
        '[[embedder.route]]\nlanguages = "*"\ntype = "openai"\n',
        encoding="utf-8",
    )
    first, second = load_settings(path, environ={"KEY": "sk-1"}).embedder.route
    assert (first.languages, first.type, first.model, first.api_key) == (("ja", "ko"), "ollama", "bge-m3", "sk-1")
    assert (second.languages, second.type) == (("*",), "openai")
    written = '[{"languages": ["zh"], "dimensions": 64}]'
    (only,) = load_settings(path, environ={"MODELGATE_EMBEDDER_ROUTE": written}).embedder.route
    assert (only.languages, only.dimensions) == (("zh",), 64)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[[embedder.route]]\nlanguage = "ja"\n',
            "line 1: unknown key embedder.route.language. Known: languages, type",
        ),
        ('[[embedder.route]]\ntype = "cohere"\n', "line 1: embedder.route.type has to be one of ollama, openai"),
        (
            '[embedder]\nroute = "ja"\n',
            "line 2: embedder.route has to be a list of tables, written [[embedder.route]].",
        ),
        ("[embedder]\nroute = [1]\n", "has to be a list of tables"),
    ],
)
def test_a_bad_table_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ={})
    assert told in caught.value.message
