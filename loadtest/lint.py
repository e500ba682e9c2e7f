#!/usr/bin/env python3
"""What redbot and httplint say of the sample site's responses: `lint.py URL`, run by `lint`.

redbot asks for each resource by itself, as caches and browsers would, with conditions, ranges and
codings; httplint reads responses to requests that redbot does not make. What either of them calls
bad or worth a warning has to stand in KNOWN, with a reason, and what stands there has to be said.
"""

import random
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlsplit

import thor
from httplint.note import levels
from redbot.resource import HttpResource

RESOURCES = [
    "/", "/hello.txt", "/style.css", "/logo.svg", "/4k.bin", "/100k.bin", "/health", "/plain",
    "/nothing",
]

HOST = "Host: a\r\nConnection: close\r\n\r\n"
LONG = "a" * 9000

# Status, request. The connection has to end with the response.
REQUESTS = [
    (200, "GET /hello.txt HTTP/1.0\r\n\r\n"),
    (200, "GET /health HTTP/1.0\r\n\r\n"),
    (302, "GET /plain HTTP/1.0\r\n\r\n"),
    (404, "GET /nothing HTTP/1.0\r\n\r\n"),
    (204, "OPTIONS * HTTP/1.0\r\n\r\n"),
    (204, "OPTIONS / HTTP/1.1\r\n" + HOST),
    (304, "GET /hello.txt HTTP/1.1\r\nIf-None-Match: *\r\n" + HOST),
    (412, "GET /hello.txt HTTP/1.1\r\nIf-Match: \"x\"\r\n" + HOST),
    (206, "GET /100k.bin HTTP/1.1\r\nRange: bytes=10-19\r\n" + HOST),
    (416, "GET /100k.bin HTTP/1.1\r\nRange: bytes=102400-\r\n" + HOST),
    (200, "GET /style.css HTTP/1.1\r\nAccept-Encoding: gzip\r\n" + HOST),
    (200, "GET /style.css HTTP/1.1\r\nAccept-Encoding: br, identity;q=0\r\n" + HOST),
    (405, "DELETE /hello.txt HTTP/1.1\r\n" + HOST),
    (405, "TRACE / HTTP/1.1\r\n" + HOST),
    (405, "CONNECT a:1 HTTP/1.1\r\n" + HOST),
    (501, "BREW /pot HTTP/1.1\r\n" + HOST),
    (400, "GET / HTTP/1.1\n\n"),
    (413, "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n" + HOST),
    (414, "GET /" + LONG + " HTTP/1.1\r\n" + HOST),
    (417, "POST / HTTP/1.1\r\nExpect: x\r\nContent-Length: 1\r\n" + HOST),
    (431, "GET / HTTP/1.1\r\nA: " + LONG + "\r\n" + HOST),
    (505, "GET / HTTP/2.0\r\n" + HOST),
]

# What is said, and why we leave it so.
KNOWN = {
    "The server didn't understand the request.":
        "what a 400 means",
    "The server won't accept a URI this long .":
        "what a 414 means",
    "The request HTTP version isn't supported.":
        "what a 505 means",
    "The partial response has a Content-Length equal to the full response.":
        "redbot asked for octets 0 to 13 of the 13 of hello.txt, which is all of them",
}


def by_redbot(urls):
    """The notes on each resource, all of them asked for in one run of redbot's event loop."""
    random.seed(0)  # redbot asks for ranges by chance
    settings = ConfigParser()
    settings.read_dict({"redbot": {"enable_local_access": "True"}})
    resources = []

    def check_next():
        if len(resources) == len(urls):
            thor.stop()
            return
        resource = HttpResource(settings["redbot"])
        resource.set_request(urls[len(resources)])
        resources.append(resource)
        resource.once("check_done", check_next)
        resource.check()

    check_next()
    thor.run()
    for url, resource in zip(urls, resources):
        if not resource.response.complete:
            raise SystemExit(f"lint: {url}: {resource.fetch_error}")
        notes = []
        for note in resource.response.notes:
            notes += [note, *note.subnotes]
        yield [(note.level.name if note.level else "INFO", note.summary) for note in notes]


def by_httplint(address, request):
    """The status of the response to one request, and the notes on it."""
    response = b""
    with socket.create_connection(address, timeout=20) as peer:
        peer.sendall(request.encode())
        while octets := peer.recv(65536):
            response += octets
    # The program itself, because it knows how to take a response apart.
    program = Path(sys.executable).with_name("httplint")
    said = subprocess.run(
        [program, "-n"], input=response, capture_output=True, timeout=60, check=False
    )
    if said.returncode != 0:
        raise SystemExit(f"lint: {request[:60]!r}: {said.stderr.decode()}")
    lines = [line.strip() for line in said.stdout.decode().splitlines()]
    notes = [line[3:].split("] ", 1) for line in lines if line.startswith("* [")]
    return int(response.split(b" ", 2)[1]), [tuple(note) for note in notes]


def main():
    url = sys.argv[1].rstrip("/")
    parts = urlsplit(url)
    said = set()
    failures = 0
    count = 0

    def judge(name, notes):
        nonlocal failures, count
        count += len(notes)
        if not notes:
            print(f"{name}: nothing was said")
            failures += 1
        for level, summary in notes:
            if level not in (levels.BAD.name, levels.WARN.name):
                continue
            reason = KNOWN.get(summary)
            said.add(summary)
            failures += reason is None
            print(f"{name}: {level}: {summary} -- {reason or 'NOT EXPLAINED'}")

    for path, notes in zip(RESOURCES, by_redbot([url + path for path in RESOURCES])):
        judge(path, notes)
    for status, request in REQUESTS:
        name = request.split("\r\n")[0][:40].strip()
        got, notes = by_httplint((parts.hostname, parts.port), request)
        if got != status:
            print(f"{name}: {got} instead of {status}")
            failures += 1
        judge(f"{name} ({status})", notes)
    for summary in KNOWN.keys() - said:
        print(f"not said any more: {summary}")
        failures += 1
    print(f"{count} notes on {len(RESOURCES) + len(REQUESTS)} responses, {failures} failures")
    sys.exit(failures > 0)


main()
