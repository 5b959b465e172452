"""Reads a log of pkcs11-spy: the first C_Login may take its time, those after it in the process may not."""
import datetime
import re
import statistics
import sys

CALL = re.compile(r"^\d+: (C_\w+)\n(\S+ \S+)$", re.M)
calls = [(name, datetime.datetime.fromisoformat(at)) for name, at in CALL.findall(open(sys.argv[1]).read())]
# The spy writes when a call began: it lasted until the next one began.
logins = [(after - at).total_seconds() for (name, at), (_, after) in zip(calls, calls[1:]) if name == "C_Login"]
first, later = logins[0], statistics.median(logins[1:])
print(f"{len(logins)} logins: the first {first * 1000:.0f} ms, then {later * 1000:.1f} ms")
assert len(logins) >= 5 and later < first / 4
