"""What can be asked of the service beside predictions: whether it runs, whether it can answer, and what it serves."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel
from starlette.routing import Route

from modelyard.contract import Contract, Feature, FeatureType, Label, Limits, Reliability, TaskKind, Value
from services.api import metrics
from services.api.http.openapi import json_content
from services.api.models.served import SelfTest, ServedVersion, UseCaseState
from services.api.models.shadow import Challenger
from services.api.service import Service

NOT_READY: dict[str, Any] = {"description": "They cannot; `detail` says why.", "content": json_content("Error")}

# Of a category that can be any text, a form offers so many that the model knows.
MOST_KNOWN = 200

router = APIRouter(tags=["service"])


def get_service(request: Request) -> Service:
    """The parts of the running process."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Status(BaseModel):
    """A word for programs."""

    status: Literal["live", "ready"]


class ShadowHealth(BaseModel):
    """What this process does with the challenger of a use case."""

    model_version: int
    asked: bool
    detail: str


class UseCaseHealth(BaseModel):
    """What this process does for a use case."""

    model_version: int | None
    target_version: int | None
    self_test: SelfTest | None
    detail: str
    shadow: ShadowHealth | None

    @classmethod
    def of(cls, state: UseCaseState, challenger: Challenger | None) -> "UseCaseHealth":
        """As its state says it, and its challenger's."""
        shadow = None
        if challenger:
            shadow = ShadowHealth(model_version=challenger.version, asked=challenger.is_asked, detail=challenger.detail)
        return cls(
            model_version=state.version,
            target_version=state.target_version,
            self_test=state.self_test,
            detail=state.detail,
            shadow=shadow,
        )


class SpoolHealth(BaseModel):
    """What the disk holds for the database, as far as this process has it."""

    rows: int
    refused: int
    full: bool


class Health(BaseModel):
    """How this process is."""

    ready: bool
    database: str
    spool: SpoolHealth
    registry: str
    use_cases: dict[str, UseCaseHealth]
    predictions_logged: int
    process_id: UUID
    started_at: datetime


class FeatureInfo(BaseModel):
    """What a form needs to know of a field."""

    name: str
    title: str
    type: FeatureType
    unit: str
    help: str
    nullable: bool
    valid: Limits
    seen: Limits
    categories: tuple[str, ...]
    known: tuple[str, ...]

    @classmethod
    def of(cls, feature: Feature) -> "FeatureInfo":
        """As a contract says it; of what the training part held, the range and the commonest texts alone."""
        seen = feature.seen
        shares = seen.shares if seen else {}
        return cls(
            title=feature.label,
            seen=Limits(minimum=seen.minimum, maximum=seen.maximum) if seen else Limits(),
            known=tuple(sorted(shares, key=lambda text: -shares[text])[:MOST_KNOWN]),
            **feature.model_dump(include={"name", "type", "unit", "help", "nullable", "valid", "categories"}),
        )


class TargetInfo(BaseModel):
    """What is predicted."""

    name: str
    title: str
    unit: str
    classes: tuple[Label, ...]
    class_titles: tuple[str, ...]


class UseCaseInfo(BaseModel):
    """What a form needs to know of a use case."""

    title: str
    description: str
    kind: TaskKind
    model_version: int
    loaded_at: datetime
    key: str | None
    features: list[FeatureInfo]
    target: TargetInfo
    threshold: float | None
    coverage: float | None
    reliability: Reliability | None
    example: dict[str, Value]

    @classmethod
    def of(cls, served: ServedVersion) -> "UseCaseInfo":
        """As the contract of the version that answers says it."""
        contract: Contract = served.contract
        return cls(
            model_version=served.version,
            loaded_at=served.loaded_at,
            features=[FeatureInfo.of(feature) for feature in contract.features],
            target=TargetInfo(**contract.target.model_dump(exclude={"aliases"})),
            threshold=contract.threshold if len(contract.target.classes) == 2 else None,
            coverage=contract.interval.coverage if contract.interval else None,
            reliability=contract.reliability,
            **contract.model_dump(include={"title", "description", "kind", "key", "example"}),
        )


class Info(BaseModel):
    """What is served."""

    default_use_case: str
    use_cases: dict[str, UseCaseInfo]


@router.get("/live")
async def live() -> Status:
    """The process runs."""
    return Status(status="live")


@router.get("/ready", responses={503: NOT_READY})
async def ready(service: ServiceDep) -> Status:
    """Predictions can be answered: a proven model is there, and the database or the disk keeps what it says."""
    await service.check_ready()
    return Status(status="ready")


@router.get("/health", responses={503: {"model": Health, "description": "Predictions cannot be answered."}})
async def health(service: ServiceDep, response: Response) -> Health:
    """A summary for people and monitors."""
    readiness = await service.readiness()
    response.status_code = 503 if readiness.reasons else 200
    return Health(
        ready=not readiness.reasons,
        database=readiness.database,
        spool=SpoolHealth(rows=service.drain.rows, refused=service.drain.refused, full=service.drain.is_full),
        registry=service.watch.registry,
        use_cases={
            state.use_case: UseCaseHealth.of(state, service.shadows.challenger(state.use_case))
            for state in service.models.states()
        },
        predictions_logged=service.log.kept,
        process_id=service.heartbeat.process_id,
        started_at=service.heartbeat.started_at,
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def numbers(service: ServiceDep) -> Response:
    """Numbers for Prometheus."""
    service.observe()
    text, kind = metrics.exposition()
    return Response(text, media_type=kind)


@router.get("/info")
async def info(service: ServiceDep) -> Info:
    """The use cases that are served, and all that is needed to draw a form for each."""
    served = service.models.served()
    return Info(
        default_use_case=service.models.default_use_case,
        use_cases={use_case: UseCaseInfo.of(version) for use_case, version in served.items()},
    )


async def _by_post(_: Request) -> Response:
    raise AssertionError("predictions are answered before any route is looked for")


def add_routes(app: FastAPI) -> None:
    """Adds everything that can be asked beside predictions."""
    # Predictions do not come so far; whoever asks for one in another way than by POST does.
    paths = ("/predict/{path:path}", "/predict")
    app.router.routes[:0] = [Route(path, _by_post, methods=["POST"], include_in_schema=False) for path in paths]
    app.include_router(router)
