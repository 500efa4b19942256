"""Variables that a stdio server may be given where its command is held to a list."""

from __future__ import annotations

import pytest

from gateway.upstream.child_environment import refused_variables


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "GCONV_PATH", "MALLOC_CHECK_"),
        *("NODE_OPTIONS", "NODE_PATH", "NODE_AUTH_TOKEN", "NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_TOKEN"),
        *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PIP_INDEX_URL", "UV_INDEX_URL", "UV_INDEX_ACME_PASSWORD"),
        *("BASH_ENV", "BASH_FUNC_ls%%", "ENV", "IFS", "SHELLOPTS", "PERL5LIB", "PERL5OPT", "RUBYOPT", "GEM_PATH"),
        *("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "DOCKER_HOST"),
        *(
            "HTTP_PROXY",
            "https_proxy",
            "SSL_CERT_FILE",
            "SSL_KEY",
            "CURL_CA_BUNDLE",
            "HOME",
            "XDG_CONFIG_HOME",
            "TMPDIR",
        ),
        *("GITHUB_API_URL", "A" * 200 + "_TOKEN", "token", "X_TOKEN\n", ""),
    ],
)
@pytest.mark.parametrize("command", ["npx", "/usr/bin/python3.12", "server"])
def test_a_variable_by_which_another_program_might_run_is_refused(name: str, command: str) -> None:
    assert refused_variables(command, [name, "GITHUB_TOKEN"], ()) == [name]


def test_credentials_and_harmless_variables_are_given() -> None:
    names = [
        "GITHUB_PERSONAL_ACCESS_TOKEN",
        "BRAVE_API_KEY",
        "DB_PASSWORD",
        "DB_USER",
        "AWS_ACCESS_KEY_ID",
        "TZ",
        "LANG",
    ]
    assert refused_variables("server", names, ()) == []


def test_a_family_of_commands_has_harmless_variables_of_its_own() -> None:
    assert refused_variables("npx", ["NODE_ENV"], ()) == []
    assert refused_variables("/usr/bin/python3.12", ["PYTHONUNBUFFERED"], ()) == []
    assert refused_variables("npx", ["PYTHONUNBUFFERED"], ()) == ["PYTHONUNBUFFERED"]


def test_what_an_admin_names_is_given() -> None:
    assert refused_variables("npx", ["ACME_REGION", "NODE_OPTIONS", "OTHER"], ("ACME_*", "NODE_OPTIONS")) == ["OTHER"]
