import os
import socket

import pytest

from modelyard.embedded.processes import check_port_is_free, free_ports
from modelyard.errors import BadInput


def test_a_port_in_use_is_a_sentence_that_names_it_and_what_uses_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BadInput) as raised:
            check_port_is_free("127.0.0.1", port, "Airflow", "AIRFLOW_PORT")
    message = str(raised.value)
    assert message.startswith(f"port {port} for Airflow is in use by ")
    assert f"(process {os.getpid()})" in message
    assert message.endswith("stop what uses it, or set AIRFLOW_PORT to another port")


def test_free_ports_differ_and_can_be_used() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        check_port_is_free("127.0.0.1", port, "Airflow", "AIRFLOW_PORT")


def test_a_port_is_looked_for_on_ipv6_too() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        port = server.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} for API is in use"):
            check_port_is_free("::1", port, "API", "API_PORT")
    check_port_is_free("::1", port, "API", "API_PORT")
