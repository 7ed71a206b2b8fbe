"""A travel agency on the loopback: books hotels and flights, has no cars left, and cannot cancel flights while its
airline is on strike (POST /strike-over ends that).

    python3 examples/travel_service.py 8765

It keeps to Idempotency-Key: a request that comes twice books once.
"""

import http.server
import json
import sys

booked, done, state = set(), {}, {"strike": True}
counts = {"requests": 0, "effects": 0, "repeated": 0}


def book(name):
    if name == "car":
        return 409, "no cars left"
    booked.add(name)
    counts["effects"] += 1
    return 201, "booked"


def cancel(name):
    if name == "flight" and state["strike"]:
        return 422, "the airline is on strike"
    booked.discard(name)
    counts["effects"] += 1
    return 200, "cancelled"


class Agency(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/counts":
            return self.answer(200, json.dumps({**counts, "booked": sorted(booked)}))
        there = self.path.strip("/") in booked
        self.answer(200 if there else 404, "there" if there else "not there")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/strike-over":
            state["strike"] = False
            return self.answer(200, "good")
        counts["requests"] += 1
        name, _, verb = self.path.strip("/").partition("/")
        key = (self.headers.get("Idempotency-Key"), self.path)
        if key in done:
            counts["repeated"] += 1
            return self.answer(*done[key])
        status, text = cancel(name) if verb == "cancel" else book(name)
        if status < 400:
            done[key] = (status, text)
        self.answer(status, text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agency).serve_forever()
