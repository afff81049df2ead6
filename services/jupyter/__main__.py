"""`python -m services.jupyter …` runs JupyterLab until it is told to stop; it takes the options of `jupyter lab`."""

import sys

from jupyterlab.labapp import LabApp
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler

from modelyard.errors import ModelyardError
from modelyard.hosts import REFUSAL, STATUS, AllowedHosts
from modelyard.settings import Settings, read_settings


class ForeignHost(Matcher):
    """Matches requests with a foreign name in the header Host.

    Args:
        hosts: What may stand there.
    """

    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """The arguments for the handler, of which there are none; None: the request is meant for this service."""
        headers = [(b"host", value.encode()) for value in request.headers.get_list("Host")]
        return None if self._hosts.allow(headers) else {}


class Refuse(RequestHandler):
    """Answers what is not meant for this service, WebSockets as well, whatever the method is."""

    def prepare(self) -> None:
        """Ends the request before its method is looked at."""
        self.set_status(STATUS.value)
        self.finish({"detail": REFUSAL})


def main() -> int:
    """Serves until it is told to stop; returns the exit code."""
    try:
        settings = read_settings()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    server = LabApp.initialize_server(argv=[*_options(settings), *sys.argv[1:]])
    refuse_foreign_hosts(server.web_app, AllowedHosts(settings.host_names))
    server.start()
    return 0


def refuse_foreign_hosts(application: Application, hosts: AllowedHosts) -> None:
    """Puts the check before everything that the application answers."""
    refusing = Application([(r".*", Refuse)])
    application.default_router.rules.insert(0, Rule(ForeignHost(hosts), refusing))


def _options(settings: Settings) -> list[str]:
    return [
        "--no-browser",
        "--allow-root",
        f"--ip={settings.bind_address}",
        f"--port={settings.jupyter_port}",
        "--ServerApp.port_retries=0",
        # Jupyter's own check knows no addresses but this machine's.
        "--ServerApp.allow_remote_access=True",
        "--LabApp.default_url=/lab/tree/notebooks",
        # Nothing is asked about news, and nobody is asked for them.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


if __name__ == "__main__":
    sys.exit(main())
