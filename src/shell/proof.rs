//! The proof beside the load: of each project, and of pipelines that no project uses. `validate`,
//! `serve` and `reload` make it alike. Proofs are kept in the user's cache folder by what they are
//! of; a kept one that cannot be read is none.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::engine::explore::{LIMIT, Proof, Verdict, findings, prove_while};
use crate::engine::model::Name;
use crate::engine::rules::{Diagnostic, Files, Loaded, Origins, Ruleset};

/// Raised whenever a proof means something else.
const VERSION: u32 = 2;

/// The proof of one ruleset.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The project, or the pipeline's own name.
    pub name: String,
    /// The pipeline.
    pub pipeline: Name,
    /// Its proof.
    pub proof: Proof,
}

/// How proofs are made.
#[derive(Debug, Clone)]
pub struct Prover {
    /// Where they are kept; without it each is made anew.
    pub cache: Option<PathBuf>,
    /// How long one may take: what is not decided by then is skipped, with a warning.
    pub patience: Duration,
    /// Whether one that was given up before is tried again.
    pub again: bool,
}

/// How long a proof may take, where nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody who waits is told how far a proof is.
const NEWS: Duration = Duration::from_secs(10);

impl Default for Prover {
    /// With the user's cache.
    fn default() -> Self {
        Self {
            cache: cache_dir(),
            patience: PATIENCE,
            again: true,
        }
    }
}

/// What a file of the cache holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    key: String,
    proof: Proof,
    /// It came to no end in so many milliseconds.
    gave_up_after: Option<u64>,
}

/// The folder of proofs: `$XDG_CACHE_HOME/signalbox/proof`, else below `~/.cache`.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("signalbox/proof"))
}

impl Prover {
    /// Proves every project, and every pipeline that no project uses, built-in ones only where there
    /// is no project at all. Rules whose hash is `known` are left out. Whoever waits is told by `tell` how far it is.
    #[must_use]
    pub fn all(&self, loaded: &Loaded, known: &BTreeSet<String>, tell: &(dyn Fn(&str) + Sync)) -> Vec<Proved> {
        let used: BTreeSet<&Name> = loaded.rulesets.values().map(|r| &r.pipeline).collect();
        let own = |name: &Name| {
            let origins = loaded.pipeline_origins.get(name);
            let flow = origins.and_then(|o| o.0.get("flow"));
            loaded.rulesets.is_empty() || flow.is_some_and(|o| !o.file.ends_with("(built in)"))
        };
        let projects = loaded.rulesets.iter().map(|(n, r)| (n, r, loaded.origins.get(n)));
        let others = loaded.pipelines.iter().filter(|(n, _)| !used.contains(n) && own(n));
        let others = others.map(|(n, r)| (n, r, loaded.pipeline_origins.get(n)));
        let each: Vec<(&Name, &Arc<Ruleset>, Option<&Origins>)> =
            projects.chain(others).filter(|(_, r, _)| !known.contains(&r.hash)).collect();
        let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(each.len());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((name, rules, origins)) = each.get(at) else { return done };
                let proof = self.one(name, rules, *origins, tell);
                let (name, pipeline) = (name.to_string(), rules.pipeline.clone());
                done.push((at, Proved { name, pipeline, proof }));
            }
        };
        let mut proved: Vec<(usize, Proved)> = std::thread::scope(|scope| {
            // Where no thread can be had, this one does the rest.
            let other = |_| std::thread::Builder::new().name("proof".to_owned()).spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..at_once).filter_map(other).collect();
            let mut done = work();
            // One that panicked proved nothing; whoever asks is told of a defect, not of a proof.
            others.into_iter().for_each(|other| match other.join() {
                Ok(more) => done.extend(more),
                Err(defect) => std::panic::resume_unwind(defect),
            });
            done
        });
        proved.sort_by_key(|(at, _)| *at);
        proved.into_iter().map(|(_, one)| one).collect()
    }

    fn one(&self, name: &Name, rules: &Ruleset, origins: Option<&Origins>, tell: &(dyn Fn(&str) + Sync)) -> Proof {
        let key = format!(
            "{}/{}/{VERSION}/{}/{name}/{}/{LIMIT}",
            env!("CARGO_PKG_VERSION"),
            crate::engine::SEMANTICS,
            rules.hash,
            rules.pipeline
        );
        let path = self.cache.as_ref().map(|dir| dir.join(file(&key)));
        if let Some(kept) = path.as_deref().and_then(|p| read(p, &key)) {
            // One that was given up depends on the machine's mood, and is as good as what would be found now at the least.
            let enough = |ms| !self.again && u128::from(ms) >= self.patience.as_millis();
            if kept.gave_up_after.is_none_or(enough) {
                return kept.proof;
            }
        }
        let (began, told) = (Instant::now(), std::cell::Cell::new(Instant::now()));
        let go_on = |states: usize| {
            if told.get().elapsed() > NEWS {
                told.set(Instant::now());
                tell(&format!("proof of {name}: {states} states so far, {} s", began.elapsed().as_secs()));
            }
            began.elapsed() < self.patience
        };
        let proof = prove_while(rules, origins, LIMIT, &go_on);
        let given_up = proof.states < LIMIT && proof.properties.iter().any(|p| p.verdict == Verdict::Skipped);
        let gave_up_after = given_up.then(|| u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        if let Some(path) = path {
            // A cache that cannot be written costs time, nothing else.
            let _ = write(
                &path,
                &Kept {
                    key,
                    proof: proof.clone(),
                    gave_up_after,
                },
            );
        }
        proof
    }
}

/// What the proofs found, as findings with places.
#[must_use]
pub fn found(proofs: &[Proved], files: &Files) -> Vec<Diagnostic> {
    proofs.iter().flat_map(|one| findings(&one.pipeline, &one.proof, files)).collect()
}

fn file(key: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("{}.json", hex::encode(Sha256::digest(key.as_bytes())))
}

fn read(path: &Path, key: &str) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.key == key).then_some(kept)
}

fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rules::load;
    use crate::shell::embedded::embedded;

    /// However it is made quicker: what is explored stays the same, to the last transition.
    fn explores(name: &str, counts: (usize, u64)) {
        let proof = crate::engine::explore::prove(&load(&embedded()).pipelines[name], None, LIMIT);
        assert_eq!((proof.states, proof.transitions), counts, "{name}");
    }

    #[test]
    fn p7_the_exploration_of_small_pipelines_leaves_nothing_out() {
        explores("local", (12_935, 619_047));
        explores("docs", (19_773, 587_657));
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised: cargo test --release")]
    fn p7_the_exploration_of_large_pipelines_leaves_nothing_out() {
        explores("enduro", (273_705, 13_472_877));
        explores("orch", (337_560, 22_784_709));
    }
}
