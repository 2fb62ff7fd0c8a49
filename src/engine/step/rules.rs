//! The project's rules were changed, and the task is to follow them.

use crate::engine::admit;

use super::draft::{Draft, short};
use super::look;

/// Moves the task to the rules that the step is taken under, unless they would strand it: since the
/// reload it may have gone where they do not lead.
///
/// Approvals name the rules they were given under, so that they are void by themselves.
pub(super) fn changed(draft: &mut Draft<'_>, to: &str) {
    if draft.task.rules == to {
        return draft.because("it runs under these rules already");
    }
    let mine = short(&draft.task.rules).to_owned();
    if draft.rules.hash != to {
        return draft.because(format!("the rules {} cannot be used: it keeps {mine}", short(to)));
    }
    let misfits = admit::admit(draft.rules, std::slice::from_ref(&draft.task));
    if !misfits.is_empty() {
        let why = admit::sentences(&misfits).join("; ");
        return draft.because(format!("it keeps its rules {mine}: {why}"));
    }
    draft.because(format!("it follows the changed rules: {mine} → {}", short(to)));
    to.clone_into(&mut draft.task.rules);
    for counter in draft.rules.counters.keys() {
        draft.task.control.counters.entry(counter.clone()).or_insert(0);
    }
    look::again(draft);
}
