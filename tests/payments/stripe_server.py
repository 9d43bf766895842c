"""The part of Stripe's API that we use, over real HTTP, with a book of its own.

usage: python -m tests.payments.stripe_server BOOK.sqlite [--port N] [--hold SECONDS] [--forgetful]

It prints its address. Cards behave as with the sandbox gateway (payments/gateway/sandbox.py), and:

    tok_processing       pending until the book says status = 'succeeded'
    tok_wrong_amount, tok_wrong_currency, tok_wrong_order   charged, with a wrong answer
    tok_html, tok_redirect, tok_huge, tok_list, tok_500     not charged, with an unusable answer
    tok_500_but_charged  charged, and the answer is a 500
    tok_missing          no such card

--hold: seconds until a call without an answer ends.
--forgetful: forget idempotency keys at once, as Stripe does after a day.
"""

import json
import sqlite3
import sys
import threading
import time
from argparse import ArgumentParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SCHEMA = """
    CREATE TABLE IF NOT EXISTS intent (
        id TEXT PRIMARY KEY, key TEXT, order_id TEXT, amount INTEGER, currency TEXT, method TEXT,
            status TEXT,
        decline TEXT
    );
    CREATE TABLE IF NOT EXISTS refund (
        id TEXT PRIMARY KEY, key TEXT, order_id TEXT, intent TEXT, amount INTEGER, currency TEXT
    );
    CREATE TABLE IF NOT EXISTS remembered (key TEXT PRIMARY KEY, body TEXT, status INTEGER,
        answer TEXT);
    CREATE TABLE IF NOT EXISTS tries (key TEXT PRIMARY KEY, count INTEGER);
"""
DECLINES = {"tok_declined": "generic_decline", "tok_insufficient_funds": "insufficient_funds"}
BROKEN = ("tok_html", "tok_redirect", "tok_huge", "tok_list", "tok_500")


class Refused(Exception):
    def __init__(self, status, code, **more):
        super().__init__(code)
        self.status, self.error = (
            status,
            {"type": "invalid_request_error", "code": code, "message": code} | more,
        )


class Hold(Exception):
    """No answer until the hold ends."""


class Broken(Exception):
    """An unusable answer; the argument says which."""


class Bank:
    """The book and its operations. Every answer is a dict in the form of Stripe's API."""

    def __init__(self, path, *, forgetful=False):
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)
        self.lock, self.forgetful = threading.Lock(), forgetful

    def create_intent(self, form, key):
        method = form.get("payment_method_data[card][token]") or form["payment_method"]
        tries = self._try(key)
        if method in BROKEN:
            raise Broken(method)
        if method == "tok_missing":
            raise Refused(400, "resource_missing", param="payment_method")
        if method == "tok_timeout" or (method == "tok_timeout_once" and tries == 1):
            raise Hold
        status = "processing" if method == "tok_processing" else "succeeded"
        found = self._insert_intent(
            form, method, "requires_payment_method" if method in DECLINES else status
        )
        if method in DECLINES:
            raise Refused(402, "card_declined", type="card_error", decline_code=DECLINES[method])
        if method == "tok_charged_but_timeout":
            raise Hold
        if method == "tok_500_but_charged":
            raise Broken("tok_500")
        return self._told_wrongly(found, method)

    def intent(self, id_):
        row = self.db.execute("SELECT * FROM intent WHERE id = ?", [id_]).fetchone()
        if row is None:
            raise Refused(404, "resource_missing")
        return _intent(row)

    def charges(self, query):
        if "transfer_group" not in query:
            return self.all_charges(query)
        rows = self.db.execute("SELECT * FROM intent WHERE order_id = ?", [query["transfer_group"]])
        return {
            "object": "list",
            "has_more": False,
            "url": "/v1/charges",
            "data": [_charge(row) for row in rows],
        }

    def all_charges(self, query):
        """The newest first, in pages of two. Every charge counts as made today."""
        rows = list(self.db.execute("SELECT * FROM intent ORDER BY rowid DESC"))
        charges = [_charge(row) for row in rows if int(query["created[gte]"]) <= time.time()]
        start = (
            [each["id"] for each in charges].index(query["starting_after"]) + 1
            if "starting_after" in query
            else 0
        )
        page = charges[start : start + 2]
        more = len(charges) > start + 2
        return {"object": "list", "has_more": more, "url": "/v1/charges", "data": page}

    def refunds(self, query):
        rows = self.db.execute("SELECT * FROM refund WHERE intent = ?", [query["payment_intent"]])
        return {
            "object": "list",
            "has_more": False,
            "url": "/v1/refunds",
            "data": [_refund(row) for row in rows],
        }

    def create_refund(self, form, key):
        tries = self._try(key)
        row = self.db.execute(
            "SELECT * FROM intent WHERE id = ?", [form["payment_intent"]]
        ).fetchone()
        if row["method"] == "tok_refund_timeout_once" and tries == 1:
            raise Hold
        (back,) = self.db.execute(
            "SELECT coalesce(sum(amount), 0) FROM refund WHERE intent = ?", [row["id"]]
        ).fetchone()
        if int(form["amount"]) > row["amount"] - back:
            raise Refused(
                400, "charge_already_refunded" if back == row["amount"] else "amount_too_large"
            )
        (count,) = self.db.execute("SELECT count(*) FROM refund").fetchone()
        values = [
            f"re_{count + 1}",
            form["metadata[key]"],
            row["order_id"],
            row["id"],
            int(form["amount"]),
        ]
        self.db.execute("INSERT INTO refund VALUES (?, ?, ?, ?, ?, ?)", [*values, row["currency"]])
        if row["method"] == "tok_refunded_but_timeout":
            raise Hold
        return _refund(self.db.execute("SELECT * FROM refund WHERE id = ?", [values[0]]).fetchone())

    def remembered(self, key, body, answer):
        """Stripe's idempotency: a repeat under a key gets the first answer; another body is
        refused."""
        known = self.db.execute("SELECT * FROM remembered WHERE key = ?", [key]).fetchone()
        if known and not self.forgetful:
            if known["body"] != body:
                raise Refused(400, "idempotency_key_reused", type="idempotency_error")
            return known["status"], json.loads(known["answer"])
        try:
            status, answered = 200, answer()
        except Refused as error:
            status, answered = error.status, {"error": error.error}
        self.db.execute(
            "INSERT OR REPLACE INTO remembered VALUES (?, ?, ?, ?)",
            [key, body, status, json.dumps(answered)],
        )
        return status, answered

    def _try(self, key):
        self.db.execute(
            "INSERT INTO tries VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1",
            [key],
        )
        return self.db.execute("SELECT count FROM tries WHERE key = ?", [key]).fetchone()[0]

    def _insert_intent(self, form, method, status):
        """A call without an answer stores no answer under its key, and is still not done twice,
        unless keys are forgotten."""
        key = form["metadata[key]"]
        known = self.db.execute("SELECT * FROM intent WHERE key = ?", [key]).fetchone()
        if known and not self.forgetful:
            return _intent(known)
        (count,) = self.db.execute("SELECT count(*) FROM intent").fetchone()
        values = [
            f"pi_{count + 1}",
            key,
            form["metadata[order_id]"],
            int(form["amount"]),
            form["currency"],
            method,
        ]
        self.db.execute(
            "INSERT INTO intent VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [*values, status, DECLINES.get(method)],
        )
        return self.intent(values[0])

    def _told_wrongly(self, found, method):
        wrongly = {
            "tok_wrong_amount": {"amount_received": found["amount"] + 1},
            "tok_wrong_currency": {"currency": "xts"},
            "tok_wrong_order": {"metadata": {"key": "another", "order_id": "another"}},
        }
        return found | wrongly.get(method, {})


def _intent(row):
    return {
        "id": row["id"],
        "object": "payment_intent",
        "amount": row["amount"],
        "amount_received": row["amount"] if row["status"] == "succeeded" else 0,
        "currency": row["currency"],
        "status": row["status"],
        "metadata": {"key": row["key"], "order_id": row["order_id"]},
        "transfer_group": row["order_id"],
        "last_payment_error": (
            {"code": "card_declined", "decline_code": row["decline"]} if row["decline"] else None
        ),
    }


def _charge(row):
    status = {"succeeded": "succeeded", "processing": "pending"}.get(row["status"], "failed")
    intent = _intent(row)
    shared = {name: intent[name] for name in ("amount", "currency", "metadata", "transfer_group")}
    return shared | {
        "id": f"ch_{row['id']}",
        "object": "charge",
        "payment_intent": row["id"],
        "status": status,
    }


def _refund(row):
    return {
        "id": row["id"],
        "object": "refund",
        "amount": row["amount"],
        "currency": row["currency"],
        "payment_intent": row["intent"],
        "status": "succeeded",
        "metadata": {"key": row["key"], "order_id": row["order_id"]},
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(path.query).items()}
        if path.path == "/v1/charges":
            self._answer(lambda bank: (200, bank.charges(query)))
        elif path.path == "/v1/refunds":
            self._answer(lambda bank: (200, bank.refunds(query)))
        else:
            self._answer(lambda bank: (200, bank.intent(path.path.rpartition("/")[2])))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form, key = (
            {name: values[0] for name, values in parse_qs(body).items()},
            self.headers["Idempotency-Key"],
        )
        does = {"/v1/payment_intents": Bank.create_intent, "/v1/refunds": Bank.create_refund}[
            self.path
        ]
        self._answer(lambda bank: bank.remembered(key, body, lambda: does(bank, form, key)))

    def _answer(self, ask):
        try:
            with self.server.bank.lock:
                status, answered = ask(self.server.bank)
        except Refused as error:
            status, answered = error.status, {"error": error.error}
        except Hold:
            time.sleep(self.server.hold)
            self.close_connection = True
            return
        except Broken as broken:
            self._break(str(broken))
            return
        self._send(status, json.dumps(answered).encode())

    def _break(self, how):
        match how:
            case "tok_html":
                self._send(200, b"<html><body>Under construction</body></html>", kind="text/html")
            case "tok_redirect":
                self._send(307, b"", location="/v1/payment_intents/elsewhere")
            case "tok_huge":
                self._send(200, b'{"status": "succeeded", "x": "' + b"x" * 10_000_000 + b'"}')
            case "tok_list":
                self._send(200, b'["succeeded"]')
            case "tok_500":
                self._send(500, b'{"error": {"type": "api_error", "message": "sk_test_secret"}}')

    def _send(self, status, body, *, kind="application/json", location=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bank, *, port=0, hold=30.0):
        super().__init__(("127.0.0.1", port), Handler)
        self.bank, self.hold = bank, hold


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("book")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hold", type=float, default=30.0)
    parser.add_argument("--forgetful", action="store_true")
    given = parser.parse_args()
    server = Server(Bank(given.book, forgetful=given.forgetful), port=given.port, hold=given.hold)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
