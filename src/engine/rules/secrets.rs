//! Secrets that stand in clear, known by their looks.

use std::sync::LazyLock;

use regex::Regex;

use super::codes;
use super::diagnostic::{Problem, Sink};
use super::tree::{Node, Table, Value};

/// Tokens of well-known services, private keys, and passwords in addresses.
static LOOKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let looks = r"sk-ant-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{16,}|AKIA[0-9A-Z]{16}|xox[abp]-[0-9A-Za-z-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|[a-z]+://[^/@:\s]+:[^/@\s]+@|plane_api_[0-9a-f]{32}";
    Regex::new(looks).ok()
});

/// Looks through every text of a file.
pub fn scan(table: &Table, sink: &Sink) {
    for entry in &table.0 {
        node(&entry.node, sink);
    }
}

fn node(n: &Node, sink: &Sink) {
    match &n.value {
        Value::Str(text) if LOOKS.as_ref().is_some_and(|r| r.is_match(text)) => {
            let problem = Problem::error(codes::SECRET, &n.place, "this looks like a secret in clear").label("a secret?");
            sink.push(
                problem.help(
                    "refer to it: { env = \"NAME_OF_A_VARIABLE\" } or { file = \"/run/secrets/…\" }; and change it, it has been seen",
                ),
            );
        }
        Value::Array(nodes) => nodes.iter().for_each(|n| node(n, sink)),
        Value::Table(table) => scan(table, sink),
        _ => {}
    }
}
