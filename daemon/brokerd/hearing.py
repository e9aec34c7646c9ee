"""Who waits for a venue's first word about an order: bots that submit with `wait = "venue"`."""

import asyncio
from contextlib import suppress

from brokerd.orders import Order


class Hearing:
    """Tells each waiter once. False while nobody waits."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiters)

    async def wait(self, order: Order, timeout_s: float) -> None:
        """Return when the venue has said its first word about the order, or after `timeout_s`."""
        if _is_heard_of(order):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(order.cl_ord_id, []).append(waiter)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiter
        finally:
            self._leave(order.cl_ord_id, waiter)

    def tell(self, order: Order) -> None:
        """Wake who waits for the order, if this is the word and it is durable by now."""
        if _is_heard_of(order):
            for waiter in self._waiters.pop(order.cl_ord_id, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def _leave(self, cl_ord_id: str, waiter: asyncio.Future[None]) -> None:
        """Forget one who waits no longer; who was told is forgotten already."""
        waiters = self._waiters.get(cl_ord_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[cl_ord_id]


def _is_heard_of(order: Order) -> bool:
    return order.acked_at_ns is not None or order.is_final
