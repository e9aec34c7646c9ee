"""
The WebSocket API: /ws-api/v3. One session for every connection.

Source: web-socket-api.md.
"""

from collections.abc import Callable

from aiohttp import web

from brokerd_adapters.venue.binance.keys import Key
from brokerd_adapters.venue.binance.service import Service
from brokerd_adapters.venue.binance.session import Session
from brokerd_adapters.venue.binance.userdata import UserData
from brokerd_adapters.venue.wire import Connection, Switchboard

CONNECTION_WEIGHT = 2


class WsApi:
    """The endpoint; a session for every connection."""

    def __init__(
        self, service: Service, key: Key, user_data: UserData, switchboard: Switchboard
    ) -> None:
        self._service = service
        self._key = key
        self._user_data = user_data
        self._switchboard = switchboard
        self._sessions: set[Session] = set()

    def mount(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/ws-api/v3", self._serve)

    def say_shutdown(self) -> None:
        """Tell every connection to go: `serverShutdown`."""
        for session in self._sessions:
            session.say_shutdown()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        def greet(connection: Connection) -> Callable[[bytes], None]:
            session = Session(self._service, self._key, self._user_data, connection, request.query)
            self._sessions.add(session)
            connection.farewells.append(session.leave)
            connection.farewells.append(lambda: self._sessions.discard(session))
            self._service.limits.spend(CONNECTION_WEIGHT)
            return session.on_frame

        return await self._switchboard.serve(request, greet)
