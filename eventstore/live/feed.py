"""What a project has to say so that its log can be followed: who may follow what, and what is told
of an event."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from eventstore.messages import Message


class FeedItem(NamedTuple):
    """An event as clients may see it. topics: under which it is followed. text: JSON, made once for
    all sockets."""

    position: int
    topics: Sequence[str]
    text: str


class SocketRequest(NamedTuple):
    """The opening request of a socket. headers: by name in lower case. protocols: the subprotocols
    that it offers."""

    path: str
    query: str
    headers: Mapping[str, str]
    protocols: Sequence[str]


class Follow(NamedTuple):
    """What a client follows. after: position of the last event that it has.

    restarted: whether that lies before what it said that it had, as the log has lost what it had
    seen. history: (after, until) -> pages of all that there is to tell of it between these
    positions, in order.
    """

    topic: str
    after: int
    history: Callable[[int, int], Iterator[Sequence[FeedItem]]]
    restarted: bool = False


class Admission(NamedTuple):
    """token: by which the client may follow. who: whose sockets are counted together."""

    token: str
    who: str
    followed: Follow


class CloseSocket(Exception):
    """A socket that is closed instead of served. code: 4000 + the status that HTTP would have."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Feed(NamedTuple):
    """protocol: the subprotocol that is spoken. types: the stored names that are told at all.

    admit: what a client asks for -> who may follow what; raises Refused.
    told: messages -> what clients are told of them.
    still_held: tokens -> those that are good as ever.
    no_socket: the status and headers of a request that asks for no socket -> headers and body of
    its answer.
    """

    protocol: str
    types: Sequence[str]
    admit: Callable[[SocketRequest], Admission]
    told: Callable[[Sequence[Message]], Sequence[FeedItem]]
    still_held: Callable[[Collection[str]], Collection[str]]
    no_socket: Callable[[int, Mapping[str, str]], tuple[Mapping[str, str], bytes]]
