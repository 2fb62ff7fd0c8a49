//! Everything by which a repository can make git execute something.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{World, executable};

/// A program that leaves a marker when it is executed.
pub(super) fn trap(world: &World) -> (PathBuf, PathBuf) {
    let (marker, program) = (world.path("EXECUTED"), world.path("trap.sh"));
    executable(&program, &format!("#!/bin/sh\necho \"$0 $*\" >> {}\ncat\n", marker.display()));
    (program, marker)
}

/// Configuration by which git can be made to execute something.
pub(super) fn poison(git_dir: &Path, trap: &Path) {
    let t = trap.display();
    let text = format!(
        r#"
[core]
	fsmonitor = {t}
	hooksPath = hooks
	sshCommand = {t}
	pager = {t}
	editor = {t}
	gitProxy = {t}
	askPass = {t}
	alternateRefsCommand = {t}
	worktree = /
	attributesFile = {t}.attributes
[filter "x"]
	clean = {t} clean
	smudge = {t} smudge
	process = {t} process
	required = true
[diff]
	external = {t}
[diff "x"]
	textconv = {t}
	command = {t}
[merge "x"]
	driver = {t} %A %O %B
[gpg]
	program = {t}
[commit]
	gpgSign = true
[credential]
	helper = !{t}
[uploadpack]
	packObjectsHook = {t}
[url "ext::{t} "]
	insteadOf = /
	insteadOf = https://
[protocol "ext"]
	allow = always
[protocol]
	allow = always
[remote "origin"]
	url = ext::{t}
	promisor = true
	partialCloneFilter = blob:none
	uploadpack = {t}
	receivepack = {t}
	vcs = {t}
[extensions]
	partialClone = origin
[alias]
	add = !{t}
	fetch = !{t}
	upload-pack = !{t}
[include]
	path = {t}.included
[pager]
	log = {t}
[sequence]
	editor = {t}
[submodule]
	recurse = true
[submodule "sub"]
	url = ext::{t}
	update = !{t}
[trace2]
	eventTarget = {t}.trace
"#
    );
    let mut config = std::fs::read_to_string(git_dir.join("config")).unwrap_or_default();
    config.push_str(&text);
    std::fs::write(git_dir.join("config"), config).unwrap();
    std::fs::write(
        format!("{}.included", trap.display()),
        format!("[core]\n\tfsmonitor = {}\n", trap.display()),
    )
    .unwrap();
    for hook in [
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "pre-push",
        "post-checkout",
        "post-merge",
        "reference-transaction",
        "post-index-change",
        "post-rewrite",
        "pre-auto-gc",
        "push-to-checkout",
        "pre-receive",
        "update",
        "post-update",
        "fsmonitor-watchman",
    ] {
        let file = git_dir.join("hooks").join(hook);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&file);
        symlink(trap, file).unwrap();
    }
}
