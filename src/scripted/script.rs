//! A scenario: what which agent does in its n-th run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Failure, USAGE};

/// A scenario file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// Where runs are recorded; else `SIGNALBOX_LEDGER`, else beside the script.
    pub(super) ledger: Option<PathBuf>,
    /// What planted traps write to when they are sprung; else `SIGNALBOX_MARKER`.
    pub(super) marker: Option<PathBuf>,
    #[serde(default)]
    agents: BTreeMap<String, Part>,
    #[serde(skip)]
    path: Option<PathBuf>,
}

/// An agent's part.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// What it does in its first, second … run for a task; the last one repeats.
    #[serde(rename = "do", default)]
    acts: Vec<String>,
}

impl Script {
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|e| Failure::new(USAGE, format!("cannot read script {}: {e}", path.display())))?;
        let mut script: Self = toml::from_str(&text).map_err(|e| Failure::new(USAGE, format!("{}: {e}", path.display())))?;
        script.path = Some(path.to_owned());
        Ok(script)
    }

    /// What the agent does after `nth` earlier runs for the same task.
    pub(super) fn behaviour(&self, agent: &str, nth: usize) -> &str {
        let acts = self.agents.get(agent).map_or(&[][..], |part| &part.acts);
        acts.get(nth).or(acts.last()).map_or("ok", String::as_str)
    }

    pub(super) fn default_ledger(&self) -> Option<PathBuf> {
        let mut name = self.path.as_ref()?.clone().into_os_string();
        name.push(".ledger");
        Some(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_act_repeats() -> Result<(), toml::de::Error> {
        let script: Script = toml::from_str("[agents.reviewer]\ndo = [\"changes\", \"ok\"]\n[agents.tester]\ndo = []")?;
        let acts: Vec<&str> = (0..4).map(|n| script.behaviour("reviewer", n)).collect();
        assert_eq!(acts, ["changes", "ok", "ok", "ok"]);
        assert_eq!((script.behaviour("tester", 0), script.behaviour("analyst", 3)), ("ok", "ok"));
        assert!(toml::from_str::<Script>("[agents.reviewer]\ndoo = []").is_err());
        Ok(())
    }
}
