//! What can go wrong with a request.

use std::time::Duration;

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum How {
    /// Nothing is done; this status and body are the answer.
    Status(u16, &'static str),
    /// Nothing is done, and the conversation breaks off.
    HangUp,
    /// It is done, and the conversation breaks off before it is said.
    DoneThenHangUp,
    /// It is done, and the answer is no JSON.
    Malformed,
    /// It is done, later.
    Slow(Duration),
}

/// A fault that waits for its requests.
#[derive(Debug)]
pub struct Fault {
    method: String,
    path: String,
    times: u32,
    how: How,
}

impl Fault {
    pub fn new(method: &str, path: &str, times: u32, how: How) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            times,
            how,
        }
    }
}

/// Takes the fault that this request meets.
pub fn meet(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<How> {
    let fault = faults.iter_mut().find(|f| f.method == method && path.contains(&f.path))?;
    fault.times -= 1;
    let how = fault.how.clone();
    faults.retain(|f| f.times > 0);
    Some(how)
}
