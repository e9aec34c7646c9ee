"""
What a command holds: the daemon at the other end, asked or told, and the output.

A question that goes unanswered changed nothing (exit 3). A change that was sent and goes
unanswered may have happened (exit 4): the user gets the command that finds out.
"""

from argparse import Namespace
from typing import Any, Self

from brokerd.cli.errors import Exit, Failure, Refusal, Unanswered, Unreachable
from brokerd.cli.jsontext import Record, is_record
from brokerd.cli.terminal import Output, note
from brokerd.cli.wire import Connection, Lost
from brokerd.errors import UnknownOrder
from brokerd.sockets import socket_paths

LOOK_S = 60.0
"""How long an answer may take that the daemon asks a venue for first."""

SILENT = "is the daemon stuck or overloaded? try: brokerctl --timeout 60 status"


class Control:
    """The daemon, connected to when first needed, and where to print."""

    def __init__(self, options: Namespace, out: Output) -> None:
        self.out = out
        self.paths = socket_paths(options.socket)
        self.timeout_s: float = options.timeout
        self._link: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def connect(self) -> Connection:
        """Return the connection, opening it if there is none."""
        if self._link is None:
            self._link = Connection(self.paths, self.timeout_s)
        return self._link

    def hang_up(self) -> None:
        """Close the connection; the next call opens another."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def ask(self, method: str, params: Record | None = None) -> Record:
        """Call a method that changes nothing and answers with an object."""
        return _object(method, self.ask_any(method, params or {}))

    def tell(
        self, method: str, resolve: str, params: Record, *, timeout_s: float | None = None
    ) -> Record:
        """Call a method that changes something and answers with an object."""
        return _object(method, self.tell_any(method, resolve, params, timeout_s=timeout_s))

    def ask_any(self, method: str, params: Record) -> Any:
        """Call a method that changes nothing. Parameters that are None are left out."""
        try:
            return self.connect().call(method, _present(params))
        except Lost as lost:
            self.hang_up()
            raise Unreachable(f"{method} went unanswered: {lost.why}", SILENT) from lost

    def tell_any(
        self, method: str, resolve: str, params: Record, *, timeout_s: float | None = None
    ) -> Any:
        """Call a method that changes something; `resolve` is how to find out if it did."""
        link = self.connect()
        try:
            return link.call(method, _present(params), timeout_s)
        except Lost as lost:
            self.hang_up()
            if not lost.sent:
                raise Unreachable(f"{method} was not sent: {lost.why}") from lost
            raise Unanswered(
                f"{method} was sent, outcome unknown: {lost.why}", f"find out with: {resolve}"
            ) from lost
        except KeyboardInterrupt:
            note(f"brokerctl: {method} may have been sent; find out with: {resolve}")
            raise
        except Refusal as no:
            if no.status is Exit.UNKNOWN:
                no.hint = f"find out with: {resolve}"
            raise

    def ask_by_id(self, method: str, order_id: str) -> Record:
        """Ask about one order by its cl_ord_id or, where that is unknown, its executor_id."""
        try:
            return self.ask(method, {"cl_ord_id": order_id})
        except Refusal as no:
            return self.ask(method, {"cl_ord_id": self._cl_ord_id(order_id, no)})

    def tell_by_id(
        self,
        method: str,
        order_id: str,
        params: Record | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Record:
        """Change one order, named by its cl_ord_id or, where that is unknown, its executor_id."""
        resolve = f"brokerctl order {order_id}"
        try:
            named = {"cl_ord_id": order_id, **(params or {})}
            return self.tell(method, resolve, named, timeout_s=timeout_s)
        except Refusal as no:
            cl_ord_id = self._cl_ord_id(order_id, no)
            named = {"cl_ord_id": cl_ord_id, **(params or {})}
            return self.tell(method, resolve, named, timeout_s=timeout_s)

    def _cl_ord_id(self, executor_id: str, no: Refusal) -> str:
        """Return the cl_ord_id behind "executor:venue id"; raise the refusal if it is not one."""
        if no.code != UnknownOrder.code or ":" not in executor_id:
            raise no
        return str(self.ask("order.get", {"executor_id": executor_id}).get("cl_ord_id"))

    def verdict(self, order: Record) -> Exit:
        """Say on stderr what is wrong with an order just changed, and return the exit status."""
        if order.get("in_doubt"):
            note(
                f"brokerctl: order {order.get('cl_ord_id')} is in doubt at its venue\n"
                f"  find out with: brokerctl order --check {order.get('cl_ord_id')}"
            )
            return Exit.UNKNOWN
        if order.get("ord_status") == "rejected":
            note(f"brokerctl: the venue rejected it: {order.get('reason') or 'no reason'}")
            return Exit.REFUSED
        return Exit.DONE


def _object(method: str, result: object) -> Record:
    if not is_record(result):
        raise Failure(f"{method} was answered with something else than an object")
    return result


def _present(params: Record) -> Record:
    return {name: value for name, value in params.items() if value is not None}
