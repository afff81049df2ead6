"""Asks Airflow's API server, as the configuration in AIRFLOW_HOME makes it, and prints the answers' statuses as JSON.

python ask_airflow.py '[["GET", "/api/v2/version", "localhost"], …]'
"""

import json
import os
import sys

os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"

from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient

client = TestClient(create_app(), raise_server_exceptions=False, follow_redirects=False)
asked = json.loads(sys.argv[1])
sys.stdout.write(
    json.dumps([client.request(method, path, headers={"Host": host}).status_code for method, path, host in asked])
)
