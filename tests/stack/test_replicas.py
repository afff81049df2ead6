"""Several API containers behind the balancer: one door, one deployment for all, and no answer lost with one of them."""

import json
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from data.make_loan_approval import loan_records
from tests.services.load import loaded
from tests.services.prediction_log import check_kept
from tests.stack.platform_in_containers import Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

REPLICAS = 2
PROCESSES = REPLICAS + 1
CLIENTS = 6
ENOUGH = 300
BACK_SECONDS = 60


@pytest.fixture(scope="module")
def replicas(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The platform with two versions of a model, and with more containers that answer."""
    stack.wait_for_training()
    if stack.version() == 1:
        file = tmp_path_factory.mktemp("records") / "later.csv"
        loan_records(2000, seed=11, first_id=2_000_000).to_csv(file)
        stack.put_into_bucket("later.csv", file)
        stack.run_loop(source="s3://data/later.csv")
    start(stack)
    yield stack
    stack.compose("--profile", "replicas", "rm", "--stop", "--force", "balancer", "api-replica")


def start(stack: Stack) -> None:
    scale = ("--no-deps", "--scale", f"api-replica={REPLICAS}", "api-replica", "balancer")
    stack.compose("--profile", "replicas", "up", "--detach", "--wait", *scale, show=True)
    wait_until(lambda: len(answering(stack)) == PROCESSES, "all processes answer", BACK_SECONDS)


def answering(stack: Stack) -> dict[str, int]:
    """How many predictions each process has kept that the balancer leads to."""
    with httpx.Client(base_url=stack.url("API_BALANCER_PORT"), trust_env=False, timeout=30) as client:
        healths = [client.get("/health").raise_for_status().json() for _ in range(2 * PROCESSES)]
    return {health["process_id"]: health["predictions_logged"] for health in healths}


def door(stack: Stack) -> int:
    return int(stack.environment["API_BALANCER_PORT"])


def one_of(stack: Stack) -> str:
    """A replica's container."""
    return stack.compose("--profile", "replicas", "ps", "--quiet", "api-replica").split()[0]


def docker(verb: str, container: str) -> None:
    command = ["docker", verb, container]
    subprocess.run(command, check=True, capture_output=True)


def in_table(stack: Stack, since: str) -> list[str]:
    return stack.psql(
        "raw_data", f"select request_id from predictions where role = 'production' and request_id >= '{since}'"
    )


def now(stack: Stack) -> str:
    """The smallest request id from now on."""
    return stack.psql("raw_data", "select first_request_id(clock_timestamp())")[0]


def test_the_load_reaches_all_of_them(replicas: Stack) -> None:
    since = now(replicas)
    with loaded(door(replicas), CLIENTS) as load:
        load.wait_for(ENOUGH)
    assert (load.lost, load.statuses) == (0, {})
    assert min(answering(replicas).values()) > ENOUGH / PROCESSES / 4
    check_kept(in_table(replicas, since), load)


def test_a_deployment_waits_for_one_that_is_behind(replicas: Stack) -> None:
    slow = one_of(replicas)
    docker("pause", slow)
    try:
        assert replicas.run_step("rollback", "--use-case", "loan_approval").returncode == 0
        deployed = replicas.run_step(
            "deploy", "--use-case", "loan_approval", DEPLOY_TIMEOUT_SECONDS="3", API_HEARTBEAT_FRESH_SECONDS="120"
        )
    finally:
        docker("unpause", slow)
    assert deployed.returncode == 1
    assert f"on {slow[:12]} serves" in deployed.stderr
    deployed = replicas.run_step("deploy", "--use-case", "loan_approval")
    assert json.loads(deployed.stdout)["processes"] == PROCESSES


def test_one_that_is_killed_takes_no_answer_with_it_and_holds_up_no_deployment(replicas: Stack) -> None:
    since = now(replicas)
    with loaded(door(replicas), CLIENTS) as load, loaded(door(replicas), CLIENTS, with_keys=True) as with_keys:
        load.wait_for(ENOUGH)
        docker("kill", one_of(replicas))
        load.wait_for(ENOUGH)
        with_keys.wait_for(ENOUGH)
    assert load.lost + sum(load.statuses.values()) <= CLIENTS
    assert set(load.statuses) <= {502}
    # What can be sent again without being kept twice was, by the balancer or, where its connection ended, the client.
    assert (with_keys.lost, with_keys.statuses) == (0, {})
    kept = in_table(replicas, since)
    load.request_ids += with_keys.request_ids
    check_kept(kept, load, killed=2 * CLIENTS)
    put_into_production(replicas, 2 if replicas.version() == 1 else 1)
    deployed = replicas.run_step("deploy", "--use-case", "loan_approval")
    assert json.loads(deployed.stdout)["processes"] == PROCESSES - 1
    start(replicas)


def put_into_production(stack: Stack, version: int) -> None:
    """As `promote` does, without a gate."""
    alias = {"name": "loan_approval", "alias": "production", "version": str(version)}
    url = f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/registered-models/alias"
    httpx.post(url, json=alias, trust_env=False, timeout=30).raise_for_status()


def test_one_that_is_killed_while_the_database_says_nothing_leaves_its_rows_to_the_others(replicas: Stack) -> None:
    since = now(replicas)
    with loaded(door(replicas), CLIENTS) as load:
        load.wait_for(ENOUGH)
        replicas.compose("pause", "postgres")
        try:
            load.wait_for(ENOUGH)
            # The balancer's probes, too, have noticed by now.
            time.sleep(5)
            load.wait_for(ENOUGH)
            docker("kill", one_of(replicas))
            load.wait_for(ENOUGH)
        finally:
            replicas.compose("unpause", "postgres")
        load.wait_for(ENOUGH)
    assert load.lost + sum(load.statuses.values()) <= CLIENTS
    wait_until(lambda: set(load.request_ids) <= set(in_table(replicas, since)), "all rows are kept", BACK_SECONDS)
    check_kept(in_table(replicas, since), load, killed=CLIENTS)


def test_when_none_can_answer_the_balancer_says_so(replicas: Stack) -> None:
    replicas.compose("--profile", "replicas", "stop", "--timeout", "5", "api", "api-replica")
    try:
        answer = httpx.get(f"{replicas.url('API_BALANCER_PORT')}/ready", trust_env=False, timeout=30)
    finally:
        replicas.compose("up", "--detach", "--wait", "--no-deps", "api")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"detail": "no API process is ready to answer"}
