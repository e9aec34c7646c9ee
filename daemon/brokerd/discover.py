"""The OpenRPC document (open-rpc.org), made from the method table so that it cannot go stale."""

from typing import Any

import msgspec

from brokerd import __version__, errors
from brokerd.contract import METHODS, Method

OPENRPC_VERSION = "1.3.2"


def openrpc() -> dict[str, Any]:
    """Describe all methods: params and results as JSON Schema, errors by code."""
    types = [kind for method in METHODS for kind in (method.params, method.result)]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "brokerd",
            "version": __version__,
            "description": "One JSON-RPC 2.0 message a line over a Unix stream socket.",
        },
        "methods": [
            _method(method, components, result)
            for method, result in zip(METHODS, schemas[1::2], strict=True)
        ],
        "components": {"schemas": components, "errors": _errors()},
    }


def _method(method: Method, components: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    params = components[method.params.__name__]
    required = set(params.get("required", ()))
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in params.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": result},
    }


def _errors() -> dict[str, Any]:
    return {
        kind.name: {"code": kind.code, "message": (kind.__doc__ or "").strip()}
        for kind in errors.taxonomy()
    }
