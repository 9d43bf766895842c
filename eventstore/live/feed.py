"""What a project defines so that clients can follow its log: who may follow what, and what they see
of each event."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from eventstore.messages import Message


class FeedItem(NamedTuple):
    """An event as clients see it. topics: the followers of these get it. text: JSON, serialized
    once
    for all sockets."""

    position: int
    topics: Sequence[str]
    text: str


class SocketRequest(NamedTuple):
    """The opening handshake of a socket. headers: by name in lower case. protocols: the offered
    subprotocols."""

    path: str
    query: str
    headers: Mapping[str, str]
    protocols: Sequence[str]


class Follow(NamedTuple):
    """What a client follows. after: position of the last event that it has.

    restarted: whether after is below the position that the client named, because the log has lost
    events that the client has seen. history: (after, until) -> pages of the topic's items between
    these positions, in order.
    """

    topic: str
    after: int
    history: Callable[[int, int], Iterator[Sequence[FeedItem]]]
    restarted: bool = False


class Admission(NamedTuple):
    """token: the token that permits this. who: the user, whose sockets are limited in number."""

    token: str
    who: str
    followed: Follow


class Holding(NamedTuple):
    """What permits a socket: a token, for a topic."""

    token: str
    topic: str


class CloseSocket(Exception):
    """The socket is closed. code: 4000 + the HTTP status code, or a code of RFC 6455."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Feed(NamedTuple):
    """protocol: the subprotocol. types: the stored names of the events that clients may see.

    admit: who may follow what; raises CloseSocket.
    items: messages -> what clients see of them.
    still_held: tokens with the topics that they follow -> those that may still follow them.
    no_socket: the status and the headers of a request that is no WebSocket handshake -> the headers
    and the body of its response.
    """

    protocol: str
    types: Sequence[str]
    admit: Callable[[SocketRequest], Admission]
    items: Callable[[Sequence[Message]], Sequence[FeedItem]]
    still_held: Callable[[Collection["Holding"]], Collection["Holding"]]
    no_socket: Callable[[int, Mapping[str, str]], tuple[Mapping[str, str], bytes]]
