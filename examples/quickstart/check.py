"""check: asks web once, at its start, and exits 0 if the answer is right."""

import sys
import time
import urllib.request

WANT = "web says: hello from kv\n"

began = time.monotonic()
with urllib.request.urlopen("http://web:8080/") as response:
    got = response.read().decode()
took = time.monotonic() - began

print(f"after {took:.1f} s: {got.strip()}")
sys.exit(0 if got == WANT else 1)
