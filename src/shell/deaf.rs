//! Webhooks whose signature is wrong: they are refused, and nothing that they tell is heard. Whoever runs the service is told
//! once; anyone may send such a thing, so that neither log nor chat nor memory grows with how many there are.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::model::{Millis, Name};
use crate::engine::rules::{self, Config};
use crate::shell::refused::place;
use crate::shell::service::Service;
use crate::shell::store::Peer;

/// The log says so at most this often for each peer.
const LOG_EVERY: Millis = Millis::secs(10);
/// Operators are told at most this often for each peer.
const TELL_EVERY: Millis = Millis::secs(3600);

/// What was refused of each peer since one was accepted last.
#[derive(Default)]
pub struct Deaf {
    plane: Mutex<Refused>,
    gitea: Mutex<Refused>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Refused {
    /// How many; none when the last one was accepted.
    count: u64,
    /// When the first of them came.
    since: Millis,
    /// When the log said so last.
    logged: Option<Millis>,
    /// When operators were told last.
    told: Option<Millis>,
    /// Whether they were told of these.
    known: bool,
}

/// Whom a refused delivery is said to.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Nobody,
    Log,
    Operators,
}

impl Refused {
    /// One more.
    fn another(&mut self, now: Millis) -> Say {
        if self.count == 0 {
            (self.since, self.known) = (now, false);
        }
        self.count = self.count.saturating_add(1);
        if !passed(self.logged, LOG_EVERY, now) {
            return Say::Nobody;
        }
        self.logged = Some(now);
        if self.known || !passed(self.told, TELL_EVERY, now) {
            return Say::Log;
        }
        (self.told, self.known) = (Some(now), true);
        Say::Operators
    }

    /// Operators could not be told: the next one tells them.
    fn unsaid(&mut self) {
        (self.told, self.known) = (None, false);
    }
}

/// Whether so long has passed; a clock that was put back silences nothing.
fn passed(last: Option<Millis>, pause: Millis, now: Millis) -> bool {
    last.is_none_or(|last| !(0..pause.0).contains(&now.0.saturating_sub(last.0)))
}

impl Deaf {
    fn of(&self, peer: Peer) -> MutexGuard<'_, Refused> {
        let of = match peer {
            Peer::Plane => &self.plane,
            Peer::Gitea => &self.gitea,
        };
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A delivery of this peer was accepted: it is heard.
    pub fn heard(&self, peer: Peer) {
        self.of(peer).count = 0;
    }
}

/// A delivery was refused for its signature: it is counted, and said to whom it has to be.
pub async fn refused(service: &Service, peer: Peer, now: Millis) {
    let say = service.deaf.of(peer).another(now);
    if say == Say::Nobody {
        return;
    }
    let Some((text, _)) = text(service, peer) else {
        tracing::warn!(
            peer = peer.as_str(),
            "a delivery with a wrong or missing signature was refused: no project here has such a webhook"
        );
        return;
    };
    tracing::warn!(
        peer = peer.as_str(),
        "a delivery with a wrong or missing signature was refused: {text}"
    );
    let first = service.hooks.iter().find(|hook| hook.peer == peer);
    let Some(project) = first
        .and_then(|hook| service.projects.get(&hook.project))
        .filter(|_| say == Say::Operators)
    else {
        return;
    };
    let key = format!("deaf-{}-{}", peer.as_str(), now.0);
    if let Err(error) = service.store.alert(&project.name, project.repo, &key, &text, now).await {
        tracing::warn!(peer = peer.as_str(), %error, "refused deliveries could not be told");
        service.deaf.of(peer).unsaid();
    }
}

/// What is refused now, with what to do about it, and since when.
#[must_use]
pub fn problems(service: &Service) -> Vec<(String, Millis)> {
    [Peer::Plane, Peer::Gitea]
        .into_iter()
        .filter_map(|peer| text(service, peer))
        .collect()
}

fn text(service: &Service, peer: Peer) -> Option<(String, Millis)> {
    let refused = *service.deaf.of(peer);
    let projects: BTreeSet<&Name> = service
        .hooks
        .iter()
        .filter(|hook| hook.peer == peer)
        .map(|hook| &hook.project)
        .collect();
    if refused.count == 0 || projects.is_empty() {
        return None;
    }
    let names: Vec<&str> = projects.iter().map(|name| name.as_str()).collect();
    let (who, lost, there) = match peer {
        Peer::Plane => (
            "Plane",
            "what people do on its boards is not heard, a STOP neither",
            "Plane shows its own in the workspace's settings under Webhooks, as `signalbox setup webhooks` explains",
        ),
        Peer::Gitea => (
            "Gitea",
            "what happens there is heard late or not at all",
            "`signalbox setup webhooks` gives Gitea the same",
        ),
    };
    let refused_were = match refused.count {
        1 => format!("a delivery of {who} was refused"),
        more => format!("{more} deliveries of {who} were refused"),
    };
    let text = format!(
        "{refused_were}, the signature is missing or wrong (for project{} {}): {lost}. The webhook's secret there must be the one here, {}, \
         read when the service starts; {there}. This is over when a delivery is accepted",
        if names.len() == 1 { "" } else { "s" },
        names.join(", "),
        places(&service.config(), &projects, peer).join(", "),
    );
    Some((text, refused.since))
}

/// Where the secrets of these projects are read from.
fn places(config: &Config, projects: &BTreeSet<&Name>, peer: Peer) -> Vec<String> {
    let settings = projects.iter().filter_map(|name| Some((name, config.projects.get(*name)?)));
    let place = settings.filter_map(|(name, settings)| match (peer, &settings.tracker, &settings.forge) {
        (Peer::Plane, rules::Tracker::Plane(plane), _) => Some(format!("`projects.{name}.tracker.secret` ({})", place(&plane.secret))),
        (Peer::Gitea, _, rules::Forge::Gitea(gitea)) => Some(format!("`projects.{name}.forge.secret` ({})", place(&gitea.secret))),
        _ => None,
    });
    place.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(of: &mut Refused, at: i64) -> Say {
        of.another(Millis::secs(at))
    }

    #[test]
    fn operators_are_told_once_when_it_begins_and_once_an_hour_at_most() {
        let mut of = Refused::default();
        assert_eq!(said(&mut of, 100), Say::Operators);
        assert_eq!(said(&mut of, 101), Say::Nobody);
        assert_eq!(said(&mut of, 110), Say::Log);
        assert_eq!(said(&mut of, 100 + 7200), Say::Log, "they know");
        assert_eq!((of.count, of.since), (4, Millis::secs(100)));
        let again = 100 + 7300;
        of.count = 0;
        assert_eq!(said(&mut of, again), Say::Operators, "it was over");
        of.count = 0;
        assert_eq!(said(&mut of, again + 20), Say::Log, "it comes and goes");
        assert_eq!(said(&mut of, again + 3600), Say::Operators);
        assert_eq!(said(&mut of, 5), Say::Log, "a clock that was put back");
    }

    #[test]
    fn operators_who_could_not_be_told_are_told_by_the_next() {
        let mut of = Refused::default();
        assert_eq!(said(&mut of, 100), Say::Operators);
        of.unsaid();
        assert_eq!(said(&mut of, 110), Say::Operators);
        assert_eq!(said(&mut of, 120), Say::Log);
    }

    #[test]
    fn each_peer_is_counted_for_itself() {
        let deaf = Deaf::default();
        assert_eq!(said(&mut deaf.of(Peer::Plane), 100), Say::Operators);
        assert_eq!(said(&mut deaf.of(Peer::Gitea), 100), Say::Operators);
        deaf.heard(Peer::Gitea);
        assert_eq!((deaf.of(Peer::Plane).count, deaf.of(Peer::Gitea).count), (1, 0));
    }
}
