"""Files on the web for somebody who is not trusted with this network: only URLs and addresses that were allowed.

What counts is where a connection really goes. So each request is checked, also one that a redirect leads to, and each
address that a name stands for, as it is connected to. There is no proxy in between, whatever the environment says.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from posixpath import normpath
from socket import AddressFamily
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from fsspec import AbstractFileSystem
from fsspec.implementations.http import HTTPFileSystem
from yarl import URL

from modelyard.errors import BadInput

# A server that sends a little now and then would keep a step busy for ever.
TIMEOUT = aiohttp.ClientTimeout(total=60 * 60, sock_connect=30, sock_read=60)
# Addresses in which a translator finds one of IPv4.
TRANSLATED = IPv6Network("64:ff9b::/96")


class WebRules:
    """Which URLs may be asked for.

    A rule is a URL. One without a host, such as `https://`, allows all that has a public address. One with a host
    allows what lies below it, wherever that is; of a host that is named, nothing else is allowed.

    Args:
        rules: The URLs.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self._rules = [URL(rule) for rule in rules]
        self._hosts = {rule.raw_host for rule in self._rules if rule.raw_host}

    def check(self, url: URL) -> None:
        """Checks a URL.

        Raises:
            BadInput: It is not allowed.
        """
        host = url.raw_host if url.raw_host in self._hosts else None
        if url.user is not None or not any(_covers(rule, url) for rule in self._rules if rule.raw_host == host):
            raise BadInput(f"{_shown(url)} is not among the sources that a run may choose (SOURCES_ALLOWED)")
        if _is_address(url.raw_host or ""):
            self.check_address(url.raw_host or "", url.raw_host or "")

    def check_address(self, host: str, address: str) -> None:
        """Checks what a host's name stands for.

        Raises:
            BadInput: It leads into a network that is not public, and nobody named the host.
        """
        if host not in self._hosts and not is_public(address):
            raise BadInput(f"{host} is in no public network: a run may choose it only if SOURCES_ALLOWED names it")


class _Resolver(aiohttp.ThreadedResolver):
    def __init__(self, rules: WebRules) -> None:
        super().__init__()
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for each in found:
            self._rules.check_address(host, each["host"])
        return found


def web_files(rules: WebRules) -> AbstractFileSystem:
    """A file system of what rules allow on the web.

    Args:
        rules: The rules.
    """

    async def check(request: aiohttp.ClientRequest, go_on: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        rules.check(request.url)
        return await go_on(request)

    async def get_client(**_: Any) -> aiohttp.ClientSession:
        resolver: AbstractResolver = _Resolver(rules)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver), middlewares=[check], timeout=TIMEOUT
        )

    # Blocks of no size: what comes is read as it comes. A server may answer a request for a block with any amount.
    return HTTPFileSystem(get_client=get_client, block_size=0, skip_instance_cache=True)


def is_public(address: str) -> bool:
    """Whether an address can be reached from everywhere; what is no address cannot."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    inner = _embedded(found) if isinstance(found, IPv6Address) else None
    return (inner or found).is_global and not (inner or found).is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_address(host: str) -> bool:
    """Whether no name is looked up for it. `2130706433` is such an address, too."""
    return ":" in host or host.replace(".", "").isdigit()


def _covers(rule: URL, url: URL) -> bool:
    if rule.scheme != url.scheme:
        return False
    if rule.raw_host is None:
        return True
    # As the server may take it, with what is encoded in it.
    path, folder = normpath(url.path), normpath(rule.path)
    return rule.port == url.port and (path == folder or path.startswith(f"{folder.rstrip('/')}/"))


def _shown(url: URL) -> URL:
    return url.with_user(None) if url.user is not None else url
