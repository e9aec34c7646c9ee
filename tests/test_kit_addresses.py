"""A key never goes over a network in the clear."""

import pytest

from brokerd_adapters.kit import check_address


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example",
        "wss://api.example:9443/ws",
        "https://{hostname}/api",
        "http://127.0.0.1:8080",
        "ws://[::1]:8080/ws",
        "http://localhost/path",
    ],
)
def test_what_is_sealed_or_of_this_host_is_taken(url: str) -> None:
    check_address("rest_url", url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example",
        "https://",
        "http://api.example",
        "ws://api.example",
        "ftp://127.0.0.1",
        "http://localhost:x@api.example",
        "http://127.0.0.1:80@api.example/",
        "http://localhost.api.example",
        "http://[::1",
        "file:///etc/passwd",
    ],
)
def test_what_would_go_over_a_network_in_the_clear_is_refused(url: str) -> None:
    with pytest.raises(
        ValueError, match="rest_url is an https or wss address, or one of this host"
    ):
        check_address("rest_url", url)
