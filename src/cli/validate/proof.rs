//! The proof beside the load: of each project, and of pipelines that no project uses. Proofs are
//! kept in the user's cache folder by what they are of; a kept one that cannot be read is none.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::explore::{LIMIT, Proof, prove};
use crate::engine::model::Name;
use crate::engine::rules::{Loaded, Origins, Ruleset};

/// Raised whenever a proof means something else.
const VERSION: u32 = 1;

/// The proof of one ruleset.
pub(super) struct Proved {
    /// The project, or the pipeline's own name.
    pub name: String,
    pub pipeline: Name,
    pub proof: Proof,
}

/// What a file of the cache holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    key: String,
    proof: Proof,
}

/// The folder of proofs: `$XDG_CACHE_HOME/signalbox/proof`, else below `~/.cache`.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("signalbox/proof"))
}

/// Proves every project, and every pipeline that no project uses, built-in ones only where there is
/// no project at all.
pub(super) fn all(loaded: &Loaded, cache: Option<&Path>) -> Vec<Proved> {
    let used: BTreeSet<&Name> = loaded.rulesets.values().map(|r| &r.pipeline).collect();
    let own = |name: &Name| {
        let origins = loaded.pipeline_origins.get(name);
        let flow = origins.and_then(|o| o.0.get("flow"));
        loaded.rulesets.is_empty() || flow.is_some_and(|o| !o.file.ends_with("(built in)"))
    };
    let projects = loaded.rulesets.iter().map(|(n, r)| (n, r, loaded.origins.get(n)));
    let others = loaded.pipelines.iter().filter(|(n, _)| !used.contains(n) && own(n));
    let others = others.map(|(n, r)| (n, r, loaded.pipeline_origins.get(n)));
    let each: Vec<(&Name, &Arc<Ruleset>, Option<&Origins>)> = projects.chain(others).collect();
    let proved = each.into_iter().map(|(name, rules, origins)| Proved {
        name: name.to_string(),
        pipeline: rules.pipeline.clone(),
        proof: one(name, rules, origins, cache),
    });
    proved.collect()
}

fn one(name: &Name, rules: &Ruleset, origins: Option<&Origins>, cache: Option<&Path>) -> Proof {
    let key = format!(
        "{}/{}/{VERSION}/{}/{name}/{}/{LIMIT}",
        env!("CARGO_PKG_VERSION"),
        crate::engine::SEMANTICS,
        rules.hash,
        rules.pipeline
    );
    let path = cache.map(|dir| dir.join(file(&key)));
    if let Some(kept) = path.as_deref().and_then(|p| read(p, &key)) {
        return kept;
    }
    let proof = prove(rules, origins, LIMIT);
    if let Some(path) = path {
        // A cache that cannot be written costs time, nothing else.
        let _ = write(&path, &key, &proof);
    }
    proof
}

fn file(key: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("{}.json", hex::encode(Sha256::digest(key.as_bytes())))
}

fn read(path: &Path, key: &str) -> Option<Proof> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.key == key).then_some(kept.proof)
}

fn write(path: &Path, key: &str, proof: &Proof) -> std::io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(dir)?;
    let kept = Kept {
        key: key.to_owned(),
        proof: proof.clone(),
    };
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.persist(path)?;
    Ok(())
}

/// A line per proof for people.
pub(super) fn told(proofs: &[Proved], clean: bool, left_out: bool) -> String {
    if !clean {
        return String::new();
    }
    if left_out {
        return "proof: skipped (--no-proof)\n".to_owned();
    }
    let mut out = String::new();
    for one in proofs {
        out += &format!("proof of {}: {}\n", one.name, one.proof.summary());
    }
    if let Some(first) = proofs.first() {
        out += &format!("not covered: {}\n", first.proof.not_covered.join("; "));
    }
    out
}

/// The findings as JSON, the proofs beside them.
pub(super) fn json(findings: &str, proofs: &[Proved], clean: bool, left_out: bool) -> String {
    let Ok(Value::Object(mut all)) = serde_json::from_str::<Value>(findings) else {
        return findings.to_owned();
    };
    let told = match (clean, left_out) {
        (false, _) => json!({ "skipped": "the rules do not load" }),
        (true, true) => json!({ "skipped": "--no-proof" }),
        (true, false) => {
            let each = proofs
                .iter()
                .map(|p| (p.name.clone(), serde_json::to_value(&p.proof).unwrap_or_default()));
            Value::Object(each.collect())
        }
    };
    all.insert("proof".to_owned(), told);
    format!("{:#}\n", Value::Object(all))
}
