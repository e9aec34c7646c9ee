"""What an exchange is founded on: its listings, the account's first balances, fees, and names."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from brokerd.terms import Instrument
from brokerd_adapters.paper import Fees
from brokerd_adapters.paper.markets import Listing
from brokerd_adapters.paper.matching import RepeatId


class Charter(Struct, frozen=True, kw_only=True):
    """The rules of one exchange; `repeat_id` says what a client order id seen before is worth."""

    listings: Mapping[str, Listing]
    balances: Mapping[str, Decimal]
    fees: Fees
    repeat_id: RepeatId

    @property
    def instruments(self) -> dict[str, Instrument]:
        """The rules of every listing."""
        return {symbol: listing.instrument for symbol, listing in self.listings.items()}
