"""
One client of the stream: it says who it is, then what it listens to. Frames are binary, as the
paper endpoint's are, with JSON in them.
"""

from typing import Any

import msgspec

from brokerd.secrets import Secret
from brokerd_adapters.venue.wire import Connection

TRADE_UPDATES = "trade_updates"


class Client:
    """A connection in its conversation; `is_listening` once it gets updates."""

    def __init__(self, connection: Connection, key: str, secret: Secret) -> None:
        self.connection = connection
        self.is_listening = False
        self._key = key
        self._secret = secret
        self._is_known = False

    def hear(self, frame: bytes) -> None:
        """Answer one frame; what cannot be read ends the connection."""
        try:
            told = msgspec.json.decode(frame, type=dict[str, Any])
            action, data = told.get("action"), told.get("data") or told
            if action in {"authenticate", "auth"}:
                self._authenticate(data)
            elif action == "listen":
                self._listen(data)
            else:
                self._say("error", {"error": "action is not known"})
        except (msgspec.MsgspecError, RecursionError, AttributeError, TypeError):
            self.connection.cut()

    def _authenticate(self, data: dict[str, Any]) -> None:
        key = data.get("key_id", data.get("key"))
        secret = data.get("secret_key", data.get("secret"))
        self._is_known = key == self._key and Secret(str(secret)) == self._secret
        self._tell("authenticate")

    def _listen(self, data: dict[str, Any]) -> None:
        if not self._is_known:
            self._tell("listen")
            return
        streams = [each for each in data.get("streams", []) if each == TRADE_UPDATES]
        self.is_listening = bool(streams)
        self._say("listening", {"streams": streams})

    def _tell(self, action: str) -> None:
        status = "authorized" if self._is_known else "unauthorized"
        self._say("authorization", {"status": status, "action": action})

    def _say(self, stream: str, data: dict[str, Any]) -> None:
        self.connection.send(msgspec.json.encode({"stream": stream, "data": data}))
