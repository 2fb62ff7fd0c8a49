//! Who may decide, against the members of the board.

use crate::engine::rules::People;
use crate::shell::tracker::plane::User;

use super::Notes;

/// Tells who of `[people]` the board does not know, and who is known to it twice.
pub(super) fn compare(notes: &mut Notes, people: &People, members: &[User], me: &User) {
    if !members.iter().any(|m| m.id == me.id) {
        notes.warning(
            "tracker.me",
            "the key's own user is not listed among the project's members",
            "what it may write depends on its role in the workspace",
            "add it to the project with the role Member (Project settings → Members)",
        );
    }
    let lists = [
        ("approver", &people.approver),
        ("operator", &people.operator),
        ("viewer", &people.viewer),
    ];
    if lists.iter().all(|(_, list)| list.is_empty()) {
        return notes.problem(
            "tracker.people",
            "nobody is listed in [people]",
            "nobody can start, approve, answer or stop anything on the board",
            "list ids, mail addresses or display names: [people] approver = [\"alice@example.com\"]",
        );
    }
    let mut listed: Vec<(&str, &str)> = Vec::new();
    for (role, list) in lists {
        listed.extend(
            list.iter()
                .map(|who| (who.as_str(), role))
                .filter(|(who, _)| !listed.iter().any(|(l, _)| l == who))
                .collect::<Vec<_>>(),
        );
    }
    let before = notes.findings.len();
    let hidden = members.iter().all(|m| m.email.as_deref().is_none_or(str::is_empty));
    for (who, role) in &listed {
        person(notes, who, role, members, me, hidden);
    }
    if notes.findings.len() == before {
        notes.ok("tracker.people", format!("the board knows everybody of [people]: {}", listed.len()));
    }
}

/// Whether somebody of this machine is called so: at its command line people are known by that.
fn login(who: &str) -> bool {
    nix::unistd::User::from_name(who).ok().flatten().is_some()
}

fn person(notes: &mut Notes, who: &str, role: &str, members: &[User], me: &User, hidden: bool) {
    let shown = |m: &&User| m.display_name.as_deref() == Some(who);
    let sure = members.iter().any(|m| m.id == who || m.email.as_deref() == Some(who));
    let namesakes = members.iter().filter(shown).count();
    let own = me.id == who || me.email.as_deref() == Some(who) || (!sure && me.display_name.as_deref() == Some(who));
    if own {
        notes.warning(
            "tracker.people",
            format!("{who:?} ({role}) is the service's own user"),
            "what it does on the board is taken for the service's own writing and decides nothing",
            "list the person's own user, and give the service one of its own",
        );
    } else if !sure && namesakes > 1 {
        notes.warning(
            "tracker.people",
            format!("{namesakes} members of the board are called {who:?} ({role})"),
            "a name that two have counts for nobody",
            "list ids or mail addresses in [people]",
        );
    } else if !sure && namesakes == 0 && login(who) {
        notes.ok(
            "tracker.people",
            format!("{who:?} ({role}) is a login name of this machine: it counts for the command line there, the board knows nobody of that name"),
        );
    } else if !sure && namesakes == 0 {
        let why = if hidden && who.contains('@') {
            "the server shows no mail addresses to this key; what they do on the board counts for nothing"
        } else {
            "what they do on the board counts for nothing"
        };
        let mend = if hidden && who.contains('@') {
            "list the person's id or display name instead"
        } else {
            "add them to the project, or spell them as the board does: id, mail address or display name, exactly"
        };
        notes.warning("tracker.people", format!("the board knows no {who:?} ({role})"), why, mend);
    }
}
