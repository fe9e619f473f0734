# SPDX-License-Identifier: Apache-2.0
"""moto's S3 server, which believes every request, behind botocore's own signature of the request: where the two differ
the answer is 403. Run by the Python that has moto: checked_moto.py PORT. What the bucket holds and who has sent what it says at
/-/state, as JSON."""

import json
import sys

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

KEY = "firesteel-test"
SECRET = "not+a/secret="
REGION = "eu-central-1"


def signature(environ, names, date):
    """What botocore makes of the same request."""
    raw = environ["RAW_URI"]
    headers = {}
    for name in names.split(";"):
        headers[name] = environ.get("HTTP_" + name.upper().replace("-", "_"), "")
    request = AWSRequest(environ["REQUEST_METHOD"], "http://" + headers["host"] + raw, headers=headers)
    request.context["timestamp"] = date
    signer = S3SigV4Auth(Credentials(KEY, SECRET, headers.get("x-amz-security-token") or None), "s3", REGION)
    text = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, text), request)


class Checked:
    def __init__(self, application):
        self.application = application
        self.seen = {}
        self.sent = []  # [session token, path, bytes]

    def fails(self, place, token):
        """Writing to /bucket/busy/ fails twice, to /bucket/broken/ always; with the session token refuse-TEXT where the path has TEXT."""
        self.seen[place] = self.seen.get(place, 0) + 1
        refused = token.startswith("refuse-") and token.removeprefix("refuse-") in place
        return "/broken/" in place or ("/busy/" in place and self.seen[place] <= 2) or refused

    def state(self):
        bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets["bucket"]
        return {"keys": sorted(bucket.keys.keys()), "uploads": [upload.key_name for upload in bucket.multiparts.values()], "sent": self.sent}

    def __call__(self, environ, start_response):
        if environ["RAW_URI"].startswith("/-/put/"):
            data = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object("bucket", environ["RAW_URI"].removeprefix("/-/put/"), data)
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        if environ["RAW_URI"] == "/-/state":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self.state()).encode()]
        given = environ.get("HTTP_AUTHORIZATION", "")
        problem = "no signature"
        if given.startswith("AWS4-HMAC-SHA256 "):
            parts = dict(part.strip().split("=", 1) for part in given.split(" ", 1)[1].split(","))
            expected = signature(environ, parts["SignedHeaders"], environ.get("HTTP_X_AMZ_DATE", ""))
            scope = parts["Credential"].split("/")
            problem = None if parts["Signature"] == expected and scope[0] == KEY and scope[2] == REGION else "another signature"
            missing = [name for name in ("host", "x-amz-date", "x-amz-content-sha256") if name not in parts["SignedHeaders"].split(";")]
            problem = problem or (f"{missing} not signed" if missing else None)
        if environ["REQUEST_METHOD"] == "GET" and environ["RAW_URI"] == "/":
            problem = "no list of buckets"
        if problem:
            print(problem, environ["REQUEST_METHOD"], environ["RAW_URI"], given, flush=True)
            body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{problem}</Message></Error>".encode()
            start_response("403 Forbidden", [("Content-Length", str(len(body))), ("Content-Type", "application/xml")])
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
        if environ["REQUEST_METHOD"] == "PUT" and self.fails(environ["RAW_URI"], token):
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        if environ["REQUEST_METHOD"] == "PUT":
            self.sent.append([token, environ["RAW_URI"], int(environ.get("CONTENT_LENGTH") or 0)])
        return self.application(environ, start_response)


s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", REGION)
run_simple("127.0.0.1", int(sys.argv[1]), Checked(DomainDispatcherApplication(create_backend_app)), threaded=True)
