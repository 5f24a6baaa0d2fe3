"""check: asks nginx once, at its start, and exits 0 if the answer has a row of
postgres and a number of redis."""

import json
import sys
import time
import urllib.request

began = time.monotonic()
with urllib.request.urlopen("http://nginx/") as response:
    got = json.load(response)
took = time.monotonic() - began

print(f"after {took:.1f} s: {got['greeting']}, counted {got['count']} in redis")
sys.exit(0 if got["greeting"] == "hello from postgres" and got["count"] >= 1 else 1)
