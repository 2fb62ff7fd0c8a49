//! The service: what every part of the shell works with, and how it starts and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use regex::{Regex, RegexBuilder};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engine::budget::Held;
use crate::engine::model::{Blocker, Code, Millis, Name, RepoId, RunId, Task, TaskId};
use crate::engine::render;
use crate::engine::rules::{self, Config, Inputs, Loaded, Ruleset, revive};
use crate::shell::chat::{Chat, Room};
use crate::shell::commands::Commands;
use crate::shell::deaf::Deaf;
use crate::shell::degraded::{self, Degraded};
use crate::shell::first_start::FirstStart;
use crate::shell::forge::{Forge, ForgeError};
use crate::shell::git::{Git, GitError, Identity, TaskBranch, Vault};
use crate::shell::intake::plane::Missed;
use crate::shell::loops::{WorkError, until_all_end};
use crate::shell::process::{Supervisor, files, resolve};
use crate::shell::reload::Reloading;
use crate::shell::run::Busy;
use crate::shell::secret::Secret;
use crate::shell::stopping::{self, Stopping};
use crate::shell::store::{Integrity, KnownBoard, OpenError, Peer, RunRow, Store, StoreError};
use crate::shell::tracker::plane::Budgets;
use crate::shell::tracker::{LocalTracker, PlaneTracker, Tracker};
use crate::shell::wake::Bell;
use crate::shell::{chat, clock, intake, left, left_board, limit, older, queue, rescue, run, timekeeping};

/// Where a service lives and what it runs by.
pub struct Settings {
    /// The loaded files; they must not have failed.
    pub loaded: Loaded,
    /// The folder that relative paths of the configuration start from.
    pub dir: PathBuf,
    /// This binary, for `run-shim`.
    pub exe: PathBuf,
    /// Variables given to every agent besides its allow-list: the demo's script.
    pub agent_env: BTreeMap<String, String>,
}

/// Why a service did not start. Nothing half-written is left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// The data directory or database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The forge or the repository behind it.
    #[error("project `{project}`: {error}")]
    Forge {
        /// The project.
        project: Name,
        /// What is wrong.
        error: ForgeError,
    },
    /// The database, while reading what was left.
    #[error("{0}: see to the disk and the rights of the data directory, then start again; what was recorded is safe")]
    Store(#[from] StoreError),
}

/// A configured project: its rules, repository, tracker and forge.
pub struct Project {
    /// Its name in the configuration.
    pub name: Name,
    /// Its repository's row.
    pub repo: RepoId,
    /// Rules for new tasks.
    rules: Swap<Ruleset>,
    /// The bare repository in which every credentialed command runs.
    pub vault: Vault,
    /// Where branches and change requests live.
    pub forge: Forge,
    /// Where issues live.
    pub tracker: Tracker,
    /// The folder that relative programs of its rules start from.
    dir: PathBuf,
}

impl Project {
    /// Rules for new tasks, as they are now.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        self.rules.get()
    }

    /// Rules for new tasks from now on.
    pub(super) fn set_rules(&self, rules: Arc<Ruleset>) {
        self.rules.set(rules);
    }

    /// Work item id prefix of new tasks.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.rules.get().prefix.clone()
    }

    /// The artefact folder of a task, relative to the repository.
    #[must_use]
    pub fn folder(&self, rules: &Ruleset, task: &Task) -> String {
        let values = BTreeMap::from([
            ("id", task.item.clone()),
            ("slug", render::slug(&task.title)),
            ("project", self.name.to_string()),
        ]);
        render::path_template(&rules.artefacts, &values).unwrap_or_else(|_| format!("docs/work-items/{}", task.item))
    }

    /// The task's branch as a value that may be pushed to and deleted.
    ///
    /// # Errors
    /// The branch is the default branch or protected.
    pub fn task_branch(&self, rules: &Ruleset, task: &Task) -> Result<TaskBranch, GitError> {
        TaskBranch::new(&task.branch, self.vault.remote().default_branch(), &rules.branch.protected)
    }

    /// The identity under which an agent's work is committed.
    #[must_use]
    pub fn agent_identity(&self, slot: &str) -> Identity {
        Identity {
            name: format!("signalbox {slot}"),
            email: format!("{slot}@signalbox.invalid"),
        }
    }

    /// A program with a relative path starts from the configuration's folder; a bare name is
    /// looked up in `PATH` as usual.
    #[must_use]
    pub fn resolve_program(&self, mut program: Vec<String>) -> Vec<String> {
        if let Some(first) = program.first_mut() {
            *first = resolve(&self.dir, first);
        }
        program
    }
}

/// What the webhooks of a project are signed with.
pub struct Hook {
    /// Who sends them.
    pub peer: Peer,
    /// The project they may speak for.
    pub project: Name,
    /// The secret.
    pub secret: Secret,
}

/// The running service, as its parts see it.
pub struct Service {
    /// The database.
    pub store: Store,
    config: Swap<Config>,
    /// Projects by name: those that were configured when the service started.
    pub projects: BTreeMap<Name, Project>,
    /// Where alerts and cards are shown besides the tracker.
    pub chat: Chat,
    /// The data directory.
    pub data: PathBuf,
    /// When it started.
    pub started_at: Millis,
    /// The same, by a clock that nobody sets.
    pub began: Instant,
    /// This host's name, for rows a worker owns.
    pub host: String,
    /// Starts, adopts and ends runs.
    pub supervisor: Supervisor,
    /// Variables given to every agent.
    pub agent_env: BTreeMap<String, String>,
    /// What is known of agents' commands.
    pub commands: Commands,
    /// How often a long queue is read whole.
    pub(super) pace: queue::Pace,
    /// What is under way in this process.
    pub busy: Arc<Busy>,
    /// The configuration's folder.
    pub(super) dir: PathBuf,
    /// One reload at a time.
    pub(super) reloading: Reloading,
    /// Held by whoever settles a run; whole by whoever settles one that may bring the service down.
    pub(super) settling: tokio::sync::RwLock<()>,
    /// What webhooks are signed with.
    pub hooks: Vec<Hook>,
    /// What is wrong with the database.
    pub(super) degraded: Degraded,
    /// Boards that could not be read since the start.
    pub missed: Missed,
    /// Webhooks that are refused.
    pub(super) deaf: Deaf,
    pub(super) stopping: Stopping,
    /// Boards outside, by project, as they were known when the service started.
    pub boards: BTreeMap<Name, KnownBoard>,
    wake: Arc<Notify>,
    /// Since when nothing new is started; 0 while it is.
    draining: AtomicI64,
    rules: Mutex<BTreeMap<String, Arc<Ruleset>>>,
    patterns: Mutex<BTreeMap<String, Arc<Vec<Regex>>>>,
}

/// A value that is replaced as a whole; whoever holds the old one keeps it.
struct Swap<T>(RwLock<Arc<T>>);

impl<T> Swap<T> {
    fn new(value: Arc<T>) -> Self {
        Self(RwLock::new(value))
    }

    fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn set(&self, value: Arc<T>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
    }
}

impl Service {
    /// Opens everything a service needs; starts nothing yet.
    ///
    /// # Errors
    /// One sentence with the remedy; nothing half-written is left behind.
    pub async fn open(settings: Settings) -> Result<Arc<Self>, StartError> {
        limit::at_start();
        let config = settings
            .loaded
            .config
            .clone()
            .ok_or_else(|| StartError::Config("there is no signalbox.toml".to_owned()))?;
        let hooks = hooks(&config, &settings.dir)?;
        let room = open_room(&config, &settings.dir).map_err(StartError::Config)?;
        let git = Git::find().await?;
        let supervisor = Supervisor::probed(settings.exe.clone(), config.containment).await;
        let data = settings.dir.join(&config.data);
        let host = hostname();
        let first = FirstStart::look(&data);
        let store = Store::open_beside(&data, &host, &older::at_work)?;
        let opened = open_projects(&git, &store, &config, &settings, &data).await;
        let begun = async {
            let opened = opened?;
            older::begin(&store, &supervisor).await?;
            Ok((opened, follow_boards(&store, &config).await?))
        };
        let ((projects, rules), boards) = match begun.await {
            Ok(opened) => opened,
            Err(error) => {
                store.close().await;
                first.undo();
                return Err(error);
            }
        };
        let chat = Chat::default();
        chat.set(room);
        Ok(Arc::new(Self {
            store,
            config: Swap::new(Arc::new(config)),
            projects,
            chat,
            data,
            started_at: clock::now(),
            began: Instant::now(),
            host,
            supervisor,
            agent_env: settings.agent_env,
            commands: Commands::default(),
            pace: queue::Pace::default(),
            busy: Arc::default(),
            dir: settings.dir,
            reloading: Reloading::default(),
            settling: tokio::sync::RwLock::default(),
            hooks,
            degraded: Degraded::default(),
            missed: Missed::default(),
            deaf: Deaf::default(),
            stopping: Stopping::default(),
            boards,
            wake: Arc::default(),
            draining: AtomicI64::new(0),
            rules: Mutex::new(rules),
            patterns: Mutex::default(),
        }))
    }

    /// Takes up what was left, then works until `stop` is cancelled. Agents stay with their shims.
    /// Nothing is decided any more once the database was found damaged.
    ///
    /// # Errors
    /// The database, while what was left is read; a loop that fell over.
    pub async fn work(self: &Arc<Self>, stop: CancellationToken) -> Result<(), WorkError> {
        let deciding = stop.child_token();
        let (mut integrity, over) = (self.store.integrity(), deciding.clone());
        let watching = tokio::spawn(async move {
            let damaged = integrity.wait_for(|known| matches!(known, Integrity::Damaged { .. })).await.is_ok();
            if damaged {
                over.cancel();
            }
        });
        self.store.check();
        let outcome = self.decide(deciding).await;
        self.commands.end().await;
        watching.abort();
        if matches!(&*self.store.integrity().borrow(), Integrity::Damaged { .. }) {
            // Whoever asks is answered still, whatever the damage has ended.
            stop.cancelled().await;
            return Ok(());
        }
        outcome
    }

    async fn decide(self: &Arc<Self>, stop: CancellationToken) -> Result<(), WorkError> {
        let mut told = false;
        while let Err(error) = self.take_up().await {
            // A disk that fills up just now ends nothing: agents are with their shims.
            let StoreError::Degraded { .. } = error else {
                return Err(error.into());
            };
            if !told {
                tracing::error!(%error, "what was left cannot be taken up yet: nothing is started until it can");
            }
            told = true;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(degraded::PAUSE) => {}
            }
        }
        if told {
            tracing::info!("the database is in order again: work begins");
        }
        let mut loops = JoinSet::new();
        loops.spawn(intake::run(Arc::clone(self), stop.clone()));
        loops.spawn(intake::plane::catch_up(Arc::clone(self), stop.clone()));
        loops.spawn(run::run(Arc::clone(self), stop));
        until_all_end(loops).await
    }

    async fn take_up(self: &Arc<Self>) -> Result<(), StoreError> {
        timekeeping::begin(self).await?;
        rescue::begin(self).await?;
        self.store.hurry_put_back(clock::now()).await?;
        self.follow_at_start().await?;
        left_board::begin(self).await?;
        self.chat_begins().await
    }

    /// From now on nothing new is started; what is at work goes on.
    pub fn drain(&self) {
        self.draining.store(clock::now().0.max(1), Ordering::SeqCst);
    }

    /// Whether nothing new is started any more.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst) > 0
    }

    /// Waits until no run is left.
    pub async fn drained(&self) {
        let mut commits = self.store.commits();
        loop {
            commits.borrow_and_update();
            match self.store.open_runs().await {
                Ok(runs) if runs.is_empty() => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "whether runs are left cannot be read"),
            }
            if commits.changed().await.is_err() {
                return;
            }
        }
    }

    /// The chat is looked at afresh: where its room has moved to, what waits for it, and which
    /// tasks have no card there yet.
    pub(super) async fn chat_begins(&self) -> Result<(), StoreError> {
        let Some(room) = self.chat.room() else { return Ok(()) };
        if let Some(place) = self.store.room_moved(room.configured()).await? {
            room.move_to(&place);
        }
        self.store.hasten_chat(self.now()).await?;
        self.store.cards_due(&room.place(), self.now()).await?;
        Ok(())
    }

    /// The configuration, as it is now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.get()
    }

    /// The configuration from now on.
    pub(super) fn set_config(&self, config: Config) {
        self.config.set(Arc::new(config));
    }

    /// Keeps rules at hand; forgets those that nobody works under and that the store has.
    pub(super) fn keep_rules(&self, new: impl IntoIterator<Item = Arc<Ruleset>>, used: &BTreeSet<String>) {
        let mut rules = lock(&self.rules);
        rules.retain(|hash, _| used.contains(hash));
        rules.extend(new.into_iter().map(|r| (r.hash.clone(), r)));
        lock(&self.patterns).retain(|hash, _| rules.contains_key(hash));
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Millis {
        clock::now()
    }

    /// The project of a task.
    #[must_use]
    pub fn project_of(&self, task: &Task) -> Option<&Project> {
        self.projects.get(&task.project)
    }

    /// The rules a task runs under: those it was made with, from the store where they are not
    /// the current ones.
    pub async fn rules_of(&self, task: &Task) -> Option<Arc<Ruleset>> {
        self.rules_at(&task.rules).await
    }

    /// The rules with this content hash, from the store where they are not in use.
    pub async fn rules_at(&self, hash: &str) -> Option<Arc<Ruleset>> {
        if let Some(rules) = lock(&self.rules).get(hash) {
            return Some(Arc::clone(rules));
        }
        let stored = self.store.ruleset(hash).await.ok().flatten()?;
        let rules = match revive(&stored) {
            Ok(rules) => Arc::new(rules),
            Err(problems) => {
                let first = problems.first().map(|p| p.message.clone()).unwrap_or_default();
                tracing::error!(rules = %hash, "stored rules cannot be used: {first}");
                return None;
            }
        };
        lock(&self.rules).insert(hash.to_owned(), Arc::clone(&rules));
        Some(rules)
    }

    /// Why nothing is launched now, whatever waits.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        let draining = self.draining.load(Ordering::SeqCst);
        if draining > 0 {
            return Some(Held {
                code: Code::Draining,
                text: "the service is ending and waits for the runs under way: nothing new is launched before somebody, or whatever keeps it running, has started it again"
                    .to_owned(),
                since: Millis(draining),
                passes: true,
            });
        }
        let (text, passes) = match &*self.store.integrity().borrow() {
            Integrity::Whole => return None,
            Integrity::UnderWay => (
                "the database is large and is being read whole after the start: nothing is launched until it was found sound".to_owned(),
                true,
            ),
            Integrity::Damaged { why } => (format!("nothing is decided or launched any more: {why}"), false),
        };
        Some(Held {
            code: Code::DbCheck,
            text,
            since: self.started_at,
            passes,
        })
    }

    /// All blockers of tasks: the one function behind `why`, `/queue` and `status`.
    ///
    /// # Errors
    /// The database.
    pub async fn blockers(&self, tasks: &[Task]) -> Result<BTreeMap<TaskId, Vec<Blocker>>, StoreError> {
        let found = left::shown(self, queue::blockers(self, tasks).await?).await?;
        stopping::shown(self, found).await
    }

    /// Look at the inbox, the queue and the outbox now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What tells the loop of commits, and of [`Self::wake`].
    pub(super) fn bell(&self) -> Bell {
        Bell {
            commits: self.store.commits(),
            ring: Arc::clone(&self.wake),
        }
    }

    /// The service's own identity in commits.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            name: "signalbox".to_owned(),
            email: "signalbox@signalbox.invalid".to_owned(),
        }
    }

    /// What people call a task; its row, where the store does not say.
    pub async fn label(&self, task: TaskId) -> String {
        let known = self.store.item_label(task).await.ok().flatten();
        known.unwrap_or_else(|| format!("#{task}"))
    }

    /// The folder of all runs.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.data.join("runs")
    }

    /// A run's folder.
    #[must_use]
    pub fn run_dir(&self, run: RunId) -> PathBuf {
        self.runs_dir().join(run.to_string())
    }

    /// Where a run's work is taken over: not in the run's folder, which its agent knows and can spoil.
    #[must_use]
    pub fn scratch_dir(&self, run: RunId) -> PathBuf {
        self.data.join("scratch").join(run.to_string())
    }

    /// A run's log.
    #[must_use]
    pub fn log_path(&self, run: RunId) -> PathBuf {
        self.data.join(run.log())
    }

    /// A new nonce: what a verdict must repeat. Unpredictable enough that no earlier run knows it.
    #[must_use]
    pub fn nonce(&self) -> String {
        // The first twelve digits of a version 7 UUID are the time, then comes its version; the rest is random. Without the
        // letter one in some hundred is a number to YAML, and no agent quotes it.
        format!("r{}", uuid::Uuid::now_v7().simple().to_string().split_off(13))
    }

    /// The weather patterns of a ruleset, compiled once.
    #[must_use]
    pub fn patterns(&self, rules: &Ruleset) -> Arc<Vec<Regex>> {
        let mut cache = lock(&self.patterns);
        let compile = || {
            let build = |p: &String| RegexBuilder::new(p).case_insensitive(true).size_limit(1 << 20).build().ok();
            Arc::new(rules.retry.patterns.iter().filter_map(build).collect())
        };
        Arc::clone(cache.entry(rules.hash.clone()).or_insert_with(compile))
    }

    /// Removes what a settled run needs no longer: its HOME, scratch and temporary files. The log
    /// and the exit record stay.
    pub async fn forget_run_files(&self, run: &RunRow) {
        let folder = self.run_dir(run.id);
        // An agent may have taken our own rights to its folder. Where it is gone there is nothing to mend.
        let _ = files::reclaim(&folder);
        for dir in [folder.join("home"), folder.join("tmp"), self.scratch_dir(run.id)] {
            if let Err(error) = tokio::fs::remove_dir_all(&dir).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(run = %run.id, %error, "{} could not be removed", dir.display());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// The secrets of all webhooks.
fn hooks(config: &Config, dir: &Path) -> Result<Vec<Hook>, StartError> {
    let mut hooks = Vec::new();
    for (project, settings) in &config.projects {
        let mut add = |peer, key: &str, from| {
            let read = Secret::read(from, dir);
            let secret = read.map_err(|why| StartError::Config(format!("project `{project}`: {key}.secret cannot be had: {why}")))?;
            hooks.push(Hook {
                peer,
                project: project.clone(),
                secret,
            });
            Ok::<(), StartError>(())
        };
        if let rules::Tracker::Plane(plane) = &settings.tracker {
            add(Peer::Plane, "tracker", &plane.secret)?;
        }
        if let rules::Forge::Gitea(gitea) = &settings.forge {
            add(Peer::Gitea, "forge", &gitea.secret)?;
        }
    }
    Ok(hooks)
}

/// The room that the configuration names, if it names one.
pub(super) fn open_room(config: &Config, dir: &Path) -> Result<Option<Room>, String> {
    config.chat.as_ref().map(|settings| chat::open(settings, dir)).transpose()
}

type Opened = (BTreeMap<Name, Project>, BTreeMap<String, Arc<Ruleset>>);

/// What is known of the boards outside that projects are on. From its first start on a board is known.
async fn follow_boards(store: &Store, config: &Config) -> Result<BTreeMap<Name, KnownBoard>, StoreError> {
    let mut known = BTreeMap::new();
    for (name, settings) in &config.projects {
        if let rules::Tracker::Plane(plane) = &settings.tracker {
            let server = format!("{}/{}", plane.url, plane.workspace);
            let board = store.follow_board(name, &server, &plane.project, clock::now()).await?;
            known.insert(name.clone(), board);
        }
    }
    Ok(known)
}

/// Every configured project with its rules, and the rules by their hash.
async fn open_projects(git: &Git, store: &Store, config: &Config, settings: &Settings, data: &Path) -> Result<Opened, StartError> {
    let mut projects = BTreeMap::new();
    let mut rules = BTreeMap::new();
    let budgets = Budgets::default();
    for (name, rule) in &settings.loaded.rulesets {
        let project = open_project(git, store, config, &settings.dir, data, name, rule, &budgets).await?;
        let inputs = settings.loaded.inputs.get(name).map(Inputs::stored).unwrap_or_default();
        store.save_ruleset(&rule.hash, inputs, clock::now()).await?;
        rules.insert(rule.hash.clone(), Arc::clone(rule));
        projects.insert(name.clone(), project);
    }
    Ok((projects, rules))
}

#[allow(clippy::too_many_arguments, reason = "what a project is made of")]
async fn open_project(
    git: &Git,
    store: &Store,
    config: &Config,
    dir: &Path,
    data: &Path,
    name: &Name,
    rules: &Arc<Ruleset>,
    budgets: &Budgets,
) -> Result<Project, StartError> {
    let settings = config
        .projects
        .get(name)
        .ok_or_else(|| StartError::Config(format!("project `{name}` is not configured")))?;
    let (repo, forge) = open_forge(git, store, &settings.forge, dir, data, name).await?;
    let vault = Vault::open(git.clone(), &data.join("vaults").join(format!("{repo}.git")), forge.remote()).await?;
    let tracker = open_tracker(store, name, &settings.tracker, dir, budgets)?;
    if matches!(tracker, Tracker::Plane(_)) && config.people == rules::People::default() {
        tracing::warn!(project = %name, "nobody is listed in [people]: nobody can start, approve or stop anything on the board");
    }
    Ok(Project {
        name: name.clone(),
        repo,
        rules: Swap::new(Arc::clone(rules)),
        vault,
        forge,
        tracker,
        dir: dir.to_path_buf(),
    })
}

/// The project's forge, and its repository's row. A server is not asked: a start depends on no peer.
async fn open_forge(
    git: &Git,
    store: &Store,
    settings: &rules::Forge,
    dir: &Path,
    data: &Path,
    name: &Name,
) -> Result<(RepoId, Forge), StartError> {
    match settings {
        rules::Forge::Local { source, default_branch } => {
            let (source, bare) = (dir.join(source), data.join("forge").join(format!("{name}.git")));
            let repo = store.repo(&format!("local:{name}")).await?.id;
            let forge = Forge::local(git.clone(), store.clone(), repo, &bare, Some(&source), Some(default_branch)).await;
            let wrap = |error| StartError::Forge {
                project: name.clone(),
                error,
            };
            Ok((repo, forge.map_err(wrap)?))
        }
        rules::Forge::Gitea(gitea) => {
            let wrong = |why: String| StartError::Config(format!("project `{name}`: its forge: {why}"));
            let token = Secret::read(&gitea.token, dir).map_err(|why| wrong(format!("`token`: {why}")))?;
            let key = format!("gitea:{}/{}/{}", gitea.url, gitea.owner, gitea.repo).to_lowercase();
            let repo = store.repo(&key).await?.id;
            Ok((
                repo,
                Forge::on_gitea(store.clone(), repo, gitea, token).map_err(|e| wrong(e.to_string()))?,
            ))
        }
    }
}

/// The tracker of a project. A server is not asked yet: a start depends on no peer.
fn open_tracker(store: &Store, name: &Name, tracker: &rules::Tracker, dir: &Path, budgets: &Budgets) -> Result<Tracker, StartError> {
    let rules::Tracker::Plane(plane) = tracker else {
        return Ok(Tracker::Local(LocalTracker::new(store.clone(), name.clone())));
    };
    let read = |what: &str, from: &rules::Secret| {
        let why = |why| StartError::Config(format!("project `{name}`: tracker.{what} cannot be had: {why}"));
        Secret::read(from, dir).map_err(why)
    };
    let key = read("token", &plane.token)?;
    let mut agents = BTreeMap::new();
    for (slot, from) in &plane.agents {
        agents.insert(slot.clone(), read(&format!("agents.{slot}"), from)?);
    }
    let tracker = PlaneTracker::new(plane, key, agents, budgets);
    let tracker =
        tracker.map_err(|why| StartError::Config(format!("project `{name}`: connections to its tracker cannot be made: {why}")))?;
    Ok(Tracker::Plane(tracker))
}
