//! A Gitea of our own: its wire format over real git, for tests.
//!
//! One repository `acme/shop`, served over smart HTTP by `git http-backend`, with pull requests,
//! reviews, statuses, merges, protection and signed webhooks, each delivered once. Shapes come from
//! the fixtures in `tests/fixtures/gitea`; where versions differ, [`Version`] chooses.

mod admin;
mod api;
mod contents;
mod faults;
mod hooks;
mod merge;
mod repo;
mod server;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

pub use admin::{ApiHook, everything, fine};
use faults::Fault;
pub use faults::How;
pub use hooks::signature as signed;
pub use state::Version;
use state::{Review, State};

/// The service's token: a canary that must stand nowhere.
pub const TOKEN: &str = "gta_canary_5f1d7a";
/// What webhooks are signed with.
pub const SECRET: &str = "gitea-secret";
/// The service's user.
pub const BOT: &str = "orch-bot";
pub const OWNER: &str = "acme";
pub const REPO: &str = "shop";

/// The server. Dropped, it goes down.
pub struct Gitea {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What all requests share.
pub struct Shared {
    pub repo: repo::Repo,
    state: Mutex<State>,
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Gitea {
    /// A server with these files on its default branch, below `dir`.
    pub fn start(dir: &Path, version: Version, files: &[(&str, &str)]) -> Self {
        let shared = Arc::new(Shared {
            repo: repo::Repo::new(dir, files),
            state: Mutex::new(State::new(version)),
        });
        Self::serve(shared, "127.0.0.1:0")
    }

    fn serve(shared: Arc<Shared>, at: &str) -> Self {
        let stop = CancellationToken::new();
        let (tell, told) = std::sync::mpsc::channel();
        let (its, end, at) = (Arc::clone(&shared), stop.clone(), at.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::bind(at).await.expect("a port");
                let address = listener.local_addr().expect("an address");
                tell.send(address).expect("someone listens");
                tokio::select! {
                    () = end.cancelled() => {}
                    served = async { axum::serve(listener, server::router(its)).await } => served.expect("it serves"),
                }
            });
        });
        Self {
            address: told.recv().expect("it listens"),
            shared,
            stop,
            thread: Some(thread),
        }
    }

    /// Takes the server down; everything it knows stays.
    pub fn down(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended well");
        }
    }

    /// Brings it up again, at the same address.
    pub fn up(&mut self) {
        *self = Self::serve(Arc::clone(&self.shared), &self.address.to_string());
    }

    /// The project's `forge` in `signalbox.toml`; the secrets are files beside it.
    pub fn forge(&self, dir: &Path) -> toml::Table {
        for (name, text) in [("gitea-token", TOKEN), ("gitea-secret", SECRET)] {
            std::fs::write(dir.join(name), text).expect("a secret");
        }
        let text = format!(
            "kind = \"gitea\"\nurl = \"http://{}\"\nowner = \"Acme\"\nrepo = \"{REPO}\"\ndefault_branch = \"main\"\n\
             token = {{ file = \"gitea-token\" }}\nsecret = {{ file = \"gitea-secret\" }}\n",
            self.address
        );
        text.parse().expect("a table")
    }

    /// Sends webhooks to the service from now on.
    pub fn hook(&self, port: u16) {
        self.shared.state().hook = Some(format!("http://127.0.0.1:{port}/webhook/gitea"));
    }

    /// Sends none from now on.
    pub fn unhook(&self) {
        self.shared.state().hook = None;
    }

    /// Somebody with write access.
    pub fn person(&self, login: &str) -> Person<'_> {
        Person {
            gitea: self,
            login: login.to_owned(),
            official: true,
        }
    }

    /// The commit of a branch.
    pub fn branch(&self, name: &str) -> Option<String> {
        self.shared.repo.commit_of(name)
    }

    /// A file of the default branch.
    pub fn published(&self, path: &str) -> String {
        self.shared.repo.git(&["show", &format!("main:{path}")])
    }

    /// All commits that a commit comes from, itself too.
    pub fn published_commits(&self, sha: &str) -> Vec<String> {
        self.shared.repo.git(&["rev-list", sha]).lines().map(str::to_owned).collect()
    }

    /// All files of a branch.
    pub fn published_files(&self, branch: &str) -> Vec<String> {
        let all = self.shared.repo.git(&["ls-tree", "-r", "--name-only", branch]);
        all.lines().map(str::to_owned).collect()
    }

    /// The number of the only open request of the branch.
    pub fn open_pull(&self, branch: &str) -> i64 {
        let state = self.shared.state();
        let open: Vec<i64> = state
            .pulls
            .iter()
            .filter(|p| p.open && p.branch == branch)
            .map(|p| p.number)
            .collect();
        assert_eq!(open.len(), 1, "open requests of {branch}: {open:?}");
        open[0]
    }

    /// All requests of the branch: number, open, merged.
    pub fn pulls(&self, branch: &str) -> Vec<(i64, bool, bool)> {
        let state = self.shared.state();
        let mine = state.pulls.iter().filter(|p| p.branch == branch);
        mine.map(|p| (p.number, p.open, p.merged.is_some())).collect()
    }

    /// Makes a branch at a commit, or puts it back.
    pub fn restores(&self, branch: &str, sha: &str) {
        let before = self.shared.repo.refs();
        self.shared.repo.git(&["update-ref", &format!("refs/heads/{branch}"), sha]);
        hooks::refs_moved(&self.shared, &before, "bob");
    }

    /// What CI says about a commit.
    pub fn ci(&self, sha: &str, context: &str, word: &str) {
        self.shared.state().set_status(sha, context, word);
        hooks::status(&self.shared, sha, context, word);
    }

    /// Protects a branch.
    pub fn protect(&self, branch: &str) {
        self.shared.state().protected.push(branch.to_owned());
    }

    /// The repository's settings are these from now on.
    pub fn settings(&self, changed: Json) {
        self.shared.state().settings = changed;
    }

    /// What protects `main` differs so from now on.
    pub fn guards(&self, changed: Json) {
        self.shared.state().guard = changed;
    }

    /// Nothing protects any branch.
    pub fn unprotect(&self) {
        self.shared.state().protected.clear();
    }

    /// A rule that protects branches.
    pub fn rule(&self, rule: Json) {
        self.shared.state().protections.push(rule);
    }

    /// The service's user administers the repository no longer.
    pub fn no_admin(&self) {
        self.shared.state().admin = false;
    }

    /// Webhooks, as the API has them.
    pub fn hooks(&self) -> Vec<ApiHook> {
        self.shared.state().hooks.clone()
    }

    /// Changes the webhooks as somebody does in the browser.
    pub fn edits_hooks(&self, edit: impl FnOnce(&mut Vec<ApiHook>)) {
        edit(&mut self.shared.state().hooks);
    }

    /// Requests so far, and what was sent: method, path, body.
    pub fn asked(&self) -> Vec<(String, String, String)> {
        self.shared.state().asked.clone()
    }

    /// So many asks after a request was opened find its mergeability still being computed.
    pub fn computes_for(&self, asks: u32) {
        self.shared.state().computes_for = asks;
    }

    /// The next so many requests of this method whose path contains this go wrong.
    pub fn fails(&self, method: &str, path: &str, times: u32, how: How) {
        self.shared.state().faults.push(Fault::new(method, path, times, how));
    }

    /// Nothing goes wrong any more.
    pub fn mends(&self) {
        self.shared.state().faults.clear();
    }

    /// Bodies of merge calls so far.
    pub fn merges_asked(&self) -> Vec<Json> {
        let asked = &self.shared.state().asked;
        let merges = asked.iter().filter(|(m, p, _)| m == "POST" && p.ends_with("/merge"));
        merges
            .map(|(_, _, body)| serde_json::from_str(body).unwrap_or(Json::Null))
            .collect()
    }

    /// Webhooks sent so far: fine name of the event, the service's status.
    pub fn delivered(&self) -> Vec<(String, u16)> {
        self.shared.state().delivered.clone()
    }

    /// Branches and their commits.
    pub fn branches(&self) -> BTreeMap<String, String> {
        self.shared.repo.refs()
    }

    /// Comments below a request: who, what.
    pub fn comments(&self, pull: i64) -> Vec<(String, String)> {
        let state = self.shared.state();
        let mine = state.comments.iter().filter(|c| c.issue == pull);
        mine.map(|c| (c.user.clone(), c.body.clone())).collect()
    }

    /// Whether no webhook is on its way.
    pub fn all_sent(&self) -> bool {
        self.shared.state().sending == 0
    }

    /// The default branch: paths with contents.
    pub fn main(&self) -> BTreeMap<String, String> {
        let paths = self.shared.repo.git(&["ls-tree", "-r", "--name-only", "main"]);
        paths.lines().map(|path| (path.to_owned(), self.published(path))).collect()
    }

    /// Waits until this many webhooks of the event were answered.
    pub fn wait_delivered(&self, event: &str, count: usize) {
        let begun = Instant::now();
        while self.delivered().iter().filter(|(e, _)| e == event).count() < count {
            assert!(begun.elapsed() < Duration::from_secs(300), "{event}: {:?}", self.delivered());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Gitea {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What people do on the server.
pub struct Person<'a> {
    gitea: &'a Gitea,
    login: String,
    official: bool,
}

impl Person<'_> {
    /// Somebody who may only read: reviews of theirs are not official.
    pub fn reading_only(mut self) -> Self {
        self.official = false;
        self
    }

    pub fn approves(&self, pull: i64) {
        self.review(pull, "APPROVED", "fine", &[]);
    }

    pub fn requests_changes(&self, pull: i64, text: &str) {
        self.remarks(pull, text, &[]);
    }

    /// Asks for changes, with remarks at lines: path, line, text.
    pub fn remarks(&self, pull: i64, text: &str, at: &[(&str, i64, &str)]) {
        self.review(pull, "REQUEST_CHANGES", text, at);
    }

    pub fn comments(&self, pull: i64, text: &str) {
        self.review(pull, "COMMENT", text, &[]);
    }

    /// Writes a plain comment below a request.
    pub fn says(&self, pull: i64, text: &str) {
        let reply = contents::say(&self.gitea.shared, pull, &json!({"body": text}), &self.login);
        assert_eq!(reply.status, 201, "{}", reply.body);
    }

    fn review(&self, pull: i64, word: &str, text: &str, remarks: &[(&str, i64, &str)]) {
        let shared = &self.gitea.shared;
        let commit = {
            let state = shared.state();
            let branch = &state.pull(pull).expect("the request").branch;
            shared.repo.commit_of(branch).unwrap_or_default()
        };
        {
            let mut state = shared.state();
            // As the server does: an older verdict of the same person is official no longer.
            if word != "COMMENT" {
                for old in state.reviews.iter_mut().filter(|r| r.pull == pull && r.user == self.login) {
                    old.official = false;
                }
            }
            let id = state.next_id();
            state.reviews.push(Review {
                id,
                pull,
                user: self.login.clone(),
                word: word.to_owned(),
                text: text.to_owned(),
                commit,
                official: self.official && word != "COMMENT",
                dismissed: false,
                remarks: remarks
                    .iter()
                    .map(|(path, line, text)| ((*path).to_owned(), *line, (*text).to_owned()))
                    .collect(),
            });
        }
        hooks::review(shared, pull, &self.login, word, text);
    }

    /// Pushes a commit to a branch.
    pub fn pushes(&self, branch: &str, file: &str, text: &str) -> String {
        let shared = &self.gitea.shared;
        let before = shared.repo.refs();
        let sha = shared.repo.commit(branch, file, text, &self.login);
        hooks::refs_moved(shared, &before, &self.login);
        sha
    }

    /// Pushes by force: another commit in the place of the branch's last one.
    pub fn rewrites(&self, branch: &str, file: &str, text: &str) -> String {
        let shared = &self.gitea.shared;
        let before = shared.repo.refs();
        shared
            .repo
            .git(&["update-ref", &format!("refs/heads/{branch}"), &format!("{branch}~1")]);
        let sha = shared.repo.commit(branch, file, text, &self.login);
        hooks::refs_moved(shared, &before, &self.login);
        sha
    }

    /// Changes the base of a request.
    pub fn turns(&self, pull: i64, base: &str) {
        let shared = &self.gitea.shared;
        shared.state().pull_mut(pull).expect("a request").base = base.to_owned();
        hooks::pull(shared, pull, "pull_request", "edited", &self.login);
    }

    /// Deletes a branch over git.
    pub fn deletes_branch(&self, branch: &str) {
        let shared = &self.gitea.shared;
        let before = shared.repo.refs();
        shared.repo.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
        hooks::refs_moved(shared, &before, &self.login);
    }

    /// Closes a request.
    pub fn closes(&self, pull: i64) {
        api::close(&self.gitea.shared, pull, &self.login);
    }

    /// Opens a request again; the server does so only where its branch is.
    pub fn reopens(&self, pull: i64) {
        let shared = &self.gitea.shared;
        {
            let mut state = shared.state();
            let pull = state.pull_mut(pull).expect("a request");
            assert!(shared.repo.commit_of(&pull.branch).is_some(), "its branch is gone");
            pull.open = true;
        }
        hooks::pull(shared, pull, "pull_request", "reopened", &self.login);
    }

    /// Merges a request in the browser.
    pub fn merges(&self, pull: i64) {
        let (status, body) = merge::merge(&self.gitea.shared, pull, &json!({"Do": "merge"}), &self.login);
        assert_eq!(status, 200, "{body}");
    }
}
