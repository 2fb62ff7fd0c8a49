//! The unit for systemd that is shipped in `docs`: what agents outlive the service by stands in it.

use std::fs;
use std::path::Path;

/// Settings of a section of the unit: name and value, in order.
fn settings(section: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd/signalbox.service");
    let text = fs::read_to_string(path).expect("the unit");
    let from = text.split_once(&format!("\n[{section}]\n")).expect("the section").1;
    let own = from.lines().take_while(|line| !line.starts_with('['));
    own.filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// The value of a setting that stands there once.
fn value(of: &[(String, String)], name: &str) -> String {
    let found: Vec<&str> = of.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].to_owned()
}

#[test]
fn agents_outlive_the_service_under_systemd() {
    let service = settings("Service");
    // The usual mode would end agents with the service, at each restart and upgrade.
    assert_eq!(value(&service, "KillMode"), "process");
    assert_eq!(
        value(&service, "OOMPolicy"),
        "continue",
        "nor does a run that eats all memory end the service"
    );
    assert_eq!(value(&service, "Delegate"), "yes", "cgroups of runs are the service's own to make");
    assert_eq!(
        value(&service, "Restart"),
        "always",
        "an end of the service is made good, whatever it was"
    );
    // Doors close at once; more than that would only be waited for.
    assert_eq!(value(&service, "TimeoutStopSec"), "20");
    // It is no daemon that goes to the background, and does not tell systemd that it is ready.
    let simple = |kind: &str| matches!(kind, "simple" | "exec");
    assert!(
        service.iter().filter(|(n, _)| n == "Type").all(|(_, kind)| simple(kind)),
        "{service:?}"
    );
}

/// What the program is started with is what it takes, and where it writes is where it may.
#[test]
fn the_unit_starts_what_there_is_where_it_may_write() {
    let service = settings("Service");
    let start = value(&service, "ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    let place = words.iter().position(|word| *word == "serve").expect("the command");
    assert!(words[0].ends_with("/signalbox") && words[1] == "--config", "{start}");
    for flag in &words[place + 1..] {
        let help = std::process::Command::new(crate::world::EXE).args(["serve", "--help"]).output();
        let help = String::from_utf8_lossy(&help.expect("the help").stdout).into_owned();
        assert!(help.contains(flag), "{flag}: {help}");
    }
    let own = value(&service, "WorkingDirectory");
    let mut writable = service
        .iter()
        .filter(|(n, _)| n == "ReadWritePaths")
        .flat_map(|(_, v)| v.split_whitespace());
    assert!(writable.any(|path| path == own), "{own}: {service:?}");
    assert!(own.ends_with(&value(&service, "User")), "the folder is the user's own: {own}");
    // Agents inherit these, and would lose their containment.
    for name in ["RestrictNamespaces", "PrivateUsers", "SystemCallFilter"] {
        assert!(!service.iter().any(|(n, _)| n == name), "{name}");
    }
}
