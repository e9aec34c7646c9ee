"""
Every exchange that ccxt has, through ccxt: by asking, and by its streams as a reason to ask.

    config      the keys of [executors.NAME], and of the credential file
    library     ccxt's edge: its session and its throttle are ours, its errors become our words
    outcomes    what each of its exceptions proves
    promises    what an exchange can and cannot promise, from what ccxt says of it
    words       ccxt's dicts, as instruments, views and reports
    questions   what can be asked, by the best road an exchange has
    executor    CcxtExecutor: all of it behind the executor port

Importing ccxt takes a second and 100 MB, so nothing here does before an executor is made.
"""

from brokerd_adapters.ccxt.config import CcxtConfig, CcxtCredential
from brokerd_adapters.ccxt.executor import CcxtExecutor

__all__ = ["CcxtConfig", "CcxtCredential", "CcxtExecutor"]
