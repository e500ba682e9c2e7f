#!/usr/bin/env python3
"""Message boundaries as h11 and llhttp see them, on the lines that examples/messages.rs writes.

Each parser gets a stream in pieces that end right before and at each boundary of ours. Wherever
both read on they have to see the same; what one of them refuses cannot be framed in two ways.
"""

import sys

import h11
import httptools

# Streams whose boundaries differ for a reason that is known and not ours to mend: parser, a test of
# the stream, the reason.
KNOWN = [
    (
        "llhttp",
        lambda stream: b"upgrade" in stream.lower(),
        "it gives a request with Upgrade to its caller before the content; we ignore Upgrade, as a "
        "server may (RFC 9110 section 7.8)",
    ),
]


class ByH11:
    name = "h11"

    def __init__(self):
        self.connection = h11.Connection(h11.SERVER)
        self.content = b""
        self.refused = self.ended = False

    def receive(self, octets, at, marks):
        if self.ended:
            return
        try:
            self.connection.receive_data(octets)
            self.events(at, marks)
        except h11.RemoteProtocolError:
            self.refused = self.ended = True

    def events(self, at, marks):
        connection = self.connection
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return
            if event is h11.PAUSED:
                self.ended = True
                return
            if type(event) is h11.Request:
                marks.append(("H", at))
                self.content = b""
            elif type(event) is h11.Data:
                self.content += bytes(event.data)
            elif type(event) is h11.EndOfMessage:
                marks.append(("E", at, self.content))
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    self.ended = True
                    return
                connection.start_next_cycle()


class ByLlhttp:
    name = "llhttp"

    def __init__(self):
        self.parser = httptools.HttpRequestParser(self)
        self.content = b""
        self.refused = self.ended = False
        self.at = 0
        self.marks = None

    def receive(self, octets, at, marks):
        if self.ended:
            return
        self.at, self.marks = at, marks
        try:
            self.parser.feed_data(octets)
        except httptools.HttpParserUpgrade:
            self.ended = True
        except httptools.HttpParserError:
            self.refused = self.ended = True

    def on_headers_complete(self):
        self.marks.append(("H", self.at))
        self.content = b""

    def on_body(self, octets):
        self.content += octets

    def on_message_complete(self):
        self.marks.append(("E", self.at, self.content))
        if not self.parser.should_keep_alive():
            self.ended = True


def ours(words):
    marks = []
    for word in words:
        if word[0] == "H":
            marks.append(("H", int(word[1:])))
        else:
            at, content = word[1:].split(":")
            marks.append(("E", int(at), bytes.fromhex(content)))
    return marks


def difference(marks, ended, theirs, they_ended):
    """The first mark that differs, unless one of us had ended before it."""
    for index in range(max(len(marks), len(theirs))):
        here = marks[index] if index < len(marks) else None
        there = theirs[index] if index < len(theirs) else None
        if here == there:
            continue
        if (here is None and ended) or (there is None and they_ended):
            return None
        return f"mark {index}: {here}, not {there}"
    return None


def main():
    parsers = (ByH11, ByLlhttp)
    compared = dict.fromkeys((p.name for p in parsers), 0)
    refused = dict(compared)
    known = [0] * len(KNOWN)
    streams = 0
    differences = []
    for line in sys.stdin:
        stream_hex, *words, end = line.split()
        stream, marks, ended = bytes.fromhex(stream_hex), ours(words), end == "ended"
        streams += 1
        cuts = {cut for mark in marks for cut in (mark[1] - 1, mark[1])} | {len(stream)}
        for kind in parsers:
            reader, theirs, begin = kind(), [], 0
            for cut in sorted(cuts):
                reader.receive(stream[begin:cut], cut, theirs)
                begin = cut
            compared[kind.name] += min(len(marks), len(theirs))
            refused[kind.name] += reader.refused
            found = difference(marks, ended, theirs, reader.ended)
            if found is None:
                continue
            for index, (name, is_known, _) in enumerate(KNOWN):
                if name == kind.name and is_known(stream):
                    known[index] += 1
                    break
            else:
                differences.append(f"{kind.name}: {found} in {stream!r}")
    for name, count in compared.items():
        print(f"{name}: {count} boundaries in {streams} streams, {refused[name]} refused by it")
    for (name, _, reason), count in zip(KNOWN, known):
        print(f"{name}: {count} streams are known to differ: {reason}")
    for text in differences[:10]:
        print(text)
    stale = [reason for (_, _, reason), count in zip(KNOWN, known) if count == 0]
    for reason in stale:
        print(f"does not differ any more: {reason}")
    if differences or stale or min(compared.values()) < streams:
        print(f"FAILED: {len(differences)} streams differ")
        sys.exit(1)


main()
