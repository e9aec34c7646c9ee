"""The client ids of an order that is several at its venue: each tells whose it is, and no other."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.ids import Ids, order_id
from brokerd_adapters.kit.links import ROOM_FOR_LINK, left_id, link, link_id


def nth_id(epoch: str, number: int) -> str:
    """The id that a run gives its n-th order."""
    ids = Ids(epoch)
    ids._count = itertools.count(number)
    return ids.next()


OURS = st.builds(
    nth_id,
    st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=10, max_size=10),
    st.integers(min_value=1, max_value=10**9),
)
NUMBERS = st.integers(min_value=1, max_value=999_999)


@pytest.mark.parametrize(
    ("cl_ord_id", "told"),
    [
        ("bkd-0-1", ("bkd-0-1", 0, False)),
        ("bkd-0-1-r3", ("bkd-0-1", 3, False)),
        ("bkd-0-1-r3c", ("bkd-0-1", 3, True)),
        ("bkd-0-1r3", ("bkd-0-1r3", 0, False)),
        ("bkd-0-1-r0", ("bkd-0-1-r0", 0, False)),
        ("-r1", ("-r1", 0, False)),
        ("by hand", ("by hand", 0, False)),
        ("", ("", 0, False)),
    ],
)
def test_a_client_id_tells_its_order_and_its_replace(
    cl_ord_id: str, told: tuple[str, int, bool]
) -> None:
    assert link(cl_ord_id) == told


@given(OURS, NUMBERS)
def test_both_sides_of_a_replace_are_found_again_from_their_ids_alone(
    cl_ord_id: str, replace_no: int
) -> None:
    assert link(cl_ord_id) == (cl_ord_id, 0, False)
    assert link(link_id(cl_ord_id, replace_no)) == (cl_ord_id, replace_no, False)
    assert link(left_id(cl_ord_id, replace_no)) == (cl_ord_id, replace_no, True)


@given(OURS, NUMBERS)
def test_every_venue_takes_them_and_the_daemon_knows_them_as_the_orders(
    cl_ord_id: str, replace_no: int
) -> None:
    """Binance takes 36 letters, digits, dashes and underscores (fix-api.md); Alpaca 48."""
    for each in (link_id(cl_ord_id, replace_no), left_id(cl_ord_id, replace_no)):
        assert re.fullmatch(r"[a-zA-Z0-9-_]{1,36}", each)
        assert len(each) <= len(cl_ord_id) + ROOM_FOR_LINK
        assert order_id(each) == cl_ord_id
