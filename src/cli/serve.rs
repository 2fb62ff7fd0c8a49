//! `signalbox serve`: the service itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::engine::rules::{self, Files, Loaded, Severity, load};
use crate::shell::config::read_dir;
use crate::shell::embedded::embedded;
use crate::shell::proof::{self, Prover};
use crate::shell::service::{Service, Settings, StartError};
use crate::shell::store::{OpenError, in_use, told};
use crate::shell::{folder, older, reload, web};

use super::args::{Global, Serve};
use super::exit::{self, Failure};
use super::{find, out, validate};

/// This program, whatever lies at its path by now: an upgrade replaces the file under a running
/// service, and what it starts must be what it is itself.
const SELF: &str = "/proc/self/exe";

/// Runs the service until it is told to end.
#[must_use]
pub fn run(global: &Global, args: &Serve) -> ExitCode {
    let config = match find::configuration(global) {
        Ok(config) => config,
        Err(failure) => return refuse(&failure),
    };
    let settings = match settings(&config, args) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    log_to_stderr(args.log_json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Failure::other(format!("the runtime cannot start: {error}"))),
    };
    let prover = (!args.no_proof).then(prover);
    match runtime.block_on(serve(settings, prover, args.drain)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => refuse(&failure),
    }
}

fn refuse(failure: &Failure) -> ExitCode {
    out::failure(failure);
    ExitCode::from(failure.code)
}

/// Loads everything; what is wrong with it is told as `validate` tells it.
fn settings(config: &Path, args: &Serve) -> Result<Settings, ExitCode> {
    let parent = folder::of(config);
    let dir = parent
        .canonicalize()
        .map_err(|e| refuse(&Failure::other(format!("{} cannot be used: {e}", parent.display()))))?;
    let shipped = embedded();
    let failed = ExitCode::from(u8::try_from(validate::ERRORS).unwrap_or(exit::FAILURE));
    let files = read_dir(&dir, &shipped).map_err(|problem| {
        refuse(&Failure::other(problem.to_string()));
        failed
    })?;
    let mut loaded = load(&files);
    if loaded.failed() {
        out::note(&rules::render_human(&loaded.diagnostics, &files, false));
        refuse(&Failure::other("the rules have errors: nothing was started").help("`signalbox validate` shows them again"));
        return Err(failed);
    }
    if !args.no_proof {
        prove(&loaded, &files)?;
    }
    if let (Some(listen), Some(config)) = (args.listen, loaded.config.as_mut()) {
        config.listen = listen;
    }
    Ok(Settings {
        loaded,
        dir,
        exe: SELF.into(),
        agent_env: std::collections::BTreeMap::new(),
    })
}

/// A service that starts again does not wait again for what came to no end: `validate` tries that anew.
fn prover() -> Prover {
    Prover {
        again: false,
        ..Prover::default()
    }
}

/// Proves what was loaded, as `validate` does: what it refuses is not started.
fn prove(loaded: &Loaded, files: &Files) -> Result<(), ExitCode> {
    let proofs = prover().all(loaded, &BTreeSet::new(), &out::note);
    let found = proof::found(&proofs, files);
    if found.is_empty() {
        return Ok(());
    }
    out::note(&rules::render_human(&found, files, false));
    if !found.iter().any(|d| d.severity == Severity::Error) {
        return Ok(());
    }
    refuse(
        &Failure::other("the rules do not hold what every pipeline must: nothing was started")
            .help("`signalbox validate` shows it again; `--no-proof` starts all the same"),
    );
    Err(ExitCode::from(u8::try_from(validate::ERRORS).unwrap_or(exit::FAILURE)))
}

/// A log that cannot be written (its disk is full, its reader gone) is lost, and nothing else: by default a failed
/// write is told on standard error, which cannot be written either, and that ends whoever said something.
fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_ansi(ansi);
    if json {
        log.json().init();
    } else {
        log.init();
    }
}

async fn serve(settings: Settings, prover: Option<Prover>, drain: bool) -> Result<(), Failure> {
    free(&settings).await?;
    let config = settings.loaded.config.as_ref();
    let data = config.map_or_else(|| settings.dir.clone(), |config| settings.dir.join(&config.data));
    let service = Service::open(settings).await.map_err(|e| unopened(&e, &data))?;
    if let Some(prover) = prover {
        service.prove_reloads(prover);
    }
    let result = go(&service, drain).await;
    service.store.clone().close().await;
    result
}

/// Why the service did not start; agents that are at work without one are named, with what ends them.
fn unopened(error: &StartError, data: &Path) -> Failure {
    let failure = Failure::other(error.to_string());
    // Another service follows them, or the error names them itself.
    if matches!(error, StartError::Open(OpenError::Locked { .. } | OpenError::Older { .. })) {
        return failure;
    }
    match older::unattended(data) {
        runs if runs.is_empty() => failure,
        runs => failure.help(format!(
            "agents go on meanwhile, without a service: {}; or mend it and let them be",
            told(&runs)
        )),
    }
}

/// Looks whether the address can be had. One that is in use by a service of the same data directory is no other program's: what
/// is to be done is with that service, not with the address.
async fn free(settings: &Settings) -> Result<(), Failure> {
    let Some(config) = &settings.loaded.config else { return Ok(()) };
    let taken = |e: web::ServeError| match in_use(&settings.dir.join(&config.data)) {
        Some(held) => Failure::other(held.to_string()),
        None => Failure::other(e.to_string()),
    };
    web::free(config.listen).await.map_err(taken)
}

/// Listens first: a service that cannot be talked to starts nothing.
async fn go(service: &Arc<Service>, drain: bool) -> Result<(), Failure> {
    let other = |e: &dyn std::fmt::Display| Failure::other(e.to_string());
    let stop = CancellationToken::new();
    // Before anyone is told that the service is there: whoever changes a file then is heard.
    let watching = reload::begin(service);
    // So with whoever tells it to end as soon as it is there.
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let door = web::bind(service).await.map_err(|e| other(&e))?;
    let serving = tokio::spawn(door.serve(Arc::clone(service), stop.clone()));
    let ending = tokio::spawn(on_signal(Arc::clone(service), signals, stop.clone(), drain));
    let reloading = tokio::spawn(reload::keep_up(Arc::clone(service), watching, stop.clone()));
    let worked = service.work(stop.clone()).await;
    stop.cancel();
    ending.abort();
    reloading.abort();
    let served = serving.await.map_err(|e| other(&e))?;
    worked.map_err(|e| other(&e))?;
    served.map_err(|e| other(&e))
}

/// The first SIGTERM or SIGINT ends the service in good order, the second at once: agents stay
/// with their shims either way, and nothing that was recorded is lost. With `drain` the first lets
/// them end before, and the second is what the first is else.
async fn on_signal(service: Arc<Service>, signals: std::io::Result<(Signal, Signal)>, stop: CancellationToken, drain: bool) {
    let Ok((mut term, mut int)) = signals else {
        tracing::error!("signals cannot be listened to: only SIGKILL ends this service");
        return;
    };
    let mut next = async || {
        tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
    };
    next().await;
    if drain {
        tracing::info!(
            "draining: nothing new is started, and the service ends when no run is left; a second signal does not wait for that"
        );
        service.drain();
        tokio::select! { () = service.drained() => (), () = next() => () }
    }
    match service.store.open_runs().await {
        Ok(runs) if runs.is_empty() => tracing::info!("ending: no agent is at work"),
        _ => tracing::info!("ending: agents stay with their shims and are adopted at the next start"),
    }
    stop.cancel();
    next().await;
    tracing::warn!("ending at once");
    // Everything that was acknowledged is on disk.
    #[expect(clippy::disallowed_methods, reason = "the second signal asks for exactly this")]
    std::process::exit(1);
}
