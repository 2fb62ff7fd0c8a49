//! Who someone is, and what they may decide.

use crate::engine::model::{Actor, Role, Via};
use crate::engine::rules::People;

/// How someone came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Through the service's socket, with this uid.
    Socket {
        /// The peer's uid, as the kernel says.
        uid: u32,
    },
    /// With the API token.
    Token,
}

/// The person who came through `door`.
///
/// Where nobody is listed, whoever may open the service's socket as the service's own user or as
/// root, and whoever has the token, holds all roles. As soon as someone is listed, the lists count.
#[must_use]
pub fn person(people: &People, door: Door) -> Actor {
    let (name, via, trusted) = match door {
        Door::Socket { uid } => (login(uid), Via::Cli, uid == 0 || uid == nix::unistd::geteuid().as_raw()),
        Door::Token => ("api".to_owned(), Via::Api, true),
    };
    let lists = [
        (Role::Viewer, &people.viewer),
        (Role::Operator, &people.operator),
        (Role::Approver, &people.approver),
    ];
    let nobody = lists.iter().all(|(_, list)| list.is_empty());
    let holds = |list: &[String]| if nobody { trusted } else { list.contains(&name) };
    let roles = lists.iter().filter(|(_, list)| holds(list)).map(|(role, _)| *role).collect();
    Actor::Person { name, via, roles }
}

fn login(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    #[test]
    fn without_lists_the_services_own_user_and_the_token_decide() {
        let nobody = People::default();
        assert!(person(&nobody, Door::Socket { uid: me() }).holds(Role::Approver));
        assert!(person(&nobody, Door::Token).holds(Role::Operator));
        let stranger = person(&nobody, Door::Socket { uid: 3_999_999_999 });
        assert_eq!(
            stranger,
            Actor::Person {
                name: "uid 3999999999".into(),
                via: Via::Cli,
                roles: vec![]
            }
        );
    }

    #[test]
    fn with_lists_only_they_count() {
        let people = People {
            approver: vec![login(me())],
            operator: vec!["api".into()],
            viewer: vec![],
        };
        let person_of = |door| person(&people, door);
        let mine = person_of(Door::Socket { uid: me() });
        assert!(mine.holds(Role::Approver) && !mine.holds(Role::Operator));
        let token = person_of(Door::Token);
        assert!(token.holds(Role::Operator) && !token.holds(Role::Approver));
    }
}
