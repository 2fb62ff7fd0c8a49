//! The graph: states are a [`Local`] and the counters; found breadth first, so that the way to
//! each is a shortest one.

use std::collections::HashMap;
use std::rc::Rc;

use super::expand::{Expander, Fault, Leaf, Taken, When, first};
use super::state::Local;

/// After how many states it is asked whether to go on.
const ASKED: usize = 256;
/// No state here.
const NONE: u32 = u32::MAX;

/// What was found.
pub(super) struct Graph {
    pub locals: Vec<Rc<Local>>,
    index: HashMap<Rc<Local>, u32, foldhash::fast::FixedState>,
    /// Where the leaves of each local begin and end.
    spans: Vec<(u32, u32)>,
    leaves: Vec<Leaf>,
    /// Local and counters of each state, in the order in which they were found.
    pub states: Vec<(u32, u32)>,
    /// How each was found: from where, by which step.
    parents: Vec<(u32, u32)>,
    /// State by local and counters.
    table: Vec<u32>,
    /// How much a return of each counter adds, and its limit.
    radix: Vec<(u32, u32)>,
    size: u32,
    pub faults: Vec<Fault>,
    /// Where each fault shows first: the state, and the step that is taken from it.
    pub shown: Vec<Option<(u32, u32)>>,
    pub transitions: u64,
    /// Steps of the engine that were taken.
    pub steps: u64,
    /// Whether everything was found.
    pub whole: bool,
}

impl Graph {
    /// Explores from the beginning, up to `limit` states and as long as `go_on`, told how many there
    /// are, says so.
    pub fn explore(expander: &Expander<'_>, limit: usize, go_on: &dyn Fn(usize) -> bool) -> Self {
        let (mut radix, mut size) = (Vec::new(), 1_u32);
        for (_, max) in &expander.counters {
            radix.push((size, u32::from(*max)));
            size = size.saturating_mul(u32::from(*max) + 1);
        }
        let mut graph = Self {
            locals: Vec::new(),
            index: HashMap::default(),
            spans: Vec::new(),
            leaves: Vec::new(),
            states: Vec::new(),
            parents: Vec::new(),
            table: Vec::new(),
            radix,
            size,
            faults: Vec::new(),
            shown: Vec::new(),
            transitions: 0,
            steps: 0,
            whole: true,
        };
        let start = graph.intern(first());
        graph.state(start, 0, (NONE, 0));
        let mut next = 0;
        while next < graph.states.len() {
            // Room for as many combinations of counters as there are is taken at once.
            let late = next.is_multiple_of(ASKED) && !go_on(graph.states.len());
            if late || graph.states.len() > limit || graph.table.len() > limit.saturating_mul(16) {
                graph.whole = false;
                return graph;
            }
            graph.visit(expander, u32::try_from(next).unwrap_or(NONE));
            next += 1;
        }
        graph
    }

    fn intern(&mut self, local: Local) -> u32 {
        if let Some(id) = self.index.get(&local) {
            return *id;
        }
        let local = Rc::new(local);
        let id = u32::try_from(self.locals.len()).unwrap_or(NONE);
        self.index.insert(Rc::clone(&local), id);
        self.locals.push(local);
        self.spans.push((NONE, NONE));
        self.table.resize(self.table.len() + self.size as usize, NONE);
        id
    }

    fn place(&self, local: u32, counters: u32) -> usize {
        local as usize * self.size as usize + counters as usize
    }

    fn state(&mut self, local: u32, counters: u32, parent: (u32, u32)) {
        let place = self.place(local, counters);
        if self.table[place] == NONE {
            self.table[place] = u32::try_from(self.states.len()).unwrap_or(NONE);
            self.states.push((local, counters));
            self.parents.push(parent);
        }
    }

    fn visit(&mut self, expander: &Expander<'_>, state: u32) {
        let (local, counters) = self.states[state as usize];
        if self.spans[local as usize].0 == NONE {
            self.expand(expander, local);
        }
        let (begin, end) = self.spans[local as usize];
        for at in begin..end {
            let leaf = self.leaves[at as usize];
            let Some(moved) = self.counted(leaf.when, counters) else { continue };
            self.transitions += u64::from(leaf.times);
            if leaf.fault > 0 {
                self.shown[usize::from(leaf.fault - 1)].get_or_insert((state, leaf.nth));
            }
            self.state(leaf.target, moved, (state, leaf.nth));
        }
    }

    fn expand(&mut self, expander: &Expander<'_>, local: u32) {
        let begin = u32::try_from(self.leaves.len()).unwrap_or(NONE);
        let from = Rc::clone(&self.locals[local as usize]);
        let mut nth = 0;
        expander.each(&from, false, &mut |taken: Taken<'_>| {
            self.steps += 1;
            let target = self.intern(taken.after);
            let fault = taken.faults.into_iter().next().map_or(0, |f| self.fault(f));
            let leaf = Leaf {
                nth,
                times: 1,
                target,
                when: taken.when,
                flags: taken.flags,
                runs: taken.runs,
                jobs: taken.jobs,
                fault,
            };
            nth += 1;
            match self.leaves[begin as usize..].iter_mut().find(|known| known.like(&leaf)) {
                Some(known) => known.times += 1,
                None => self.leaves.push(leaf),
            }
        });
        self.spans[local as usize] = (begin, u32::try_from(self.leaves.len()).unwrap_or(NONE));
    }

    fn fault(&mut self, fault: Fault) -> u8 {
        let at = self.faults.iter().position(|f| *f == fault).unwrap_or_else(|| {
            self.faults.push(fault);
            self.shown.push(None);
            self.faults.len() - 1
        });
        u8::try_from(at + 1).unwrap_or(u8::MAX)
    }

    /// The counters after a step, where its condition holds.
    fn counted(&self, when: When, counters: u32) -> Option<u32> {
        let used = |c: u8| {
            let (stride, max) = self.radix[usize::from(c)];
            (counters / stride % (max + 1), stride, max)
        };
        match when {
            When::Always => Some(counters),
            When::Left(c) => {
                let (used, stride, max) = used(c);
                (used < max).then_some(counters + stride)
            }
            When::Spent(c) => {
                let (used, _, max) = used(c);
                (used == max).then_some(counters)
            }
        }
    }

    /// The local of a state.
    pub fn local(&self, state: u32) -> &Local {
        &self.locals[self.states[state as usize].0 as usize]
    }

    /// How many states.
    pub fn len(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(NONE)
    }

    /// The next step from `state` at or behind leaf `at`: the leaf behind it, the step, and where it leads.
    pub fn next(&self, state: u32, at: u32) -> Option<(u32, Leaf, u32)> {
        let (local, counters) = self.states[state as usize];
        let (begin, end) = self.spans[local as usize];
        for at in begin + at..end {
            let leaf = self.leaves[at as usize];
            let Some(moved) = self.counted(leaf.when, counters) else { continue };
            let target = self.table[self.place(leaf.target, moved)];
            // Where the exploration was given up, there are steps that nobody followed.
            if target != NONE {
                return Some((at - begin + 1, leaf, target));
            }
        }
        None
    }

    /// Leaves of a local, whatever the counters.
    pub fn leaves(&self, local: u32) -> &[Leaf] {
        let (begin, end) = self.spans[local as usize];
        self.leaves.get(begin as usize..end as usize).unwrap_or_default()
    }

    /// The leaf that [`Graph::next`] gave with this place behind it.
    pub fn leaf(&self, state: u32, behind: u32) -> Leaf {
        self.leaves(self.states[state as usize].0)[behind as usize - 1]
    }

    /// A shortest way to a state: states and which step was taken from each.
    pub fn way(&self, state: u32) -> Vec<(u32, u32)> {
        let mut way = Vec::new();
        let mut at = state;
        while let Some((from, nth)) = self.parents.get(at as usize).copied().filter(|(from, _)| *from != NONE) {
            way.push((from, nth));
            at = from;
        }
        way.reverse();
        way
    }

    /// Bytes held per state, all in.
    pub fn bytes(&self) -> usize {
        // A local's own names are shared; its sets and maps have about this much on the heap.
        let local = size_of::<Local>() + 400 + size_of::<(Rc<Local>, u32)>() + size_of::<(u32, u32)>() + size_of::<Rc<Local>>();
        let leaves = self.leaves.len() * size_of::<Leaf>();
        let states = self.states.len() * 16 + self.table.len() * 4;
        (self.locals.len() * local + leaves + states) / self.states.len().max(1)
    }
}
