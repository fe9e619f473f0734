# SPDX-License-Identifier: Apache-2.0
"""A small web server with faults, for tests: ranges, redirects, and what servers and networks do wrong."""

import email.utils
import hashlib
import http.server
import re
import socket
import ssl
import struct
import threading
import time


class Server:
    """Serves `files` (name → bytes) at self.url. Counts what was asked for: self.log has (name, first, last, status) of
    each answer with a body, in the order they began. A URL's first folder may name a fault: /503/a.csv fails twice, then
    works; see Handler.do_GET."""

    def __init__(self, files, certificate=None):
        self.files = dict(files)
        self.log = []
        self.seen = {}
        self.lock = threading.Lock()
        self.version = 0
        self.in_flight = 0
        self.most_in_flight = 0
        handler = type("Bound", (Handler,), {"server_state": self})
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None  # clients give up connections
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def tag(self, name):
        return '"' + hashlib.md5(self.files[name] + str(self.version).encode()).hexdigest() + '"'

    def count(self, key):
        with self.lock:
            self.seen[key] = self.seen.get(key, 0) + 1
            return self.seen[key]

    def bytes_sent(self, name):
        return sum(last + 1 - first for path, first, last, status in self.log if path == name and last > first)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state = None
    timeout = 30

    def log_message(self, *_):
        pass

    def fail(self, status, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reset(self):
        """A connection that is torn down, not closed."""
        self.wfile.flush()
        raw = self.connection
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        self.close_connection = True

    def do_HEAD(self):
        self.fail(405)

    def do_GET(self):
        state = self.server_state
        path, _, query = self.path.partition("?")
        parts = path.strip("/").split("/")
        fault, name = (parts[0], parts[-1]) if len(parts) > 1 else ("", parts[-1])
        if fault == "token" and query != "signature=hidden":
            return self.fail(403)
        if name not in state.files:
            return self.fail(404)
        data = state.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), len(data) - 1)) if asked else (0, len(data) - 1)
        probing = asked and int(asked[2]) == 0
        if fault == "redirect":
            return self.fail(302, ("Location", f"/{name}"))
        if fault == "loop":
            return self.fail(302, ("Location", self.path))
        if fault == "503" and state.count((path, first)) <= 2:
            return self.fail(503, ("Retry-After", "0"))
        if fault == "503always" and not probing:
            return self.fail(503)
        if fault == "down":
            return self.fail(503)
        if fault == "hang" and not probing:
            time.sleep(20)
            return self.reset()
        if fault == "reset" and not probing and state.count((path, first)) == 1:
            return self.reset()
        if fault == "changing" and not probing:
            with state.lock:
                state.version += 1
        tag = state.tag(name)
        whole = fault in ("noranges", "nolength") or not asked
        if self.headers.get("If-Range", tag) not in (tag, self.date()):
            whole = True
        if not whole and first >= len(data):
            return self.fail(416, ("Content-Range", f"bytes */{len(data)}"))
        if whole:
            first, last = 0, len(data) - 1
        self.send_response(200 if whole else 206)
        if fault != "notag":
            self.send_header("ETag", tag)
        self.send_header("Last-Modified", self.date())
        if not whole:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if fault == "nolength":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        body = data[first:last + 1]
        if fault == "dies" and not probing:
            self.wfile.write(body[:len(body) // 2])
            threading.Thread(target=state.httpd.server_close, daemon=True).start()
            return self.reset()
        if fault == "truncated" and not probing and len(body) > 1 and state.count(path) <= 3:
            body = body[:len(body) // 2]
            self.close_connection = True
        with state.lock:
            state.log.append((name, first, first + len(body) - 1, 200 if whole else 206))
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            if fault == "slow":
                for begin in range(0, len(body), 1 + len(body) // 4):
                    time.sleep(0.05)
                    self.wfile.write(body[begin:begin + 1 + len(body) // 4])
            elif fault == "trickle" and not probing:
                for byte in body:
                    time.sleep(0.1)
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True
        finally:
            with state.lock:
                state.in_flight -= 1

    def date(self):
        return email.utils.formatdate(1e9 + self.server_state.version, usegmt=True)
