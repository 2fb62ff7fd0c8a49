//! Starting the agent, and saying why it could not be.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::streams::Streams;
use crate::shell::process::RunSpec;

/// Starts the agent in a process group of its own, its output going to `output`. Returns its pid; reaping it is the
/// caller's business.
///
/// # Errors
/// A sentence for people: what could not be done, and how to mend it.
pub(super) fn launch(spec: &RunSpec, output: Streams) -> Result<i32, String> {
    let (program, args) = spec
        .program
        .split_first()
        .ok_or("the agent has no command; set `run` in the rules")?;
    if !spec.cwd.is_dir() {
        return Err(format!(
            "working directory {} is missing; was the checkout removed?",
            spec.cwd.display()
        ));
    }
    let stdin = match &spec.stdin {
        Some(path) => Stdio::from(File::open(path).map_err(|e| format!("cannot open input {}: {e}", path.display()))?),
        None => Stdio::null(),
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(&spec.cwd).env_clear().envs(&spec.env);
    command.stdin(stdin).stdout(output.out).stderr(output.err).process_group(0);
    let child = command.spawn().map_err(|e| refusal(program, spec, &e))?;
    Ok(child.id().cast_signed())
}

fn refusal(program: &str, spec: &RunSpec, error: &io::Error) -> String {
    let path = spec.env.get("PATH").map_or("(not set)", String::as_str);
    let remedy = match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => "the file, or the interpreter its first line names, does not exist".to_owned(),
        io::ErrorKind::NotFound => format!("no such program in PATH {path}; install it or give its full path in the rules"),
        io::ErrorKind::PermissionDenied => {
            "it is not executable for this user; chmod +x it, or look at the directories above it".to_owned()
        }
        io::ErrorKind::ArgumentListTooLong => {
            "its arguments are too long; give the prompt on standard input (`input = \"stdin\"`)".to_owned()
        }
        _ if error.raw_os_error() == Some(8) => "it is neither a program nor a script with a `#!` line".to_owned(),
        _ => "start it by hand as this user to see why".to_owned(),
    };
    format!("cannot start `{program}`: {error}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::RunId;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn spec(dir: &Path, program: &str) -> RunSpec {
        RunSpec {
            run: RunId(1),
            program: vec![program.into()],
            cwd: dir.into(),
            env: BTreeMap::from([("PATH".into(), "/nowhere".into())]),
            stdin: None,
            log: dir.join("1.log"),
            log_max_bytes: 1 << 20,
            deadline_ms: 1000,
            grace_ms: 10,
            containment: crate::shell::process::Containment::Tagged,
        }
    }

    #[test]
    fn every_refusal_names_what_and_how_to_mend_it() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "x")?;
        let nowhere = || Streams::both(File::open("/dev/null").expect("opened").into()).expect("shared");
        let error = |spec: RunSpec| launch(&spec, nowhere()).expect_err("it was started");
        assert!(error(spec(dir.path(), "no-such-agent")).contains("`no-such-agent`"));
        assert!(error(spec(dir.path(), "no-such-agent")).contains("/nowhere"));
        assert!(error(spec(dir.path(), &plain.to_string_lossy())).contains("chmod +x"));
        assert!(error(spec(&dir.path().join("gone"), "true")).contains("working directory"));
        let input = RunSpec {
            stdin: Some(dir.path().join("gone")),
            ..spec(dir.path(), "true")
        };
        assert!(error(input).contains("cannot open input"));
        assert!(
            error(RunSpec {
                program: vec![],
                ..spec(dir.path(), "")
            })
            .contains("no command")
        );
        Ok(())
    }
}
