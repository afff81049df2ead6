"""A step in a container of its own."""

from collections.abc import Sequence
from typing import Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from docker.types import Mount

from dags.step_outcome import check_exit_code, tell_who_waits
from modelyard.errors import BadInput
from modelyard.settings import Settings, read_settings, step_environment

# By it `make down` finds the containers of a scheduler that was killed.
LABEL = "org.modelyard.step"


class StepContainer(DockerOperator):
    """Runs a step in a container of the steps' image, on the network of the platform.

    Nothing comes back but the exit code and what the step says: results are in the step-results table.

    Attributes:
        command: What follows `modelyard` on the command line; templates.
        extra: The extra of the package that the step needs the libraries of.
    """

    template_fields = ("command",)

    def __init__(self, *, settings: Settings, arguments: Sequence[str], extra: str | None = None, **task: Any) -> None:
        """Describes the container.

        Args:
            settings: Image, network, volume of use cases, and where the engine answers.
            arguments: What follows `modelyard` on the command line; templates.
            extra: The extra of the package that the step needs the libraries of.
            task: What every operator takes.

        Raises:
            BadInput: One of those settings is missing; the message names them.
        """
        super().__init__(
            image=image_with(_needed(settings, "step_image"), extra),
            command=list(arguments),
            docker_url=_needed(settings, "step_engine_url"),
            network_mode=_needed(settings, "step_network"),
            mounts=_mounts(settings),
            mount_tmp_dir=False,
            # Removed here, after its exit code was asked for.
            auto_remove="never",
            do_xcom_push=False,
            labels={LABEL: task["task_id"]},
            **task,
        )
        self.extra = extra

    def execute(self, context: Context) -> None:
        """Runs the step to its end and tells those who wait for its asset."""
        # Set here and not before: what an operator is made with can be seen in Airflow.
        self._private_environment = step_environment(read_settings())
        self.command = [argument for argument in self.command or () if argument]
        self._check_image()
        try:
            super().execute(context)
        except DockerContainerFailedException as error:
            exit_code = self.cli.wait(self.container["Id"])["StatusCode"]
            check_exit_code(exit_code, str(error.logs[-1]) if error.logs else "")
        finally:
            self._remove()
        tell_who_waits(self, context)

    def _check_image(self) -> None:
        # It would be pulled otherwise, which the engine's proxy refuses.
        if not self.cli.images(name=self.image):
            verb = f"images-{self.extra}" if self.extra else "images"
            raise AirflowFailException(f"the engine has no image {self.image}: run `make {verb}`, or pull it")

    def on_kill(self) -> None:
        """Ends the container when its task is ended from outside."""
        super().on_kill()
        self._remove()

    def _remove(self) -> None:
        if self.container:
            self.cli.remove_container(self.container["Id"], force=True)
            self.container = None  # type: ignore[assignment]


def image_with(image: str, extra: str | None) -> str:
    """The image that has an extra's libraries, too: of `modelyard-steps:1` it is `modelyard-steps-extra:1`."""
    if extra is None:
        return image
    name, colon, tag = image.rpartition(":")
    # A colon before a slash is that of a registry's port.
    return f"{name}-{extra}{colon}{tag}" if colon and "/" not in tag else f"{image}-{extra}"


def _needed(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if not value:
        raise BadInput(f"STEP_RUNNER=docker needs {name.upper()}, too")
    return str(value)


def _mounts(settings: Settings) -> list[Mount]:
    if not (settings.step_use_cases_volume and settings.use_cases_path):
        return []
    where = settings.use_cases_path.as_posix()
    return [Mount(target=where, source=settings.step_use_cases_volume, type="volume", read_only=True)]
