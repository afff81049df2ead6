"""The doors of the platform in containers, tried by a page that knows the sources of Modelyard and every default."""

import time

import httpx
import jwt
import pytest
from minio import Minio
from minio.error import S3Error
from urllib3 import PoolManager

from modelyard.admin.make_secrets import files_by_service
from modelyard.logins import KNOWN_SECRETS
from modelyard.settings import SECRETS_FOLDER, Logins
from tests.stack.platform_in_containers import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

LONG_ENOUGH_FOR_MINIO = [each for each in sorted(KNOWN_SECRETS) if len(each) >= 8]
# Where each service finds its secrets, by what runs there.
READERS = {"jupyter": "jupyter", "airflow-scheduler": "steps", "mlflow": "mlflow"}


@pytest.mark.parametrize("secret", sorted(KNOWN_SECRETS))
def test_attack_no_default_logs_into_airflow_or_jupyter(stack: Stack, secret: str) -> None:
    login = {"username": "airflow", "password": secret}
    with httpx.Client(trust_env=False, timeout=30, headers={"Origin": "http://evil.example"}) as page:
        assert page.post(f"{stack.url('AIRFLOW_PORT')}/auth/token", json=login).status_code == 401
        kernels = f"{stack.url('JUPYTER_PORT')}/api/kernels"
        assert page.post(kernels, params={"token": secret}).is_client_error


@pytest.mark.parametrize("user", ["modelyard", "minioadmin", "data", "mlflow"])
def test_attack_no_default_logs_into_minio(stack: Stack, user: str) -> None:
    for secret in LONG_ENOUGH_FOR_MINIO:
        login = {"accessKey": user, "secretKey": secret}
        console = f"{stack.url('MINIO_CONSOLE_PORT')}/api/v1/login"
        assert httpx.post(console, json=login, trust_env=False, timeout=30).is_client_error
    with PoolManager() as pool:
        client = Minio(
            endpoint=f"127.0.0.1:{stack.environment['MINIO_PORT']}",
            access_key=user,
            secret_key="modelyard-data",
            secure=False,
            http_client=pool,
        )
        with pytest.raises(S3Error, match=r"InvalidAccessKeyId|SignatureDoesNotMatch"):
            list(client.list_objects(bucket_name="data"))


# An attacker does not care that a key is too short for its algorithm.
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("secret", [each for each in sorted(KNOWN_SECRETS) if len(each) > 20])
def test_attack_no_token_can_be_made_with_a_default_key_of_airflow(stack: Stack, secret: str) -> None:
    now = int(time.time())
    claims = {"sub": "airflow", "role": "ADMIN", "iat": now, "nbf": now, "exp": now + 600, "aud": "apache-airflow"}
    with httpx.Client(base_url=stack.url("AIRFLOW_PORT"), trust_env=False, timeout=30) as page:
        for algorithm in ("HS256", "HS512"):
            token = jwt.encode(claims, secret, algorithm=algorithm)
            answer = page.get("/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in {401, 403}


def test_the_logins_that_are_shown_let_a_person_in_and_stay_the_same(stack: Stack) -> None:
    shown = stack.compose("run", "--rm", "--no-TTY", "--no-deps", "secrets")
    assert stack.compose("run", "--rm", "--no-TTY", "--no-deps", "secrets") == shown
    logins = {line.split(" (")[0]: line.partition("): ")[2] for line in shown.splitlines()}
    link = logins["log into JupyterLab"]
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as browser:
        answer = browser.get(link)
        assert answer.status_code == 200
        assert "/login" not in str(answer.url)
    address = stack.url("MINIO_CONSOLE_PORT")
    user, password = logins["log into MinIO console"].split(" / ")
    login_body = {"accessKey": user, "secretKey": password}
    assert httpx.post(f"{address}/api/v1/login", json=login_body, trust_env=False, timeout=30).status_code == 204
    with stack.airflow() as client:
        assert client.get("/api/v2/dags").status_code == 200


@pytest.mark.parametrize("service", sorted(READERS))
def test_attack_code_in_one_service_finds_the_secrets_of_no_other(stack: Stack, service: str) -> None:
    own = files_by_service({name: stack.secret(name) for name in Logins.model_fields})[READERS[service]]
    listing = f"import os\nprint(*sorted(os.listdir('{SECRETS_FOLDER}')))"
    assert stack.python(service, listing).split() == sorted(own)
    environment = stack.python(service, "import os\nprint(*os.environ.values(), sep='\\n')")
    others = {stack.secret(name) for name in Logins.model_fields} - set(own.values())
    assert not [secret for secret in others if secret in environment]
