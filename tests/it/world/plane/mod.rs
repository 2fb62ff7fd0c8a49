//! A Plane server that remembers, behind the real client and in front of the real webhook.
//!
//! It follows what the community edition does as far as the service can tell: paths in both
//! spellings, envelopes of pages, shapes of errors, one delivery per changed field, none for
//! deletions. Each part says where it is simpler than the real one. People act through
//! [`Plane::person`]; nothing of theirs passes REST.

mod board;
mod hooks;
mod rest;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};

use board::Board;
pub use board::{Fault, Kind};
pub use hooks::{Hooks, answer_to, post, post_at, sign};

/// The secret that webhooks are signed with: the one of the published vectors.
pub const SECRET: &str = "plane_wh_0123456789abcdef0123456789abcdef";
/// The key of the service.
pub const KEY: &str = "plane_api_of_the_service";
/// The key of the analyst, who writes under a name of its own.
pub const ANALYST: &str = "plane_api_of_the_analyst";
/// The workspace.
pub const WORKSPACE: &str = "acme";
/// The project: the one of the fixtures.
pub const PROJECT: &str = "59e3be42-87ec-4950-99a3-ae639cf2b089";
/// What a board needs for the pipeline `orch`.
pub const STATES: [&str; 16] = [
    "To Analyse",
    "Analysis",
    "In Review",
    "Approved",
    "Rejected",
    "Architecture",
    "Development",
    "Review",
    "Testing",
    "Deploying",
    "Awaiting Deploy",
    "Confirm Deploy",
    "Needs Input",
    "Blocked",
    "Done",
    "STOP",
];
/// Longest wait for anything.
const LONG: Duration = Duration::from_secs(300);

/// A running server. Dropped, it is gone.
pub struct Plane {
    board: Arc<Mutex<Board>>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

type Shared = Arc<Mutex<Board>>;

impl Plane {
    /// A server with a board of these states besides Plane's own, with people, and no issues.
    pub fn new(states: &[&str]) -> Self {
        let board = Arc::new(Mutex::new(Board::new(states)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("an address");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(answer).with_state(Arc::clone(&board));
        runtime.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        let hooks = Arc::clone(&board);
        std::thread::spawn(move || hooks::deliver(&hooks));
        Self {
            board,
            address,
            runtime: Some(runtime),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("the board")
    }

    /// Sends deliveries to this address from now on, or nowhere, or keeps them.
    pub fn hooks(&self, hooks: Hooks) {
        self.board().hooks = hooks;
    }

    /// Deliveries that were made so far: header and body of each.
    pub fn deliveries(&self) -> Vec<(String, String)> {
        self.board().deliveries.iter().map(|d| (d.event.clone(), d.body.clone())).collect()
    }

    /// What the next fitting requests meet.
    pub fn fault(&self, fault: Fault) {
        self.board().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        self.board().faults.clear();
    }

    /// Takes so many requests a minute under each key from now on; those of before do not count.
    pub fn limits(&self, requests: usize) {
        let mut board = self.board();
        board.used.clear();
        board.limit = requests;
    }

    /// From now on the history of issues shows a change so much later.
    pub fn history_late(&self, by: Duration) {
        self.board().late = by;
    }

    /// An older server: it knows one spelling of the paths only.
    pub fn old(&self) {
        self.board().work_items = false;
    }

    /// A newer server: it has dropped the old spelling.
    pub fn new_paths_only(&self) {
        let mut board = self.board();
        (board.work_items, board.issues) = (true, false);
    }

    /// A newer server: it tells relations between issues. The first blocks the second.
    pub fn blocks(&self, first: &str, second: &str) {
        let mut board = self.board();
        let all = board.relations.get_or_insert_default();
        all.push((first.to_owned(), second.to_owned()));
    }

    /// Requests so far: method, path, status.
    pub fn asked(&self) -> Vec<(String, String, u16)> {
        self.board().asked.clone()
    }

    /// A person on the board, by the name that is shown.
    pub fn person(&self, name: &str) -> Person<'_> {
        let id = self.board().user_named(name);
        Person { plane: self, id }
    }

    /// Someone calls themselves otherwise.
    pub fn calls_themselves(&self, name: &str, other: &str) {
        let mut board = self.board();
        let id = board.user_named(name);
        board.users.iter_mut().find(|u| u.id == id).expect("the user").display_name = other.to_owned();
    }

    /// The name of the status where the issue stands.
    pub fn status(&self, issue: &str) -> String {
        let board = self.board();
        let item = board.items.iter().find(|i| i.id == issue).expect("the issue");
        board.state_name(&item.state)
    }

    /// The issue's comments: who, and the HTML that the server keeps.
    pub fn comments(&self, issue: &str) -> Vec<(String, String)> {
        let board = self.board();
        let of = board.comments.iter().filter(|c| c.issue == issue);
        of.map(|c| (board.user(&c.actor).display_name.clone(), c.html.clone())).collect()
    }

    /// Whether every delivery that was made is sent.
    pub fn all_sent(&self) -> bool {
        self.board().all_sent()
    }

    /// The id of the issue with this number.
    pub fn issue(&self, number: i64) -> String {
        let board = self.board();
        let found = board.items.iter().find(|i| i.number == number);
        found.unwrap_or_else(|| panic!("no issue {number}")).id.clone()
    }

    /// How many issues there are.
    pub fn issues(&self) -> i64 {
        self.board().items.iter().map(|i| i.number).max().unwrap_or(0)
    }

    /// The names of the issue's labels.
    pub fn labels(&self, issue: &str) -> Vec<String> {
        let board = self.board();
        let item = board.items.iter().find(|i| i.id == issue).expect("the issue");
        let of = board.label_list.iter().filter(|l| item.labels.contains(&l.id));
        of.map(|l| l.name.clone()).collect()
    }

    /// Whatever was done to the issue was done so much earlier.
    pub fn ages(&self, issue: &str, by: Duration) {
        self.board().age(issue, by);
    }

    /// Statuses the issue has had, by whom.
    pub fn moves(&self, issue: &str) -> Vec<(String, String)> {
        let board = self.board();
        let of = board.activities.iter().filter(|a| a.issue == issue && a.field == "state");
        of.map(|a| (board.user(&a.actor).display_name.clone(), a.new_value.clone()))
            .collect()
    }

    /// A state is called otherwise from now on; its id stays.
    pub fn renames_state(&self, from: &str, to: &str) {
        let mut board = self.board();
        board.states.iter_mut().find(|s| s.name == from).expect("the state").name = to.to_owned();
    }

    /// The project's keys begin so from now on.
    pub fn identifies(&self, by: &str) {
        self.board().identifier = by.to_owned();
    }

    /// The project is archived.
    pub fn archives(&self) {
        self.board().archived = true;
    }

    /// Someone is a member of the project no longer.
    pub fn leaves(&self, name: &str) {
        let mut board = self.board();
        let id = board.user_named(name);
        board.users.iter_mut().find(|u| u.id == id).expect("the user").member = false;
    }

    /// A key is another user's from now on; without one it is nobody's.
    pub fn gives_key(&self, key: &'static str, to: Option<&str>) {
        let mut board = self.board();
        let id = to.map(|name| board.user_named(name));
        board.keys.retain(|(k, _)| *k != key);
        board.keys.extend(id.map(|id| (key, id)));
    }

    /// The project has this label.
    pub fn has_label(&self, name: &str) {
        let mut board = self.board();
        let id = format!("{:08x}-0004-4000-8000-000000000000", board.label_list.len() + 1);
        let name = name.to_owned();
        board.label_list.push(board::Label { id, name });
    }

    /// The project has this label no longer.
    pub fn drops_label(&self, name: &str) {
        self.board().label_list.retain(|l| l.name != name);
    }

    /// A state is taken off the board.
    pub fn drops_state(&self, name: &str) {
        self.board().states.retain(|s| s.name != name);
    }

    /// Waits until `holds`.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(
                begun.elapsed() < LONG,
                "the board does not come to {what}: {:#?}",
                self.asked().iter().rev().take(20).collect::<Vec<_>>()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn until_status(&self, issue: &str, status: &str) {
        self.until(&format!("{status} (it stands at {})", self.status(issue)), |plane| {
            plane.status(issue) == status
        });
    }

    pub fn until_comment(&self, issue: &str, text: &str) {
        self.until(text, |plane| plane.comments(issue).iter().any(|(_, html)| html.contains(text)));
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.board().hooks = Hooks::Ended;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A person at the board's own page. What they do needs no key and meets no fault.
pub struct Person<'a> {
    plane: &'a Plane,
    id: String,
}

impl Person<'_> {
    /// Makes an issue in the state that the board has for new ones; gives its id.
    pub fn creates(&self, title: &str, html: &str) -> String {
        self.creates_with(title, html, &[])
    }

    /// The same with labels from the start.
    pub fn creates_with(&self, title: &str, html: &str, labels: &[&str]) -> String {
        self.plane.board().create(&self.id, title, html, labels)
    }

    pub fn moves(&self, issue: &str, status: &str) {
        self.plane.board().set_state(&self.id, issue, status, "state_id");
    }

    pub fn comments(&self, issue: &str, html: &str) {
        self.plane
            .board()
            .comment(&self.id, issue, html, None)
            .expect("one without an external id");
    }

    /// Sets the issue's labels; those that the project lacks are made.
    pub fn labels(&self, issue: &str, names: &[&str]) {
        self.plane.board().set_labels(&self.id, issue, names);
    }

    /// Drags the card within its column: a change that means nothing.
    pub fn drags(&self, issue: &str) {
        self.plane.board().touch(&self.id, issue, "sort_order");
    }

    /// Deletes the issue: no delivery tells of it.
    pub fn deletes(&self, issue: &str) {
        self.plane.board().items.retain(|i| i.id != issue);
    }
}

/// Every request comes here: faults first, then what Django does before a view, then the view.
async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let fault = shared.lock().expect("the board").fault(method.as_str(), uri.path());
    if let Some(Kind::Slow(pause)) = &fault {
        // Under way, as 0 says.
        let under_way = (method.to_string(), uri.path().to_owned(), 0);
        shared.lock().expect("the board").asked.push(under_way);
        tokio::time::sleep(*pause).await;
    }
    let mut board = shared.lock().expect("the board");
    let key = headers.get("x-api-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let applied = match &fault {
        // Whatever goes wrong before the view changes nothing.
        Some(Kind::Status(..) | Kind::Page | Kind::Broken | Kind::Full(_)) => None,
        _ => Some(rest::answer(&mut board, &method, &uri, key.as_deref(), &body)),
    };
    let answer = match fault {
        Some(Kind::Status(status, body)) => rest::Answer::new(status, body),
        Some(Kind::Page) => rest::Answer::page(),
        Some(Kind::Full(wait)) => rest::Answer::full(wait),
        Some(Kind::Broken) => rest::Answer::broken(),
        Some(Kind::HangUp) => rest::Answer::cut(),
        Some(Kind::Slow(_)) | None => applied.expect("it was applied"),
    };
    board.asked.push((method.to_string(), uri.path().to_owned(), answer.status));
    answer.send()
}
