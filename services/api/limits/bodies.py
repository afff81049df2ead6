"""How much of the memory the bodies of requests may take, of all clients and of one, and how slowly they may come.

Nearly every body comes whole with its head and is small: nothing is asked here for it. What has to be waited for or is
long counts from its first byte until it is answered.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

from services.api.errors import BodyTimeout, BodyTooLarge, Overloaded
from services.api.limits.traffic import Traffic

# What is shorter, and whole at once, is not counted.
SMALL_BYTES = 16 * 1024
# So many of the longest bodies may be there at a time; half of that is the most for one client.
LONGEST_AT_A_TIME = 4
CLIENTS_SHARE = 2
# After some seconds, so many bytes must have come for each second since.
GRACE_SECONDS = 5.0
LEAST_BYTES_A_SECOND = 8 * 1024


class ClientLeft(Exception):
    """The client has closed its connection before it had sent the whole body."""


class Bodies:
    """What a process holds of bodies.

    Args:
        traffic: A request that waits for its body does not count as under way in it.
        longest_bytes: How long one body may be.
        most_requests: How many requests may be under way; as many may wait for their bodies beside them.
    """

    def __init__(self, traffic: Traffic, longest_bytes: int, most_requests: int) -> None:
        self._traffic = traffic
        self._most_requests = most_requests
        self._bytes = Shares("bytes of bodies are held", LONGEST_AT_A_TIME * longest_bytes)
        self._waiting = Shares("requests wait for their bodies", most_requests)

    def hold(self, client: str) -> "Held":
        """What a request of a client is about to hold."""
        return Held(self._bytes, client)

    async def rest(self, held: "Held", receive: Receive, limit: int) -> bytes:
        """The body that has begun with what is held of it.

        Raises:
            BodyTooLarge: It is longer than the limit.
            SlowBody: It comes too slowly.
            Overloaded: There is no room for it.
            ClientLeft: It never came.
        """
        started = asyncio.get_running_loop().time()
        with self._waits(held.client):
            more = True
            while more:
                try:
                    async with asyncio.timeout_at(started + GRACE_SECONDS + held.size / LEAST_BYTES_A_SECOND):
                        message = await receive()
                except TimeoutError:
                    raise BodyTimeout(f"the body comes at less than {LEAST_BYTES_A_SECOND} bytes a second") from None
                more = held.add(message, limit)
        if self._traffic.under_way > self._most_requests:
            raise Overloaded(f"{self._most_requests} requests are being answered already (API_CONCURRENCY_LIMIT)")
        return held.whole()

    @contextmanager
    def _waits(self, client: str) -> Iterator[None]:
        self._waiting.add(client, 1)
        self._traffic.under_way -= 1
        try:
            yield
        finally:
            self._traffic.under_way += 1
            self._waiting.remove(client, 1)


class Held:
    """What a request holds of its body.

    Args:
        shares: Where it is counted.
        client: Whose it is.

    Attributes:
        client: The same.
        size: How many bytes it is.
    """

    def __init__(self, shares: "Shares", client: str) -> None:
        self.client = client
        self.size = 0
        self._shares = shares
        self._chunks: list[bytes] = []

    def add(self, message: Message, limit: int) -> bool:
        """Takes what has come; returns whether there is more to come.

        Raises:
            BodyTooLarge: It is more than the limit.
            Overloaded: There is no room for it.
            ClientLeft: The client has.
        """
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        if self.size + len(chunk) > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, not more")
        self._shares.add(self.client, len(chunk))
        self.size += len(chunk)
        self._chunks.append(chunk)
        return bool(message.get("more_body", False))

    def whole(self) -> bytes:
        """All of it."""
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    def let_go(self) -> None:
        """Is called when the request is answered."""
        self._chunks.clear()
        self._shares.remove(self.client, self.size)


class Shares:
    """Counts something up to a number, of which one client may have its share.

    Args:
        what: What is counted, and what it does, as in a sentence.
        most: The number.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._total = 0
        self._of_client: Counter[str] = Counter()

    def add(self, client: str, count: int) -> None:
        """Counts some more.

        Raises:
            Overloaded: That would be too many.
        """
        share = max(self._most // CLIENTS_SHARE, 1)
        if self._total + count > self._most:
            raise Overloaded(f"{self._total} {self._what} already, and {self._most} may be")
        if self._of_client[client] + count > share:
            raise Overloaded(f"{self._of_client[client]} {self._what} of {client} already, and {share} may be")
        self._total += count
        self._of_client[client] += count

    def remove(self, client: str, count: int) -> None:
        """Counts some less."""
        self._total -= count
        self._of_client[client] -= count
        # Or there would be an entry for everybody who ever came.
        if not self._of_client[client]:
            del self._of_client[client]
