//! The smallest server of HTTP that tells something, and a client for it: whoever asks is told from which address that came.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{LONGEST, say};
use crate::kernel::program::WORK;
use crate::kernel::sys;
use crate::kernel::trace::Trace;

/// How long one side waits for the other's next word.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many connections stay open after their answer, for whoever wants to look at them.
const KEPT: usize = 16;

/// The longest request and the longest answer, in bytes.
const MOST: u64 = 4096;

/// Answers whoever connects, one after the other.
pub(super) fn serve(at: SocketAddr) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{at}: {error}");
    let listening = sys::listen(&mut Trace::new(WORK), at).map_err(|error| told(&error.errno.words()))?;
    let begin = Instant::now();
    let mut kept = VecDeque::new();
    for stream in TcpListener::from(listening).incoming() {
        // One that breaks off is no reason to leave the others alone.
        if let Ok(stream) = stream
            && answer(&stream).is_ok()
        {
            kept.push_back(stream);
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        if begin.elapsed() >= LONGEST {
            break;
        }
    }
    Ok(())
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Up to the empty line that ends a request.
    for line in BufReader::new(stream).take(MOST).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let text = format!("you are {}\n", stream.peer_addr()?.ip().to_canonical());
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// Asks at the first of these addresses that can be reached, and says the answer. `to` is how they were called.
pub(super) fn ask(to: &str, addresses: &[SocketAddr]) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{to}: {error}");
    let mut trace = Trace::new(WORK);
    let (first, others) = addresses.split_first().ok_or_else(|| told(&"it has no address"))?;
    let asked = sys::connect(&mut trace, *first);
    let reached = others.iter().fold(asked, |before, next| before.or_else(|_| sys::connect(&mut trace, *next)));
    let connected = reached.map_err(|error| told(&error.errno.words()))?;
    let mut stream = TcpStream::from(connected);
    let asked = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(b"GET / HTTP/1.0\r\n\r\n"));
    asked.map_err(|error| told(&error))?;
    let body = body(BufReader::new(stream).take(MOST)).map_err(|error| told(&error))?;
    say(body.trim_end());
    Ok(())
}

/// What comes after the empty line, as much as its length was told to be (RFC 9112).
fn body(mut answer: impl BufRead) -> std::io::Result<String> {
    let (mut length, mut line) = (MOST, String::new());
    while answer.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(MOST);
        }
        line.clear();
    }
    let mut text = String::new();
    answer.take(length).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_where_its_length_says() {
        let body = |text: &str| body(text.as_bytes()).expect("an answer");
        assert_eq!(body("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nyou are"), "you");
        assert_eq!(body("HTTP/1.0 200 OK\r\n\r\nyou\n"), "you\n");
        assert_eq!(body("HTTP/1.0 200 OK\r\n"), "");
    }

    #[test]
    fn who_asks_is_told_who_that_is() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || answer(&listener.accept().expect("a visitor").0));
        let mut stream = TcpStream::connect(at).expect("a server");
        stream.write_all(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n").expect("sent");
        assert_eq!(body(BufReader::new(stream)).expect("an answer"), "you are 127.0.0.1\n");
        server.join().expect("no panic").expect("answered");
    }
}
