//! The way from the peers to the service: what is told passes here, and may be lost, doubled, late
//! or in another order. The peers are answered at once, whatever becomes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// How late a delayed one, and the second of two, comes.
const LATE: Duration = Duration::from_millis(250);
/// How long one is held back for the next to overtake it.
const HELD: Duration = Duration::from_millis(150);
/// How long Plane goes on trying where nobody listens. Gitea tries once.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Each comes once, at once.
    Plain,
    /// Each comes twice: at once, and again later.
    Doubled,
    /// Each waits until the next one has overtaken it.
    Reordered,
    /// Each comes late.
    Delayed,
    /// The one with this number, from 1, among those about what people and CI did never comes.
    Lost(usize),
    /// The one with this number among those about the service's own doing never comes.
    OwnLost(usize),
}

/// The relay. Dropped, it is gone.
pub struct Courier {
    /// Where the peers send to.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    policy: Policy,
    bag: Mutex<Bag>,
}

#[derive(Default)]
struct Bag {
    /// Deliveries about what people and CI did, in their order: whether Plane's, event and what of it.
    people: Vec<(bool, String)>,
    /// Deliveries about the service's own doing.
    own: usize,
    /// The one that was lost.
    lost: Option<String>,
    /// On their way.
    flying: usize,
    held: Option<(Letter, Instant)>,
    ended: bool,
}

/// A request as it came, to the byte.
#[derive(Clone)]
struct Letter {
    raw: Vec<u8>,
    plane: bool,
}

impl Courier {
    /// A relay to the service at `to`.
    pub fn new(to: SocketAddr, policy: Policy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let shared = Arc::new(Shared {
            to,
            policy,
            bag: Mutex::default(),
        });
        let address = listener.local_addr().expect("an address");
        let its = Arc::clone(&shared);
        std::thread::spawn(move || carry(&its, &listener));
        Self { address, shared }
    }

    /// Nothing is on its way.
    pub fn idle(&self) -> bool {
        self.shared.bag().flying == 0
    }

    /// Whether nothing becomes of them but that they come.
    pub fn is_plain(&self) -> bool {
        self.shared.policy == Policy::Plain
    }

    /// Whether one of them is to be lost.
    pub fn loses(&self) -> bool {
        matches!(self.shared.policy, Policy::Lost(_) | Policy::OwnLost(_))
    }

    /// What was lost so far.
    pub fn lost(&self) -> Option<String> {
        self.shared.bag().lost.clone()
    }

    /// What people and CI did, as far as it was told: first what Plane said, then what Gitea did,
    /// for no order holds between two servers.
    pub fn people(&self) -> Vec<String> {
        let mut people = self.shared.bag().people.clone();
        people.sort_by_key(|(plane, _)| !plane);
        people.into_iter().map(|(_, what)| what).collect()
    }

    /// How many deliveries were about the service's own doing.
    pub fn own(&self) -> usize {
        self.shared.bag().own
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.bag().ended = true;
    }
}

impl Shared {
    fn bag(&self) -> MutexGuard<'_, Bag> {
        self.bag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a letter; whether it goes on.
    fn passes(&self, letter: &Letter) -> bool {
        let (own, what) = letter.what();
        let mut bag = self.bag();
        let lost = if own {
            bag.own += 1;
            self.policy == Policy::OwnLost(bag.own)
        } else {
            bag.people.push((letter.plane, what.clone()));
            self.policy == Policy::Lost(bag.people.len())
        };
        if lost {
            bag.lost = Some(what);
        }
        !lost
    }
}

fn carry(shared: &Arc<Shared>, listener: &TcpListener) {
    while !shared.bag().ended {
        // What nothing overtakes goes at last.
        let due = {
            let mut bag = shared.bag();
            let late = bag.held.as_ref().is_some_and(|(_, since)| since.elapsed() >= HELD);
            if late { bag.held.take() } else { None }
        };
        if let Some((letter, _)) = due {
            hand_over(shared, vec![letter], Duration::ZERO);
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if let Some(letter) = receive(stream) {
                    dispatch(shared, letter);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return,
        }
    }
}

fn dispatch(shared: &Arc<Shared>, letter: Letter) {
    if !shared.passes(&letter) {
        return;
    }
    match shared.policy {
        Policy::Plain | Policy::Lost(_) | Policy::OwnLost(_) => hand_over(shared, vec![letter], Duration::ZERO),
        Policy::Doubled => {
            hand_over(shared, vec![letter.clone()], Duration::ZERO);
            hand_over(shared, vec![letter], LATE);
        }
        Policy::Delayed => hand_over(shared, vec![letter], LATE),
        Policy::Reordered => {
            let before = {
                let mut bag = shared.bag();
                let before = bag.held.take();
                if before.is_none() {
                    bag.flying += 1;
                    bag.held = Some((letter.clone(), Instant::now()));
                }
                before
            };
            if let Some((before, _)) = before {
                hand_over(shared, vec![letter, before], Duration::ZERO);
            }
        }
    }
}

/// Sends these, one after the other.
fn hand_over(shared: &Arc<Shared>, letters: Vec<Letter>, after: Duration) {
    // One that was held counts already.
    let held = usize::from(shared.policy == Policy::Reordered);
    shared.bag().flying += letters.len() - held;
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        std::thread::sleep(after);
        for letter in letters {
            let begun = Instant::now();
            while letter.send(shared.to).is_err() && letter.plane && begun.elapsed() < PATIENCE && !shared.bag().ended {
                std::thread::sleep(Duration::from_millis(20));
            }
            shared.bag().flying -= 1;
        }
    });
}

impl Letter {
    /// Whether the service did it, and what it is.
    fn what(&self) -> (bool, String) {
        let body = self
            .raw
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(&[][..], |at| &self.raw[at + 4..]);
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |path: &str| json.pointer(path).and_then(Json::as_str).unwrap_or_default().to_owned();
        if self.plane {
            let by = text("/activity/actor/display_name");
            let what = format!("{by}: {} {} {}", text("/event"), text("/action"), text("/activity/field"));
            return (by.ends_with("-bot"), what.trim().to_owned());
        }
        let by = text("/sender/login");
        let head = String::from_utf8_lossy(&self.raw).to_lowercase();
        let event = head
            .lines()
            .find_map(|l| l.strip_prefix("x-gitea-event-type: "))
            .unwrap_or_default();
        (
            by == super::super::gitea::BOT,
            format!("{by}: {event} {}{}", text("/action"), text("/state")),
        )
    }

    fn send(&self, to: SocketAddr) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&self.raw)?;
        // The status is enough: the peers do not care what it is.
        let mut first = [0_u8; 12];
        stream.read_exact(&mut first)
    }
}

/// A delivery made by hand.
pub struct Post(Vec<u8>);

impl Post {
    /// One of Plane's, with this signature; none where it is empty.
    pub fn plane(event: &str, body: &str, signature: &str) -> Self {
        let event = format!("X-Plane-Event: {event}\r\nX-Plane-Delivery: {}\r\n", uuid::Uuid::now_v7());
        Self::new("plane", &event, "X-Plane-Signature", signature, body)
    }

    /// One of Gitea's.
    pub fn gitea(event: &str, body: &str, signature: &str) -> Self {
        let event = format!("X-Gitea-Event-Type: {event}\r\n");
        Self::new("gitea", &event, "X-Gitea-Signature", signature, body)
    }

    fn new(door: &str, event: &str, header: &str, signature: &str, body: &str) -> Self {
        let signed = if signature.is_empty() {
            String::new()
        } else {
            format!("{header}: {signature}\r\n")
        };
        let head = format!(
            "POST /webhook/{door} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{event}{signed}Content-Length: {}\r\n\r\n",
            body.len()
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }

    /// Sends it; the status of the answer.
    pub fn send(&self, to: SocketAddr) -> u16 {
        let mut stream = TcpStream::connect(to).expect("the service listens");
        stream.write_all(&self.0).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
    }
}

/// Reads one request and answers it.
fn receive(mut stream: TcpStream) -> Option<Letter> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let (mut raw, mut chunk) = (Vec::new(), [0_u8; 16 * 1024]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        raw.extend_from_slice(&chunk[..read]);
        let Some(end) = raw.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&raw[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: ")?.trim().parse::<usize>().ok())?;
        if raw.len() >= end + 4 + length {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .ok()?;
            return Some(Letter {
                plane: head.contains("/webhook/plane"),
                raw,
            });
        }
    }
}
