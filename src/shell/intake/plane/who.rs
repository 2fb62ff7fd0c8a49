//! Who someone on the board is, and what they may decide.

use crate::engine::model::{Actor, Role, Via};
use crate::engine::rules::People;
use crate::shell::tracker::plane::{PlaneError, PlaneTracker, User};

/// The person of this user. Whoever is not listed holds no role, and neither does anyone where
/// nobody is listed: a board may be open to strangers.
///
/// # Errors
/// The members cannot be read.
pub async fn person(plane: &PlaneTracker, people: &People, user: &User) -> Result<Actor, PlaneError> {
    // What the server says now goes before what a delivery said then.
    let user = plane.member(&user.id).await?.unwrap_or_else(|| user.clone());
    let members = plane.members().await?;
    let namesakes = |name: &str| {
        members
            .iter()
            .filter(|m| m.display_name.as_deref() == Some(name) && m.id != user.id)
            .count()
    };
    Ok(known(people, &user, namesakes))
}

fn known(people: &People, user: &User, namesakes: impl Fn(&str) -> usize) -> Actor {
    let lists = [
        (Role::Viewer, &people.viewer),
        (Role::Operator, &people.operator),
        (Role::Approver, &people.approver),
    ];
    let listed = |name: &str| lists.iter().any(|(_, list)| list.iter().any(|l| l == name));
    // Anyone may call themselves as they like: a name that two have is nobody's.
    let shown = user.display_name.as_deref().filter(|name| {
        let twice = listed(name) && namesakes(name) > 0;
        if twice {
            tracing::warn!(
                name,
                "two members of the board have this display name: list their ids or mail addresses in [people]"
            );
        }
        !twice
    });
    let names = [Some(user.id.as_str()), user.email.as_deref(), shown];
    let names: Vec<&str> = names.into_iter().flatten().filter(|n| !n.is_empty()).collect();
    let holds = |list: &[String]| list.iter().any(|l| names.contains(&l.as_str()));
    let roles = lists.iter().filter(|(_, list)| holds(list)).map(|(role, _)| *role).collect();
    // Called as they are listed, so that one person is one, whichever door they come through.
    let called = names.iter().find(|n| listed(n)).copied();
    let called = called
        .or(user.display_name.as_deref())
        .filter(|n| !n.is_empty())
        .unwrap_or(&user.id);
    Actor::Person {
        name: called.to_owned(),
        via: Via::Tracker,
        roles,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User {
            id: "16c6".to_owned(),
            display_name: Some("ada".to_owned()),
            email: Some("ada@example.com".to_owned()),
        }
    }

    fn people(approver: &[&str], operator: &[&str]) -> People {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        People {
            approver: list(approver),
            operator: list(operator),
            viewer: vec![],
        }
    }

    fn who(people: &People, namesakes: usize) -> (String, Vec<Role>) {
        match known(people, &ada(), |_| namesakes) {
            Actor::Person {
                name,
                via: Via::Tracker,
                roles,
            } => (name, roles),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn people_are_known_by_id_address_or_name_exactly() {
        for name in ["16c6", "ada@example.com", "ada"] {
            assert_eq!(who(&people(&[name], &[]), 0), (name.to_owned(), vec![Role::Approver]));
        }
        for name in ["Ada", "ad", "ada ", "example.com", ""] {
            assert_eq!(who(&people(&[name], &[]), 0), ("ada".to_owned(), vec![]), "{name:?}");
        }
        let both = people(&["ada"], &["ada@example.com"]);
        assert_eq!(who(&both, 0), ("ada@example.com".to_owned(), vec![Role::Operator, Role::Approver]));
    }

    #[test]
    fn a_name_that_two_have_is_nobodys() {
        assert_eq!(who(&people(&["ada"], &[]), 1).1, vec![]);
        assert_eq!(who(&people(&["16c6"], &["ada"]), 1), ("16c6".to_owned(), vec![Role::Approver]));
    }

    #[test]
    fn where_nobody_is_listed_nobody_decides() {
        assert_eq!(who(&people(&[], &[]), 0), ("ada".to_owned(), vec![]));
    }
}
