"""The services that the platform is made of: where people find each, and whether it answers the API now."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
from fastapi import APIRouter
from pydantic import BaseModel

from modelyard.settings import PlatformService
from services.api.http.routes import ServiceDep
from services.api.use_case_files import BrokenFile

# A page that somebody waits for shows them all; what takes longer is as good as away.
TIMEOUT_SECONDS = 3

router = APIRouter(tags=["service"])


class ServiceState(BaseModel):
    """A service and how it is."""

    name: str
    purpose: str
    link: str | None
    healthy: bool
    detail: str


class ServiceStates(BaseModel):
    """The services of the platform, and the files of use cases that cannot be used."""

    services: list[ServiceState]
    broken_use_cases: list[BrokenFile]


@router.get("/services")
async def services(service: ServiceDep) -> ServiceStates:
    """The platform's services with their links; one that does not answer is a state, not an error."""
    known = service.settings.platform_services | service.settings.more_services
    asked = [asyncio.to_thread(_state, name, each) for name, each in known.items()]
    broken = asyncio.to_thread(service.use_case_files.broken)
    return ServiceStates(services=await asyncio.gather(*asked), broken_use_cases=await broken)


def _state(name: str, service: PlatformService) -> ServiceState:
    trouble = trouble_of(service.health)
    return ServiceState(
        name=name, purpose=service.purpose, link=service.link, healthy=trouble is None, detail=trouble or "answers"
    )


def trouble_of(url: str) -> str | None:
    """What keeps a service from working, in a few words; None: nothing.

    Args:
        url: Answers 200 when it works. When the answer is JSON with a status for each part, each must be healthy.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, timeout=TIMEOUT_SECONDS)
    except requests.Timeout:
        return f"does not answer within {TIMEOUT_SECONDS} s"
    except requests.RequestException:
        return "does not answer"
    if answer.status_code != HTTPStatus.OK:
        return f"answers {answer.status_code}"
    return _trouble_of_parts(answer)


def _trouble_of_parts(answer: requests.Response) -> str | None:
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return None
    parts: Any = answer.json()
    unhealthy = [
        f"its {name} is {part['status']}"
        for name, part in (parts.items() if isinstance(parts, Mapping) else ())
        if isinstance(part, Mapping) and part.get("status") not in (None, "healthy")
    ]
    return "; ".join(unhealthy) or None
