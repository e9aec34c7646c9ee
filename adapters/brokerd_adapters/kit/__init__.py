"""
What every adapter to a real venue needs, so that none invents it again.

    faults         what befell a request on its way, in the words of outcome tables
    http           one request on the wire for each call: never a second one, never a redirect
    ws             one WebSocket connection: requests with replies, events, and where the gap is
    decoders       readers of what a venue sends, safe in any thread
    addresses      where a venue may be
    credentials    key files, and who may read them
    signers        HMAC, RSA and Ed25519
    clock_offset   the venue's time for signing, or a refusal to sign
    limits         a venue's rate limits as a pure account
    watch          the stream of a venue that is asked round by round
    links          the client ids of an order that is several at its venue
    budget         the queue before them, shared by all executors of a venue
"""

from brokerd_adapters.background import Background
from brokerd_adapters.kit.addresses import check_address
from brokerd_adapters.kit.budget import Budget, Charge, key_mark, shared_budget
from brokerd_adapters.kit.clock_offset import ClockOffset
from brokerd_adapters.kit.credentials import Credential, load_credential
from brokerd_adapters.kit.decoders import decoder
from brokerd_adapters.kit.faults import Unanswered, Unsent, not_asked, outcome_of, understood
from brokerd_adapters.kit.http import DEADLINE_S, Deadlines, Http, HttpAnswer, whole
from brokerd_adapters.kit.limits import Cost, Limits, Pause, Priority, Window
from brokerd_adapters.kit.signers import Signer, make_signer
from brokerd_adapters.kit.watch import Watch, reports_of
from brokerd_adapters.kit.ws import JsonSocket
from brokerd_adapters.subscription import Subscription

__all__ = [
    "DEADLINE_S",
    "Background",
    "Budget",
    "Charge",
    "ClockOffset",
    "Cost",
    "Credential",
    "Deadlines",
    "Http",
    "HttpAnswer",
    "JsonSocket",
    "Limits",
    "Pause",
    "Priority",
    "Signer",
    "Subscription",
    "Unanswered",
    "Unsent",
    "Watch",
    "Window",
    "check_address",
    "decoder",
    "key_mark",
    "load_credential",
    "make_signer",
    "not_asked",
    "outcome_of",
    "reports_of",
    "shared_budget",
    "understood",
    "whole",
]
