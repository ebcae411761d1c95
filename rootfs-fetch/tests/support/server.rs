//! A server of HTTP/1.1 on a port of this machine that answers what a test says, and goes wrong where a test says.

// Each test file takes what it needs of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer, and what goes wrong with it.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    fault: Fault,
}

#[derive(Clone, Debug)]
enum Fault {
    None,
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body.
    Stall(usize),
    /// The body comes again and again, until the client goes or a minute is over.
    Endless,
    /// The head comes byte by byte, with this pause.
    Drip(Duration),
    /// The connection ends without an answer.
    Gone,
    /// No answer comes.
    Silent,
    /// These bytes come instead of an answer.
    Raw(Vec<u8>),
}

/// A server that ends with its test.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Method and target.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The offset that a Range header asks for.
    pub fn offset(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fault: Fault::None }
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.fault = Fault::Cut(after);
        self
    }

    pub fn stall(mut self, after: usize) -> Self {
        self.fault = Fault::Stall(after);
        self
    }

    pub fn endless(mut self) -> Self {
        self.fault = Fault::Endless;
        self
    }

    pub fn drip(mut self, pause: Duration) -> Self {
        self.fault = Fault::Drip(pause);
        self
    }

    pub fn gone() -> Self {
        Self { fault: Fault::Gone, ..Self::new(200) }
    }

    pub fn silent() -> Self {
        Self { fault: Fault::Silent, ..Self::new(200) }
    }

    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { fault: Fault::Raw(bytes.into()), ..Self::new(200) }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let said = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if self.status != 204 && !said("content-length") && !said("transfer-encoding") {
            head.extend(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        head.extend(b"\r\n");
        head
    }
}

impl Server {
    /// Answers each request by `answer`, which gets the number of the request, from 0 on.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (their_seen, their_over) = (Arc::clone(&seen), Arc::clone(&over));
        let connections = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (Arc::new(answer), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if their_over.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (Arc::clone(&their_seen), Arc::clone(&answer));
                // A client that goes away is no trouble here.
                thread::spawn(move || stream.map(|stream| serve(&stream, &seen, &*answer)));
            }
        });
        Self { address, seen, connections, over }
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests that came, in their order.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no panic").clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Their methods and targets.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Request::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // So that the thread which waits for a connection sees it.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: &TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, usize) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let request = match read(&mut reader) {
            Ok(Some(request)) => request,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                writer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
                stream.shutdown(Shutdown::Write)?;
                return until_it_goes(reader);
            }
            gone => return gone.map(|_| ()),
        };
        let (head_only, tunnel) = (request.method == "HEAD", request.method == "CONNECT");
        let number = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(request.clone());
            seen.len() - 1
        };
        let reply = answer(&request, number);
        let (head, body) = (reply.head(), if head_only { &[][..] } else { &reply.body });
        match &reply.fault {
            Fault::None if tunnel => writer.write_all(b"HTTP/1.1 200 Scripted\r\n\r\n")?,
            Fault::None => writer.write_all(&[&head, body].concat())?,
            Fault::Cut(after) => return writer.write_all(&[&head, &body[..*after]].concat()),
            Fault::Stall(after) => {
                writer.write_all(&[&head, &body[..*after]].concat())?;
                return until_it_goes(reader);
            }
            Fault::Endless => {
                writer.write_all(&head)?;
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(60) {
                    writer.write_all(body)?;
                }
                return Ok(());
            }
            Fault::Silent => return until_it_goes(reader),
            Fault::Drip(pause) => {
                for byte in head.chunks(1) {
                    writer.write_all(byte)?;
                    thread::sleep(*pause);
                }
            }
            Fault::Gone => return Ok(()),
            Fault::Raw(bytes) => return writer.write_all(bytes),
        }
    }
}

fn until_it_goes(mut client: impl Read) -> std::io::Result<()> {
    while client.read(&mut [0; 512])? > 0 {}
    Ok(())
}

/// None where the client has gone; `InvalidData` where this is not HTTP.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        match String::from_utf8_lossy(&line).trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
        if !lines[0].ends_with(" HTTP/1.1") {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    let mut words = lines.first().map(|line| line.split(' ')).into_iter().flatten().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<_> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
