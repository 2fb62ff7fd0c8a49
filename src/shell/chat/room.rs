//! One room: a message at a time, as fast as the chat allows, and whether it works at present.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::html::Html;
use super::pace::Pace;
use super::telegram::{Refusal, Telegram};
use crate::engine::model::Millis;
use crate::engine::rules;
use crate::shell::clock;
use crate::shell::secret::Secret;

/// How soon a chat is tried again that bars us: somebody has to mend it first.
const BARRED: Duration = Duration::from_secs(600);
/// Longest pause between two tries of a chat that does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How soon what waited for a room goes to the one in its place.
const ANEW: Duration = Duration::from_millis(50);

/// A room of a chat.
pub struct Room {
    telegram: Telegram,
    settings: rules::Chat,
    /// Whoever writes holds it: first come, first served.
    turn: tokio::sync::Mutex<Pace>,
    state: Mutex<State>,
    reopened: Notify,
}

/// What is wrong with the chat at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One sentence, without the token.
    pub text: String,
    /// Since when.
    pub since: Millis,
}

struct State {
    place: String,
    closed: Option<Instant>,
    failures: u32,
    problem: Option<Problem>,
    barred: bool,
    /// Another room is in its place: whoever waits here goes there.
    retired: bool,
}

/// Why a message is not in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The group is another room now: its number.
    Moved(String),
    /// The message to be edited is not there.
    Gone,
    /// It will never be taken.
    Never(String),
    /// The room is closed for this long, whatever the message.
    Closed {
        /// One sentence, without the token.
        why: String,
        /// How long.
        pause: Millis,
        /// Whether somebody has to mend it.
        barred: bool,
    },
}

impl Room {
    /// The room of these settings.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(settings: &rules::Chat, token: Secret) -> Result<Self, String> {
        let group = settings.room.starts_with(['-', '@']);
        Ok(Self {
            telegram: Telegram::new(&settings.url, token)?,
            settings: settings.clone(),
            turn: tokio::sync::Mutex::new(Pace::new(group)),
            state: Mutex::new(State {
                place: settings.room.clone(),
                closed: None,
                failures: 0,
                problem: None,
                barred: false,
                retired: false,
            }),
            reopened: Notify::new(),
        })
    }

    /// Whether the other has the same settings and the same token.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.settings == other.settings && self.telegram.token() == other.telegram.token()
    }

    /// The room as it was configured.
    #[must_use]
    pub fn configured(&self) -> &str {
        &self.settings.room
    }

    /// The room's number now.
    #[must_use]
    pub fn place(&self) -> String {
        self.state().place.clone()
    }

    /// The group is this room from now on.
    pub fn move_to(&self, place: &str) {
        place.clone_into(&mut self.state().place);
    }

    /// What is wrong at present.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        self.state().problem.clone()
    }

    /// If it bars us, it is tried again at once: somebody may have mended it.
    pub fn try_again(&self) {
        let mut state = self.state();
        if state.barred {
            state.closed = None;
            drop(state);
            self.reopened.notify_waiters();
        }
    }

    /// Another room takes its place: nothing is put into this one any more, and nobody waits for it.
    pub fn retire(&self) {
        self.state().retired = true;
        self.reopened.notify_waiters();
    }

    /// Waits until it is one's turn and the room is open.
    pub async fn turn(&self) -> Turn<'_> {
        let mut turn = Turn {
            pace: self.turn.lock().await,
            room: self,
        };
        turn.ready().await;
        turn
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chat took something.
    fn works(&self) {
        let mut state = self.state();
        state.closed = None;
        state.failures = 0;
        state.barred = false;
        if state.problem.take().is_some() {
            tracing::info!("the chat works again");
        }
    }

    /// The chat took nothing: how it goes on. Said once, not with every try.
    fn fails(&self, refusal: Refusal) -> Failed {
        let why = refusal.to_string();
        let pause = match refusal {
            Refusal::Moved(room) => return Failed::Moved(room.to_string()),
            Refusal::Gone(_) => return Failed::Gone,
            Refusal::Bad(why) | Refusal::Markup(why) => return Failed::Never(why),
            Refusal::Slow(pause) => {
                tracing::info!(seconds = pause.as_secs(), "the chat asks for less haste");
                self.state().closed = Some(Instant::now() + pause);
                return closed(why, pause, false);
            }
            Refusal::Barred(_) => BARRED,
            Refusal::Down(_) => {
                let doubled = 1_u64 << self.state().failures.min(10);
                Duration::from_secs(doubled).min(PAUSE_MAX)
            }
        };
        let barred = pause == BARRED;
        let mut state = self.state();
        let news = state.problem.is_none() || (barred && !state.barred);
        state.failures = state.failures.saturating_add(1);
        state.closed = Some(Instant::now() + pause);
        state.barred = barred;
        let since = state.problem.as_ref().map_or_else(clock::now, |p| p.since);
        let text = match barred {
            true => format!("the chat takes nothing from us: {why}"),
            false => format!("the chat does not answer: {why}"),
        };
        state.problem = Some(Problem { text: text.clone(), since });
        drop(state);
        match (news, barred) {
            (true, true) => tracing::error!("{text}. Alerts and cards wait; it is tried again after a reload, a restart, or in 10 minutes"),
            (true, false) => tracing::warn!("{text}. Alerts and cards wait until it does; tasks go on"),
            (false, _) => tracing::debug!("{text}"),
        }
        closed(why, pause, barred)
    }
}

fn closed(why: String, pause: Duration, barred: bool) -> Failed {
    Failed::Closed {
        why,
        pause: Millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)),
        barred,
    }
}

/// The right to write to a room, for as long as it is held.
pub struct Turn<'a> {
    room: &'a Room,
    pace: tokio::sync::MutexGuard<'a, Pace>,
}

impl Turn<'_> {
    /// Puts a text into the room: in the place of `message`, or as a new one. The message's id.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn put(&mut self, message: Option<i64>, text: &Html) -> Result<i64, Failed> {
        let mut markup = true;
        loop {
            self.ready().await;
            if self.room.state().retired {
                return Err(closed("the chat was configured anew".to_owned(), ANEW, false));
            }
            self.pace.went(Instant::now());
            let place = self.room.place();
            let telegram = &self.room.telegram;
            let put = match message {
                Some(id) => telegram.edit(&place, id, text, markup).await.map(|()| id),
                None => telegram.send(&place, text, markup).await,
            };
            match put {
                Ok(id) => {
                    self.room.works();
                    return Ok(id);
                }
                // Better without bold type than not at all.
                Err(Refusal::Markup(why)) if markup => {
                    tracing::warn!("the chat does not take the markup of a message; it is sent as plain text: {why}");
                    markup = false;
                }
                Err(refusal) => return Err(self.room.fails(refusal)),
            }
        }
    }

    /// Waits until the next message may go. What closes the room may be lifted meanwhile.
    async fn ready(&mut self) {
        loop {
            let reopened = self.room.reopened.notified();
            tokio::pin!(reopened);
            reopened.as_mut().enable();
            let (closed, retired) = {
                let state = self.room.state();
                (state.closed, state.retired)
            };
            if retired {
                return;
            }
            let Some(due) = self.pace.next().max(closed).filter(|due| *due > Instant::now()) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = reopened => {}
            }
        }
    }
}
