//! The rules that ship with the binary.

use crate::engine::rules::Files;

macro_rules! table {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $path)))),*]
    };
}

/// Path and text of every shipped file.
const SHIPPED: &[(&str, &str)] = table![
    "pipelines/base.toml",
    "pipelines/docs.toml",
    "pipelines/orch.toml",
    "pipelines/enduro.toml",
    "pipelines/local.toml",
    "rules/staging.rhai",
    "prompts/accuracy.md",
    "prompts/analyst.md",
    "prompts/architect.md",
    "prompts/default.md",
    "prompts/deployer.md",
    "prompts/developer.md",
    "prompts/reviewer.md",
    "prompts/style.md",
    "prompts/tester.md",
    "prompts/writer.md",
    "messages/en.toml",
    "messages/ru.toml",
];

/// The shipped files; a person's files at the same paths replace them.
#[must_use]
pub fn embedded() -> Files {
    let mut files = Files::default();
    for (path, text) in SHIPPED {
        files.insert(path, *text, format!("{path} (built in)"));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_embedded() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for (folder, ext) in [("pipelines", "toml"), ("rules", "rhai"), ("prompts", "md"), ("messages", "toml")] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                // Part of every prompt, compiled into the renderer.
                if name.ends_with(ext) && name != "common.md" {
                    assert!(SHIPPED.iter().any(|(p, _)| *p == format!("{folder}/{name}")), "{folder}/{name}");
                }
            }
        }
    }
}
