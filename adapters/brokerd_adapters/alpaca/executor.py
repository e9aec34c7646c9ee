"""
AlpacaExecutor: Alpaca behind the executor port.

Orders go over REST, what becomes of them comes over `trade_updates`. A cancel's 204 and a replace's
200 only say that the request was taken: they are `Accepted` without a report, and the order is
asked about until its outcome shows. `Chains` remembers names and the venue's last words, no state
of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from decimal import Decimal
from urllib.parse import urlsplit

import structlog
from msgspec.structs import replace as with_changes

from brokerd.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.events import RequestKind
from brokerd.executor import (
    Accepted,
    Balance,
    CancelOrder,
    Clock,
    NotSent,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
    Snapshot,
    Standing,
)
from brokerd.money import subtract
from brokerd.terms import Instrument, Quote
from brokerd.times import NS_PER_S
from brokerd_adapters.alpaca import requests, rules
from brokerd_adapters.alpaca.chains import PENDING_REPLACE, REPLACED, Chain, Chains
from brokerd_adapters.alpaca.config import AlpacaConfig, check_symbols
from brokerd_adapters.alpaca.promises import promises, weaknesses
from brokerd_adapters.alpaca.questions import Questions
from brokerd_adapters.alpaca.quotes import Quotes
from brokerd_adapters.alpaca.reports import accepted
from brokerd_adapters.alpaca.rest import Rest, Sent, garbled
from brokerd_adapters.alpaca.stream import trade_updates
from brokerd_adapters.alpaca.wire import (
    Account,
    Asset,
    OrderBody,
    Unreadable,
    decode,
    decode_rows,
)
from brokerd_adapters.kit import DEADLINE_S, Credential, not_asked
from brokerd_adapters.kit.links import ROOM_FOR_LINK, link_id

REPLACE_UNDER_WAY_S = 0.2
"""How soon a cancel is sent again that met a replace under way."""
ASSETS_AGE_NS_MAX = 12 * 3_600 * NS_PER_S

log = structlog.get_logger(__name__)


class AlpacaExecutor:
    """
    One Alpaca account, paper or live. `deadline_s` is how long one request may take, below the
    daemon's own deadline, so that what is known of a fault is not lost to it.
    """

    def __init__(
        self,
        name: str,
        config: AlpacaConfig,
        credential: Credential,
        *,
        clock: Clock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        if credential.secret is None:
            raise ConfigError(f"{name}: Alpaca's credential has an api_key and a secret")
        self.name = name
        self.capabilities = promises(config)
        self._config = config
        self._credential = credential
        self._clock = clock
        self._chains = Chains()
        self._rest = Rest(
            config.trading_url,
            credential,
            clock,
            a_minute=config.requests_per_minute,
            deadline_s=deadline_s,
        )
        self._questions = Questions(name, self._rest, self._chains, clock)
        self._quotes = Quotes(name, config, credential)
        self._stack = AsyncExitStack()
        self._is_open = False
        self._instruments: dict[str, Instrument] = {}
        self._classes: dict[str, str] = {}
        self._assets_at_ns = 0

    def standing(self) -> Standing:
        """Return how things stand: budget, pause, weaknesses. No request is signed with a time."""
        pause = self._rest.paused
        return Standing(
            budget_left={"requests_1m": self._rest.left},
            paused_until_ns=pause.until_ns if pause else None,
            pause_reason=pause.reason if pause else "",
            weaknesses=weaknesses(self._config),
        )

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of."""
        self._rest.pause_until(paused_until_ns, reason)

    async def connect(self) -> None:
        """
        Look at the account, and load what may be traded if that is not fresh.

        Raises ConfigError for a key or a symbol that is refused, and VenueUnavailable.
        """
        if not self._is_open:
            await self._stack.enter_async_context(self._rest.http)
            await self._stack.enter_async_context(self._quotes)
            self._is_open = True
        account = await self._account()
        if account.trading_blocked or account.account_blocked or account.trade_suspended_by_user:
            raise VenueUnavailable(
                "the account is blocked from trading",
                reason="account_blocked",
                hint="Alpaca's dashboard says why",
            )
        if self._clock.now_ns() - self._assets_at_ns > ASSETS_AGE_NS_MAX:
            await self._load_assets()
        await self._quotes.refresh(self._classes)

    async def aclose(self) -> None:
        """Let go of every connection."""
        self._is_open = False
        await self._stack.aclose()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol, empty until connected."""
        return self._instruments

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest quote; None without market data."""
        return self._quotes.latest(symbol)

    async def place(self, request: PlaceOrder) -> Outcome:
        """Send a new order."""
        terms = request.terms
        asset_class = self._classes.get(terms.symbol)
        if asset_class is None:
            return Refused(reason="unknown_symbol", evidence=f"no asset {terms.symbol} was loaded")
        refused = rules.refused(terms, asset_class) or _id_refused(request.venue_cl_ord_id)
        if refused is not None:
            return refused
        is_extended = self._config.extended_hours and rules.may_be_extended(terms, asset_class)
        body = requests.place_body(request, extended_hours=is_extended)
        sent = await self._rest.command(RequestKind.NEW, "POST", requests.ORDERS, body=body)
        if not isinstance(sent, Sent):
            return sent
        try:
            placed = decode(sent.answer.body, OrderBody)
        except Unreadable as error:
            return garbled(RequestKind.NEW, error, sent.at_ns)
        self._chains.see(placed)
        return Accepted(
            reports=accepted(placed, self._chains),
            sent_at_ns=sent.at_ns,
            evidence=f"status {sent.answer.status}, order {placed.id} {placed.status}",
        )

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel of the order's last link."""
        kind = RequestKind.CANCEL
        try:
            order_id = await self._last_link(request.ref)
        except (VenueUnavailable, OutcomeUnknown) as error:
            return not_asked(error)
        if order_id is None:
            return Refused(reason="unknown_order", evidence="404 by client id", is_about_order=True)
        sent = await self._rest.command(kind, "DELETE", requests.order_path(order_id))
        if isinstance(sent, Refused):
            return await self._refused_cancel(order_id, sent)
        if not isinstance(sent, Sent):
            return sent
        return Accepted(evidence=f"status {sent.answer.status}: the cancel was taken, not done")

    async def replace(self, request: ReplaceOrder) -> Outcome:
        """
        Ask for a replace: a new link for what is left of the new total.

        How much is filled is asked first, for the new link counts from 0.
        """
        kind = RequestKind.REPLACE
        try:
            # The link this request is to make is not there yet: it need not be asked for.
            stands = await self._questions.chain(with_changes(request.ref, replace_no=None))
        except (VenueUnavailable, OutcomeUnknown) as error:
            return not_asked(error)
        if stands is None:
            return Refused(reason="unknown_order", evidence="404", is_about_order=True)
        asset_class = self._classes.get(request.ref.symbol, "")
        leaves_qty = subtract(request.qty, stands.filled)
        refused = rules.chain_refused(len(stands.links)) or rules.replace_refused(
            asset_class, request.px, leaves_qty, stands.head.qty
        )
        if refused is not None:
            return refused
        sent = await self._patch(request, stands, leaves_qty, asset_class)
        if not isinstance(sent, Sent):
            return sent
        try:
            self._chains.see(decode(sent.answer.body, OrderBody))
        except Unreadable as error:
            return garbled(kind, error, sent.at_ns)
        return Accepted(evidence=f"status {sent.answer.status}: the replace was taken, not done")

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        return await self._questions.order(ref)

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and all executions since a time."""
        return await self._questions.snapshot(since_ns)

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for cash and positions."""
        return await self._questions.balances(self._instruments.values())

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Report]]:
        """Subscribe to `trade_updates`."""
        url = self._config.stream_url
        return trade_updates(self.name, url, self._credential, self._chains)

    async def _account(self) -> Account:
        try:
            return await self._rest.get(requests.ACCOUNT, Account)
        except VenueUnavailable as error:
            if error.reason == "not_authorized":
                host = urlsplit(self._config.trading_url).hostname
                raise ConfigError(
                    f"{self.name}: {host} refuses the key",
                    hint="paper and live keys differ: see paper and credential",
                ) from None
            raise

    async def _load_assets(self) -> None:
        """Load the configured symbols, or all there are."""
        loaded: list[Asset] = []
        for symbol in self._config.symbols:
            asset = await self._rest.find(requests.asset_path(symbol), Asset)
            loaded += [] if asset is None else [asset]
        if not self._config.symbols:
            for asset_class in ("us_equity", rules.CRYPTO):
                loaded += await self._assets(asset_class)
        known = {each.symbol: (each, rules.instrument(each)) for each in loaded}
        tradable = {symbol: rule for symbol, (_, rule) in known.items() if rule is not None}
        check_symbols(self._config, set(tradable))
        self._classes = {symbol: known[symbol][0].asset_class for symbol in tradable}
        self._instruments = tradable
        self._assets_at_ns = self._clock.now_ns()

    async def _assets(self, asset_class: str) -> list[Asset]:
        """Ask for every asset of a class; one that cannot be read is not traded here."""
        answer = await self._rest.ask(requests.ASSETS, requests.assets(asset_class))
        try:
            # Megabytes, read beside the loop.
            rows, unread = await asyncio.to_thread(decode_rows, answer.body, Asset)
        except Unreadable as error:
            raise OutcomeUnknown(f"assets: {error}", reason="garbled") from None
        if unread:
            log.warning("assets_unreadable", executor=self.name, assets=unread)
        return rows

    async def _last_link(self, ref: OrderRef) -> str | None:
        """Return the id of the link that holds the order now; asks only if nothing is known of it."""
        if ref.venue_order_id is None:
            stands = await self._questions.chain(ref)
            return stands.head.id if stands else None
        return self._chains.latest(ref.venue_order_id)

    async def _refused_cancel(self, order_id: str, refused: Refused) -> Outcome:
        """Look why: a link that is being replaced takes no cancel, and the next one will."""
        try:
            link = await self._questions.link(order_id)
        except (VenueUnavailable, OutcomeUnknown):
            return refused
        if link is None or link.status not in {PENDING_REPLACE, REPLACED}:
            return refused
        evidence = f"{refused.evidence}; the order is {link.status}"
        return NotSent(
            reason="replace_under_way", evidence=evidence, retry_after_s=REPLACE_UNDER_WAY_S
        )

    async def _patch(
        self, request: ReplaceOrder, stands: Chain, leaves_qty: Decimal, asset_class: str
    ) -> Sent | Outcome:
        body = requests.replace_body(
            request.terms,
            request.px,
            qty=leaves_qty if rules.needs_qty(asset_class, leaves_qty) else None,
            client_order_id=link_id(request.ref.venue_cl_ord_id, request.replace_no),
        )
        path = requests.order_path(stands.head.id)
        return await self._rest.command(RequestKind.REPLACE, "PATCH", path, body=body)


def _id_refused(venue_cl_ord_id: str) -> Refused | None:
    """Refuse an id that leaves no room for its replaces."""
    if len(venue_cl_ord_id) + ROOM_FOR_LINK <= rules.CLIENT_ID_MAX:
        return None
    return Refused(reason="bad_client_id", evidence=f"{rules.CLIENT_ID_MAX} characters at most")
