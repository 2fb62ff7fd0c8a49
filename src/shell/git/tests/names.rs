use super::super::{Auth, GitError, Identity, Remote, TaskBranch, branch_name, object_id};
use super::sh;

const BAD: &[&str] = &[
    "",
    "-x",
    "--upload-pack=touch /tmp/x",
    "--upload-pack=x",
    "@",
    "HEAD",
    "a..b",
    "a@{1}",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "a\\b",
    "a.",
    "/a",
    "a/",
    "a//b",
    ".a",
    "a/.b",
    "a.lock",
    "a.lock/b",
    "a\nb",
    "a\u{7f}",
    "refs/heads/main",
];

#[test]
fn branch_names_that_git_refuses_are_refused_and_the_others_agree() {
    let tmp = tempfile::tempdir().unwrap();
    for name in BAD {
        assert!(branch_name(name).is_err(), "{name:?} was accepted");
    }
    assert!(branch_name(&"x".repeat(241)).is_err());
    for name in ["feature/T-1-x", "x", "ветка", "a.b/c", "a@b", "lock", "release/1.0"] {
        assert_eq!(branch_name(name), Ok(()), "{name}");
        sh(tmp.path(), &["check-ref-format", "--branch", name]);
    }
}

#[test]
fn a_task_branch_is_neither_default_nor_protected() {
    let protected = ["release/*".to_owned(), "prod".to_owned()];
    for name in ["main", "MAIN", "release/1", "release/1/2", "Release/9", "prod", "--upload-pack=x"] {
        let error = TaskBranch::new(name, "main", &protected).unwrap_err();
        assert!(matches!(error, GitError::Name { .. }), "{name}: {error}");
    }
    assert_eq!(
        TaskBranch::new("feature/x", "main", &protected).unwrap().full(),
        "refs/heads/feature/x"
    );
    assert!(
        TaskBranch::new("feature/x", "main", &["[".to_owned()]).is_err(),
        "an unreadable pattern protects everything"
    );
}

#[test]
fn remote_urls_are_an_allow_list() {
    for url in [
        "https://x.org/a.git",
        "http://x:3000/a",
        "ssh://git@x/a",
        "git@x.org:a/b.git",
        "/srv/a.git",
    ] {
        assert!(Remote::new(url, "main", None).is_ok(), "{url}");
    }
    for url in [
        "ext::sh -c touch% /tmp/x",
        "git://x/a",
        "file:///x",
        "--upload-pack=x",
        "relative/a",
        "https://",
        "a@b::x",
        "/x\n/y",
    ] {
        assert!(matches!(Remote::new(url, "main", None), Err(GitError::BadRemote { .. })), "{url}");
    }
    let error = Remote::new("https://u:s3cret@x.org/a", "main", None).unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
    assert!(Remote::new("git@x.org:a", "main", Some(Auth::basic("u", "s"))).is_err());
    assert!(Remote::new("/srv/a", "--x", None).is_err());
}

#[test]
fn a_credential_does_not_print() {
    let remote = Remote::new("https://x.org/a", "main", Some(Auth::basic("u", "s3cret"))).unwrap();
    assert!(!format!("{remote:?}").contains("czNjcmV0"), "{remote:?}");
    assert!(Auth::header("Authorization: token x").is_some());
    assert!(Auth::header("X: y\r\nZ: a").is_none());
}

#[test]
fn object_ids_are_full_and_lower_case() {
    assert!(object_id(&"a".repeat(40)).is_ok());
    assert!(object_id(&"0".repeat(64)).is_ok());
    for id in ["HEAD", "", "--all", &"A".repeat(40), &"a".repeat(39)] {
        assert!(object_id(id).is_err(), "{id}");
    }
}

#[test]
fn identities_are_what_git_accepts() {
    let odd = Identity {
        name: "<>\n".to_owned(),
        email: "a<b>\n@c".to_owned(),
    };
    assert_eq!((odd.clean_name(), odd.clean_email()), ("signalbox".to_owned(), "ab@c".to_owned()));
}
