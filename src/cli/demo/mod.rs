//! `signalbox demo`: a task goes all the way, with real git and real processes, and no account.

mod play;
mod setting;
mod timeline;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::engine::rules::load;
use crate::shell::config::read_dir;
use crate::shell::embedded::embedded;
use crate::shell::service::{Service, Settings};

use setting::Setting;

/// What the demo is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Drive one task to its end, decide everything, clean up and exit
    #[arg(long)]
    pub once: bool,
    /// The pipeline
    #[arg(long, default_value = "orch")]
    pub pipeline: String,
    /// Where the demo lives; a temporary folder that is removed in the end, unless given
    #[arg(long, value_name = "DIR")]
    pub at: Option<PathBuf>,
    /// A folder with pipelines/, rules/, prompts/ or messages/ to use over the built-in ones
    /// [default: the working directory, if it has pipelines/]
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// With --once: give up after this many seconds
    #[arg(long, default_value_t = 55, value_name = "SECONDS")]
    pub limit: u64,
}

/// Runs the demo.
#[must_use]
pub fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(play(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    super::out::note(&format!("signalbox demo: {why}"));
    ExitCode::FAILURE
}

async fn play(args: &DemoArgs) -> Result<(), String> {
    // Listened to before anything is made: whatever ends the demo, it cleans up after itself.
    let mut signals = Signals::listen()?;
    let setting = Setting::make(args).await?;
    let files = setting.files(args)?;
    let loaded = load(&files);
    if loaded.failed() {
        return Err(crate::engine::rules::render_human(&loaded.diagnostics, &files, false));
    }
    let settings = Settings {
        loaded,
        dir: setting.dir().to_path_buf(),
        exe: setting.exe.clone(),
        agent_env: setting.agent_env(),
    };
    let service = Service::open(settings).await.map_err(|e| e.to_string())?;
    service.lay_over(rules_over(args)?);
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (service, stop) = (Arc::clone(&service), stop.clone());
        async move { service.work(stop).await }
    });
    let doors = CancellationToken::new();
    let shown = async {
        if args.once {
            once(args, &setting, &service).await
        } else {
            stay(&setting, &service, &doors).await
        }
    };
    let result = tokio::select! {
        result = shown => result,
        () = signals.any() => interrupted(args),
    };
    let left = play::end_all(&service).await;
    doors.cancel();
    stop.cancel();
    let worked = working.await.map_err(|e| format!("the service ended badly: {e}"))?;
    service.store.clone().close().await;
    worked.map_err(|e| e.to_string())?;
    if left > 0 {
        return Err(format!(
            "{left} run(s) could not be ended; their files are kept at {}",
            setting.keep().display()
        ));
    }
    result
}

/// Ctrl-C is how a demo that stays up is meant to end.
fn interrupted(args: &DemoArgs) -> Result<(), String> {
    if args.once {
        return Err("interrupted: its task is stopped, its files are removed".to_owned());
    }
    timeline::note("\nEnding: agents are stopped and the demo's files removed.");
    Ok(())
}

/// The signals that end a demo.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, String> {
        let one = |kind| signal(kind).map_err(|e| format!("signals cannot be listened to: {e}"));
        Ok(Self([
            one(SignalKind::interrupt())?,
            one(SignalKind::terminate())?,
            one(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [int, term, hup] = &mut self.0;
        tokio::select! { _ = int.recv() => (), _ = term.recv() => (), _ = hup.recv() => () }
    }
}

async fn once(args: &DemoArgs, setting: &Setting, service: &Arc<Service>) -> Result<(), String> {
    timeline::heading(&format!(
        "A task through `{}`: real git, real processes, a scripted agent",
        args.pipeline
    ));
    timeline::note("The reviewer asks for changes once and the tester fails once; a scripted person approves and confirms.");
    let limit = Duration::from_secs(args.limit);
    let before = play::base(service).await?;
    let item = play::begin(service).await?;
    let played = tokio::time::timeout(limit, play::to_the_end(service, &item)).await;
    match played {
        Ok(result) => result?,
        Err(_) => return Err(play::stuck(service, &item, args.limit).await),
    }
    setting.tell_result(service, &item, &before).await
}

async fn stay(setting: &Setting, service: &Arc<Service>, doors: &CancellationToken) -> Result<(), String> {
    let door = crate::shell::web::bind(service).await.map_err(|e| e.to_string())?;
    let serving = tokio::spawn(door.serve(Arc::clone(service), doors.clone()));
    let item = play::begin(service).await?;
    timeline::heading("The demo is up; the decisions are yours");
    setting.tell_how(service, &item);
    tokio::select! {
        result = play::watch(service) => result,
        served = serving => match served {
            Ok(result) => result.map_err(|e| e.to_string()),
            Err(error) => Err(format!("the server ended badly: {error}")),
        },
    }
}

/// The shipped files with those of a folder over them.
fn rules_over(args: &DemoArgs) -> Result<crate::engine::rules::Files, String> {
    let shipped = embedded();
    let here = PathBuf::from(".");
    let dir = match &args.rules {
        Some(dir) => dir.clone(),
        None if here.join("pipelines").is_dir() => here,
        None => return Ok(shipped),
    };
    read_dir(&dir, &shipped).map_err(|e| e.to_string())
}
