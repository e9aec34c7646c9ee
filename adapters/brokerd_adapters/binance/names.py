"""
Numbers of orders and trades: they are unique within a symbol only, so each gets the symbol before it.

    BTCUSDT-28
"""


def scoped(symbol: str, number: int) -> str:
    """
    Return the name of an order or trade that is unique within the executor.

    Raises ValueError for a number below 0, by which Binance says that there is none.
    """
    if number < 0:
        raise ValueError(f"the number {number}")
    return f"{symbol}-{number}"


def venue_number(venue_order_id: str | None) -> int | None:
    """Return the venue's order number behind `scoped`; None if there is none."""
    _, _, number = (venue_order_id or "").rpartition("-")
    return int(number) if number.isdecimal() and number.isascii() else None
