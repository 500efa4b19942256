"""What tells a database from its copies, as far as its user may ask."""

from __future__ import annotations

from gateway.database.pool import open_database
from gateway.search.index.opensearch.installation import installation_id
from gateway.settings import Settings
from tests.support.rows import rows, value


async def test_a_user_who_may_not_ask_for_the_number_of_the_data_directory_has_the_id_that_is_there(
    settings: Settings,
) -> None:
    url = settings.database.url
    await rows(url, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    role = f"plain_{(await value(url, 'SELECT current_database()'))[-16:]}"
    await rows(url, f"CREATE ROLE {role}")
    try:
        await rows(url, f"GRANT SELECT, UPDATE ON installation TO {role}")
        async with open_database(settings, size=1) as database:
            async with database.connection() as connection:
                await connection._connection.execute(f"SET ROLE {role}")
            assert await installation_id(database) == str(await value(url, "SELECT id FROM installation"))
    finally:
        await rows(url, f"DROP OWNED BY {role}")
        await rows(url, f"DROP ROLE {role}")
