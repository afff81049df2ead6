"""A page of a foreign site, whose name resolves to this machine by now, asks the platform in containers."""

import httpx
import pytest

from tests.rebinding import FOREIGN, ask, open_websocket
from tests.stack.platform_in_containers import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

ASK = """
import urllib.request
print(urllib.request.urlopen("{url}", timeout=30).status)
"""
# Within the platform's network, as its services and a Prometheus ask: by their names, and by addresses.
INNER = [
    ("api", "http://api:8086/metrics"),
    ("airflow-apiserver", "http://airflow-apiserver:8080/execution/health"),
    ("mlflow", "http://mlflow:5000/"),
    ("jupyter", "http://jupyter:8888/api"),
    ("frontend", "http://frontend:8501/"),
]


@pytest.mark.parametrize(
    ("port", "path", "refusal"),
    [
        ("API_PORT", "/metrics", 421),
        ("AIRFLOW_PORT", "/api/v2/version", 421),
        ("AIRFLOW_PORT", "/execution/health", 421),
        ("FRONTEND_PORT", "/", 421),
        ("JUPYTER_PORT", "/api", 421),
        ("MLFLOW_PORT", "/", 403),
    ],
)
def test_no_service_tells_a_foreign_name_anything(stack: Stack, port: str, path: str, refusal: int) -> None:
    url = f"{stack.url(port)}{path}"
    own = httpx.URL(url).netloc.decode()
    for foreign in (FOREIGN, f"10.{FOREIGN}:8083"):
        assert ask(url, [foreign]).status == refusal
    for right in (own, "localhost", "10.1.2.3:8086"):
        assert ask(url, [right]).status == 200


def test_the_frontend_opens_its_websocket_to_its_own_pages_alone(stack: Stack) -> None:
    stream = f"{stack.url('FRONTEND_PORT')}/_stcore/stream"
    assert open_websocket(stream, FOREIGN, "streamlit") == 403
    assert open_websocket(stream, httpx.URL(stream).netloc.decode(), "streamlit") == 101


@pytest.mark.parametrize(("service", "url"), INNER)
def test_the_services_ask_each_other_by_name_and_a_prometheus_asks_by_address(
    stack: Stack, service: str, url: str
) -> None:
    address = stack.inspect(service, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    for asked in (url, url.replace(service, address)):
        assert stack.python("api", ASK.format(url=asked)) == "200"


def test_minio_gives_nothing_to_who_has_no_key(stack: Stack) -> None:
    """It answers under any name: a page that got there has neither its cookie nor a key."""
    assert ask(f"{stack.url('MINIO_PORT')}/data/").status == 403
    assert ask(f"{stack.url('MINIO_CONSOLE_PORT')}/api/v1/buckets").status == 403
