# SPDX-License-Identifier: Apache-2.0
"""JSON lines over stdin and stdout: one request, one answer. A peer's worker holds data and fits on request."""
import json
import os
import sys
import time
import traceback


def serve(handlers, speaks=True):
    """Answers requests by handlers[op](request) until stdin ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = handlers[request["op"]](request)
        except Exception as failure:  # the harness decides what a failure means
            traceback.print_exc()
            answer = {"error": f"{type(failure).__name__}: {failure}"}
        if speaks:
            print(json.dumps(answer), file=answers, flush=True)


def timed(body):
    """What body() returned, and the seconds it took."""
    start = time.perf_counter()
    result = body()
    return result, time.perf_counter() - start
