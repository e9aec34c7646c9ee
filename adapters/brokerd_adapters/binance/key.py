"""An API key at work: it signs requests for either road, with the venue's time."""

from brokerd.secrets import Secret
from brokerd_adapters.binance.signing import Params, rest_payload, ws_payload
from brokerd_adapters.kit.clock_offset import ClockOffset
from brokerd_adapters.kit.signers import Signer

MS_NS = 1_000_000


class Key:
    """
    One key. Signing raises Unsent while the venue's time is not known well enough.

    Only Ed25519 keys may log on to a connection (web-socket-api.md, session.logon).
    """

    def __init__(
        self, api_key: Secret, signer: Signer, offset: ClockOffset, *, recv_window_ms: int
    ) -> None:
        self._api_key = api_key
        self._signer = signer
        self._offset = offset
        self._recv_window_ms = recv_window_ms

    @property
    def can_log_on(self) -> bool:
        """Whether a connection may be authenticated once for all requests."""
        return self._signer.algorithm == "ed25519"

    @property
    def headers(self) -> dict[str, str]:
        """Return what names the key in an HTTP request."""
        return {"X-MBX-APIKEY": self._api_key.reveal()}

    def query(self, params: Params) -> str:
        """Return parameters as a signed query; base64 is encoded after it was made."""
        payload = rest_payload(self.stamped(params))
        signature = rest_payload({"signature": self._signer.sign(payload.encode())})
        return f"{payload}&{signature}"

    def stamped(self, params: Params) -> dict[str, str | int]:
        """Return parameters with the time they are sent and how long they are good for."""
        return {
            **params,
            "recvWindow": self._recv_window_ms,
            "timestamp": self._offset.venue_ns() // MS_NS,
        }

    def signed(self, params: Params) -> dict[str, str | int]:
        """Return the parameters of a WebSocket request, signed."""
        stamped = {**self.stamped(params), "apiKey": self._api_key.reveal()}
        return {**stamped, "signature": self._signer.sign(ws_payload(stamped).encode())}
