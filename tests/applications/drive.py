"""Runs one driver with the Python of its application's environment: python -I drive.py DRIVER write|read URL.

Secrets to write come as JSON on stdin. What was written, or read, goes to stdout as JSON: text by place and name.
"""

import json
import os
import runpy
import sys

driver, command, url = sys.argv[1:]
# Applications print and log to stdout: from here on that is stderr, and stdout is for the answer alone.
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

functions = runpy.run_path(driver)
texts = functions["write"](url, json.load(sys.stdin)) if command == "write" else functions["read"](url)
json.dump(texts, answer)
