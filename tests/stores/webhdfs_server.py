# SPDX-License-Identifier: Apache-2.0
"""A small server that answers as WebHDFS does, over files in memory, and can fail where a test wants it to."""

import http.server
import json
import posixpath
import socket
import struct
import threading
import urllib.parse


class WebHdfs:
    """self.files: path → bytes. self.log: (user, operation, path, bytes sent), in order. self.fault(user, operation, path) is asked before
    each operation: a status is answered; "lost" does the work and tears the connection down; "kill" ends the server."""

    BLOCK = 1 << 16

    def __init__(self):
        self.files, self.directories, self.log, self.lock = {}, {"/"}, [], threading.Lock()
        self.fault = lambda user, operation, path: None
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hdfs": self}))
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None  # clients give up connections
        self.alive = True
        self.port = self.httpd.server_address[1]
        self.url = f"hdfs://127.0.0.1:{self.port}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        if self.alive:
            self.alive = False
            self.httpd.shutdown()
            self.httpd.server_close()

    def names(self, folder):
        return sorted(path[len(folder) + 1:] for path in self.files if posixpath.dirname(path) == folder)

    def sent(self):
        """user → bytes of files."""
        total = {}
        for user, operation, _, count in self.log:
            if operation == "CREATE":
                total[user] = total.get(user, 0) + count
        return total


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hdfs = None

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.serve()

    do_GET = do_POST = do_DELETE = do_PUT

    def answer(self, status, body=b"", *headers):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, exception, message):
        self.answer(status, {"RemoteException": {"exception": exception, "message": message}})

    def tear(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def serve(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        path = urllib.parse.unquote(url.path.removeprefix("/webhdfs/v1")).rstrip("/") or "/"
        operation, user = query["op"], query["user.name"]
        if operation == "CREATE" and "data" not in query:
            return self.answer(307, b"", ("Location", f"http://127.0.0.1:{self.hdfs.port}{self.path}&data=1"))
        fault = self.hdfs.fault(user, operation, path)
        if isinstance(fault, int):
            return self.refuse(fault, "Exception", "a fault of the test's making")
        if fault == "kill":
            self.hdfs.close()
            return self.tear()
        with self.hdfs.lock:
            self.hdfs.log.append((user, operation, path, len(data)))
            status, body = getattr(self, "op_" + operation.lower(), self.op_unknown)(path, query, data)
        if fault == "lost":
            return self.tear()
        if status >= 400:
            return self.refuse(status, *body)
        self.answer(status, body)

    def status_of(self, path, name=""):
        if path in self.hdfs.files:
            length = len(self.hdfs.files[path])
            return {"pathSuffix": name, "type": "FILE", "length": length, "modificationTime": 7, "fileId": id(self.hdfs.files[path])}
        return {"pathSuffix": name, "type": "DIRECTORY", "length": 0, "modificationTime": 7, "fileId": 1}

    def there(self, path):
        return path in self.hdfs.files or path in self.hdfs.directories

    def absent(self, path):
        return 404, ("FileNotFoundException", "File does not exist: " + path)

    def op_unknown(self, *_):
        return 400, ("IllegalArgumentException", "Invalid value for op")

    def op_getfilestatus(self, path, *_):
        return (200, {"FileStatus": self.status_of(path)}) if self.there(path) else self.absent(path)

    def op_liststatus(self, path, *_):
        if path not in self.hdfs.directories:
            return self.absent(path)
        names = sorted(posixpath.basename(each) for each in {*self.hdfs.files, *self.hdfs.directories} if posixpath.dirname(each) == path != each)
        return 200, {"FileStatuses": {"FileStatus": [self.status_of(posixpath.join(path, name), name) for name in names]}}

    def op_open(self, path, query, _):
        if path not in self.hdfs.files:
            return self.absent(path)
        offset = int(query.get("offset", 0))
        return 200, self.hdfs.files[path][offset:offset + int(query["length"])]

    def op_getserverdefaults(self, *_):
        return 200, {"FsServerDefaults": {"blockSize": self.hdfs.BLOCK, "replication": 1}}

    def op_create(self, path, _, data):
        self.hdfs.files[path] = data
        while (path := posixpath.dirname(path)) not in self.hdfs.directories:
            self.hdfs.directories.add(path)
        return 201, b""

    def op_rename(self, path, query, _):
        if path not in self.hdfs.files:
            return self.absent(path)
        self.hdfs.files[query["destination"]] = self.hdfs.files.pop(path)
        return 200, b""

    def op_delete(self, path, *_):
        if any(posixpath.dirname(each) == path for each in self.hdfs.files):
            return 403, ("PathIsNotEmptyDirectoryException", path + " is non empty")
        there = self.there(path)
        self.hdfs.files.pop(path, None)
        self.hdfs.directories.discard(path)
        return 200, {"boolean": there}

    def op_concat(self, path, query, _):
        sources = query["sources"].split(",")
        folder = posixpath.dirname(path)
        if path not in self.hdfs.files or any(each not in self.hdfs.files for each in sources):
            return self.absent(path)
        if any(posixpath.dirname(each) != folder for each in sources) or not all(self.hdfs.files[each] for each in [path, *sources]):
            return 403, ("HadoopIllegalArgumentException", "concat: a source is in another directory, or empty")
        for each in sources:
            self.hdfs.files[path] += self.hdfs.files.pop(each)
        return 200, b""
