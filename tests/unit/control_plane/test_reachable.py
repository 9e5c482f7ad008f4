from __future__ import annotations

import socket

import pytest
import requests

from control_plane.reachable import complaint, plainly, split


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("broker:9093", ("broker", 9093)),
        ("broker", ("broker", 9092)),
        ("SASL_SSL://broker:1", ("broker", 1)),
        ("[::1]:9093", ("::1", 9093)),
        ("[::1]", ("::1", 9092)),
        ("broker:http", ("broker", 0)),
        ("broker:", ("broker", 0)),
    ],
)
def test_an_address_is_a_host_and_a_port(address, place):
    assert split(address, 9092) == place


def test_one_that_listens_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert complaint(f"127.0.0.1:1, 127.0.0.1:{server.getsockname()[1]}") is None


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1:99999", "127.0.0.1:99999 is no host:port"),
        (",", "no address is given"),
    ],
)
def test_what_is_in_the_way_is_said_in_a_few_words(addresses, said):
    assert complaint(addresses) == said


def test_the_reason_behind_a_clients_error_is_told():
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://127.0.0.1:1", timeout=5)
    assert plainly(caught.value) == "Connection refused"
    assert plainly(TimeoutError()) == "no answer in time"
