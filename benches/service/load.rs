//! Load from outside: signed deliveries over connections that stay open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::world::plane::{SECRET, sign};

/// What a load came to.
pub struct Load {
    pub answered: u64,
    pub took: Duration,
    pub times: Vec<Duration>,
}

/// `clients` send one delivery after the other for `span`; where `each` is given, each client one
/// per that time at most.
pub fn deliver(to: SocketAddr, clients: u64, span: Duration, each: Option<Duration>) -> Outcome<Load> {
    let numbers = Arc::new(AtomicU64::new(
        u64::from(std::process::id()) << 32 | u64::from(each.is_some()) << 31,
    ));
    let began = Instant::now();
    let all: Vec<_> = (0..clients)
        .map(|number| {
            let numbers = Arc::clone(&numbers);
            // One that is paced begins somewhere in its first interval, as independent senders do.
            let offset = (number as f64 * 0.618_034).fract();
            let pace = each.map(|each| (each, each.mul_f64(offset)));
            std::thread::spawn(move || client(to, began, span, pace, &numbers))
        })
        .collect();
    let mut times = Vec::new();
    for one in all {
        times.extend(one.join().map_err(|_| "a client panicked")??);
    }
    Ok(Load {
        answered: times.len() as u64,
        took: began.elapsed(),
        times,
    })
}

/// Each delivery after the one before was answered; where paced, one per `pace.0`, the first after `pace.1`.
fn client(
    to: SocketAddr,
    began: Instant,
    span: Duration,
    pace: Option<(Duration, Duration)>,
    numbers: &AtomicU64,
) -> Outcome<Vec<Duration>> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut write, mut read) = (stream.try_clone()?, BufReader::new(stream));
    let mut times = Vec::new();
    let mut due = began + pace.map_or(Duration::ZERO, |(_, offset)| offset);
    while began.elapsed() < span {
        if let Some((each, _)) = pace {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += each;
        }
        let request = letter(numbers.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        write.write_all(&request)?;
        answer(&mut read)?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// A delivery of the size of a usual one, of an event that nothing follows from.
pub fn body(number: u64) -> String {
    format!(
        "{{\"event\": \"cycle\", \"action\": \"created\", \"data\": {{\"id\": \"{number}\", \"name\": \"{}\"}}}}",
        "x".repeat(1200)
    )
}

fn letter(number: u64) -> Vec<u8> {
    let body = body(number);
    let signature = sign(SECRET, body.as_bytes());
    format!(
        "POST /webhook/plane HTTP/1.1\r\nHost: signalbox\r\nContent-Type: application/json\r\nX-Plane-Delivery: {number}\r\n\
         X-Plane-Event: cycle\r\nX-Plane-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn answer(read: &mut BufReader<TcpStream>) -> Outcome<()> {
    let mut line = String::new();
    read.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("a delivery is answered {line:?}").into());
    }
    let mut length = 0;
    loop {
        line.clear();
        read.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, n)) if name.eq_ignore_ascii_case("content-length") => length = n.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    read.read_exact(&mut vec![0; length])?;
    Ok(())
}
