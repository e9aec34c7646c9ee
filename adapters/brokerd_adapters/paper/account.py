"""The paper account: what is free, and what is locked in open orders. Exact, and never below 0."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from brokerd.executor import Balance
from brokerd.money import ZERO, add, plain, subtract


class Account:
    """Balances by asset; an asset nobody has named yet has nothing."""

    def __init__(self, free: Mapping[str, Decimal]) -> None:
        self._free = dict(free)
        self._locked: dict[str, Decimal] = {}

    def free(self, asset: str) -> Decimal:
        """Return what may be spent or locked."""
        return self._free.get(asset, ZERO)

    def credit(self, asset: str, amount: Decimal) -> None:
        """Add `amount` to what is free; below 0 it is a debit."""
        self._free[asset] = add(self.free(asset), amount)

    def lock(self, asset: str, amount: Decimal) -> None:
        """Move `amount` from free to locked; below 0 it goes the other way."""
        self._free[asset] = subtract(self.free(asset), amount)
        self._locked[asset] = add(self._locked.get(asset, ZERO), amount)

    def held(self, asset: str) -> Balance:
        """Return one asset, in whatever scale the sums have: for comparing, not for showing."""
        return Balance(asset, self.free(asset), self._locked.get(asset, ZERO))

    def balances(self) -> tuple[Balance, ...]:
        """Return every asset, in the order of their names."""
        assets = sorted(self._free.keys() | self._locked.keys())
        return tuple(
            Balance(asset, plain(self.free(asset)), plain(self._locked.get(asset, ZERO)))
            for asset in assets
        )

    def reset(self, balances: Iterable[Balance]) -> None:
        """Forget everything and hold these instead."""
        self._free = {balance.asset: balance.free for balance in balances}
        self._locked = {balance.asset: balance.locked for balance in balances}
