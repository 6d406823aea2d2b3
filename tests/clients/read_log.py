"""Reads a messages.log with one regular expression, and nothing of ours: an independent reader of what is invented.

    python3 read_log.py < messages.log

Prints a JSON array with one object an entry. Fails on a line that belongs to no entry.
"""

import json
import re
import sys

HEADER = re.compile(
    r"(?P<timestamp>(?:0[1-9]|1[0-2])/(?:0[1-9]|[12]\d|3[01])/\d\d-(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d:\d{3})"
    r" \((?P<process_id>\d+)\) (?P<severity>[0-3]) (?:\[(?P<category>[A-Za-z][A-Za-z0-9._]*)\] )?(?P<text>.*)"
)


def entries(lines):
    found = []
    for number, line in enumerate(lines, 1):
        header = HEADER.fullmatch(line)
        if header:
            entry = header.groupdict()
            found.append(entry | {"process_id": int(entry["process_id"]), "severity": int(entry["severity"])})
        elif found:
            found[-1]["text"] += "\n" + line
        else:
            sys.exit(f"line {number} belongs to no entry: {line!r}")
    return found


def main():
    log = sys.stdin.buffer.read().decode("utf-8")
    if not log.endswith("\n"):
        sys.exit("the last line has no end")
    json.dump(entries(log[:-1].split("\n")), sys.stdout)


main()
