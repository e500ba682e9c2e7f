//! The bound of any server in user mode: answers a constant to every blank line and parses nothing.
//! One thread, one receive and one send per readable socket.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// What every blank line gets.
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: raw\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Length: 13\r\n\r\nHello, world!";
/// The same where the connection ends.
const LAST_RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: raw\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Length: 13\r\nConnection: close\r\n\r\nHello, world!";
/// Octets received at a time.
const BUFFER_BYTES: usize = 65_536;
const LISTENER: Token = Token(usize::MAX);

/// Prints its address and serves until it is killed; where it `ends` connections, every response
/// says that its own does.
///
/// # Errors
/// Sockets that cannot be had.
pub fn raw(address: SocketAddr, ends: bool) -> Result<()> {
    let mut listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(256);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let responses = RESPONSE.repeat(BUFFER_BYTES / 4);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(at) = event.token();
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut streams)?;
            } else if let Some(place) = streams.get_mut(at)
                && let Some(stream) = place
            {
                let goes_on = if ends {
                    !has_ended(stream, &mut buffer)
                } else {
                    serve(stream, &mut buffer, &responses)
                };
                if !goes_on {
                    *place = None;
                }
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, streams: &mut Vec<Option<TcpStream>>) -> Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        let free = streams.iter().position(Option::is_none);
        let at = free.unwrap_or(streams.len());
        poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
        if at == streams.len() {
            streams.push(None);
        }
        streams[at] = Some(stream);
    }
    Ok(())
}

/// Answers once; true when the connection is over.
fn has_ended(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    match stream.read(buffer) {
        Ok(octets) if memchr::memmem::find(&buffer[..octets], b"\r\n\r\n").is_some() => {
            // Who does not take it has gone.
            let _ = stream.write_all(LAST_RESPONSE);
            true
        }
        Ok(octets) => octets == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// False when the connection is over.
fn serve(stream: &mut TcpStream, buffer: &mut [u8], responses: &[u8]) -> bool {
    loop {
        let octets = match stream.read(buffer) {
            Ok(0) => return false,
            Ok(octets) => octets,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let received = &buffer[..octets];
        let lines = memchr::memmem::find_iter(received, b"\r\n\r\n").count();
        let answer = &responses[..lines * RESPONSE.len()];
        if stream.write_all(answer).is_err() {
            return false;
        }
        if octets < buffer.len() {
            return true;
        }
    }
}
