"""Which embedder a query goes to by its language."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from anyio.to_thread import run_sync as run_in_thread

from gateway.database.pool import Database
from gateway.embedding.embedder import Embedder
from gateway.embedding.embedder_factory import choose_route_embedder
from gateway.embedding.spaces.language_detection import ANY_LANGUAGE, LanguageDetector
from gateway.embedding.spaces.language_route import LanguageRoute
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import SettingsError
from gateway.settings import EmbedderSettings

# What takes longer to look at is looked at beside the event loop.
_QUICK_CHARACTERS = 200


class LanguageRoutes:
    """The routes of the settings, in their order."""

    def __init__(self, routes: Sequence[LanguageRoute], store: SpaceStore) -> None:
        """Raises SettingsError for what is no language, and for one that two routes name."""
        _check_languages(routes)
        self.routes = tuple(routes)
        self._store = store
        self._detector = LanguageDetector({language for route in routes for language in route.languages})
        self._are_loaded = not routes

    async def choose(self, query: str) -> LanguageRoute | None:
        """The route of a query, None where it goes the way of all that no route is for.

        One in several languages goes to a route that has more than one, as far as there is one for any of them.
        """
        if not self.routes:
            return None
        if self._are_loaded and len(query) <= _QUICK_CHARACTERS:
            languages = self._detector.detect(query)
        else:
            languages = await run_in_thread(self._detector.detect, query)
            self._are_loaded = True
        named = [route for language in languages for route in self.routes if language in route.languages]
        everything = [route for route in self.routes if ANY_LANGUAGE in route.languages]
        if len(languages) > 1:
            several = [route for route in [*named, *everything] if _is_multilingual(route)]
            return next(iter([*several, *named]), None)
        if languages == ("en",):
            return next(iter(named), None)
        return next(iter([*named, *everything]), None)

    def of_space(self, stored: StoredSpace) -> LanguageRoute | None:
        """The route that has this space."""
        return next((route for route in self.routes if route.stored is not None and route.stored.id == stored.id), None)

    def embedder_of(self, stored: StoredSpace) -> Embedder | None:
        """The embedder of the route that has this space."""
        route = self.of_space(stored)
        return None if route is None else route.embedder

    @property
    def space_ids(self) -> Collection[int]:
        """The spaces of all routes, as far as they are known."""
        return {route.stored.id for route in self.routes if route.stored is not None}

    async def forget_others(self) -> None:
        """Spaces of former routes are no longer for any language. Call once all routes have said theirs."""
        if all(route.stored is not None for route in self.routes):
            await self._store.clear_languages(self.space_ids)

    async def aclose(self) -> None:
        """Close the embedders."""
        for route in self.routes:
            await route.embedder.aclose()


def open_language_routes(settings: EmbedderSettings, database: Database) -> LanguageRoutes:
    """The routes that the settings mean; the caller closes them. Raises SettingsError."""
    store = SpaceStore(database)
    routes = [LanguageRoute(route.languages, choose_route_embedder(settings, route), store) for route in settings.route]
    return LanguageRoutes(routes, store)


def _check_languages(routes: Sequence[LanguageRoute]) -> None:
    named = [language for route in routes for language in route.languages]
    if not all(route.languages for route in routes):
        raise SettingsError('A route of embedder.route names no language; write languages = ["ja", "zh"].')
    for language in named:
        if not (language == ANY_LANGUAGE or (len(language) == 2 and language.isascii() and language.islower())):
            raise SettingsError(
                f"embedder.route names {language!r}, which is no language; write two-letter codes, "
                'as "ja", or "*" for all others.'
            )
        if named.count(language) > 1:
            raise SettingsError(f"embedder.route names {language!r} twice; a language has one route.")


def _is_multilingual(route: LanguageRoute) -> bool:
    return len(route.languages) > 1 or ANY_LANGUAGE in route.languages
