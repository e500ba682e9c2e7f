//! HTTP/1.1 request parsing, framing and selection: bytes in, decisions out; no I/O, no clock.
