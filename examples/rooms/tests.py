"""manage.py test: decisions without a database, and the whole way through HTTP, Celery, the admin
and a WebSocket."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from socket import socket
from threading import Thread
from typing import Any

from celery.contrib.testing.worker import start_worker
from django.contrib.auth.models import User
from django.test import SimpleTestCase
from django.utils import timezone
from rest_framework.authtoken.models import Token
from websockets.sync.client import connect

from eventstore.commands.bus import dispatch
from eventstore.live.server import Sockets
from eventstore.messages import DeadlinePassed
from eventstore.testing import JourneyTestCase, drain, given, react

from .celery import app
from .commands import AddRoom, BookRoom, CancelBooking
from .events import BookingCancelled, RoomAdded, RoomBooked
from .live import FEED
from .models import Booking
from .process import OPENING
from .room import ROOM, EndsBeforeItStarts, NoSuchRoom, RoomTaken

NINE = datetime(2026, 12, 1, 9, tzinfo=timezone.get_default_timezone())
TEN = NINE + timedelta(hours=1)
ADDED, BOOKED = RoomAdded("r1", "Kiln"), RoomBooked("r1", "b1", "ada", NINE, TEN)


class RoomTests(SimpleTestCase):
    def test_a_room_is_booked_by_one_person_at_a_time(self) -> None:
        again = BookRoom("r1", "b2", "bob", NINE + timedelta(minutes=30), TEN + timedelta(hours=1))
        given(ROOM, ADDED, BOOKED).when(again).refused(RoomTaken)
        given(ROOM, ADDED, BOOKED, BookingCancelled("r1", "b1")).when(again).then(
            RoomBooked("r1", "b2", "bob", again.starts_at, again.ends_at)
        )

    def test_a_room_that_does_not_exist_is_not_booked(self) -> None:
        given(ROOM).when(BookRoom("r1", "b1", "ada", NINE, TEN)).refused(NoSuchRoom)

    def test_a_booking_ends_after_it_starts(self) -> None:
        given(ROOM, ADDED).when(BookRoom("r1", "b1", "ada", TEN, NINE)).refused(EndsBeforeItStarts)

    def test_a_booking_without_a_code_is_cancelled(self) -> None:
        reaction = react(OPENING, BOOKED, DeadlinePassed("b1", TEN, 1))
        self.assertEqual(list(reaction.commands), [CancelBooking("r1", "b1")])


class JourneyTests(JourneyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.user = User.objects.create_superuser("ada")
        self.token = Token.objects.create(user=self.user).key
        self.headers = {"Authorization": f"Token {self.token}"}
        dispatch(AddRoom("r1", "Kiln"))

    def book(self, **headers: str) -> Any:
        return self.client.post(
            "/api/rooms/book/",
            {"room_id": "r1", "starts_at": NINE.isoformat(), "ends_at": TEN.isoformat()},
            content_type="application/json",
            headers=self.headers | headers,
        )

    def get(self, address: str) -> Any:
        return self.client.get(address, headers=self.headers)

    def test_a_room_is_booked_and_cancelled_through_the_api(self) -> None:
        booked = self.book()
        self.assertEqual(booked.status_code, 202, booked.content)
        drain()
        row = self.get(booked["Location"]).json()
        self.assertEqual((row["status"], len(row["code"])), ("OPEN", 4))
        self.assertEqual(len(self.get("/api/bookings/").json()["data"]), 1)

        address = f"/api/rooms/r1/bookings/{row['booking_id']}/cancel/"
        self.client.post(address, {}, content_type="application/json", headers=self.headers)
        drain()
        self.assertEqual(self.get(booked["Location"]).json()["status"], "CANCELLED")

    def test_a_rejected_command_is_a_problem(self) -> None:
        self.book()
        taken = self.book()
        self.assertEqual(
            (taken.status_code, taken["Content-Type"]), (409, "application/problem+json")
        )
        self.assertEqual(taken.json()["code"], "RoomTaken")
        stale = self.client.post(
            "/api/rooms/r1/bookings/b1/cancel/",
            {},
            content_type="application/json",
            headers=self.headers | {"If-Match": '"7.1"'},
        )
        self.assertEqual((stale.status_code, stale.json()["code"]), (412, "Stale"))

    def test_a_deferred_command_has_an_address_of_this_project(self) -> None:
        deferred = self.book(Prefer="respond-async")
        self.assertTrue(deferred["Location"].startswith("/api/commands/"), deferred["Location"])
        self.assertEqual(self.get(deferred["Location"]).json()["status"], "PENDING")
        drain()
        self.assertEqual(self.get(deferred["Location"]).json()["status"], "SUCCEEDED")

    def test_the_admin_shows_bookings_and_the_console(self) -> None:
        self.book()
        drain()
        self.client.force_login(self.user)
        booking = Booking._default_manager.get()
        for address in (
            "/admin/rooms/booking/",
            f"/admin/rooms/booking/{booking.pk}/change/",
            "/admin/eventstore/event/",
            "/admin/eventstore/subscription/",
        ):
            self.assertContains(self.client.get(address), "rooms")

    def test_a_celery_worker_is_woken_up(self) -> None:
        with start_worker(app, pool="solo", perform_ping_check=False):
            self.book()
            self.until(lambda: Booking._default_manager.filter(status="OPEN").exists())

    def test_a_socket_follows_a_room(self) -> None:
        dispatch(BookRoom("r1", "b1", "ada", NINE, TEN))
        with serving() as port:
            address = f"ws://127.0.0.1:{port}/ws/rooms/r1/"
            with connect(address, additional_headers=self.headers) as found:
                self.assertEqual(json.loads(found.recv(10))["booking_id"], "b1")
                self.assertIn("caught_up", json.loads(found.recv(10)))
                dispatch(CancelBooking("r1", "b1"))
                self.assertEqual(json.loads(found.recv(10))["type"], "rooms.booking_cancelled")
            with connect(address) as refused, self.assertRaisesRegex(Exception, "4401"):
                refused.recv(10)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, "not in time")
            time.sleep(0.05)


@contextmanager
def serving() -> Iterator[int]:
    """The socket server, in a thread of its own."""
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    loop = asyncio.new_event_loop()
    # Signals reach the main thread only.
    loop.add_signal_handler = lambda *_: None  # type: ignore[method-assign]
    sockets = Sockets(FEED)
    thread = Thread(target=lambda: loop.run_until_complete(_served(sockets, port)), daemon=True)
    thread.start()
    time.sleep(0.5)
    yield port


async def _served(sockets: Sockets, port: int) -> None:
    await sockets.serve("127.0.0.1", port)
