//! Strongly connected components, in an order in which whatever is reached comes first.

/// Edges given one after the other: from a node and a place, the next edge's target and the place
/// behind it.
pub(super) trait Edges {
    /// How many nodes.
    fn len(&self) -> u32;
    /// The next edge of `node` at or behind `at`.
    fn next(&self, node: u32, at: u32) -> Option<(u32, u32)>;
}

/// The component of each node. Components are numbered so that an edge never leads to a larger number.
pub(super) struct Components {
    pub of: Vec<u32>,
    /// Nodes by component.
    pub order: Vec<u32>,
    pub count: u32,
}

const NEW: u32 = u32::MAX;

/// Tarjan's algorithm, without recursion.
pub(super) fn components(edges: &impl Edges) -> Components {
    let n = edges.len() as usize;
    let (mut low, mut seen) = (vec![0_u32; n], vec![NEW; n]);
    let mut out = Components {
        of: vec![NEW; n],
        order: Vec::with_capacity(n),
        count: 0,
    };
    let (mut stack, mut path): (Vec<u32>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
    let mut time = 0_u32;
    for root in 0..edges.len() {
        if seen[root as usize] != NEW {
            continue;
        }
        path.push((root, 0));
        while let Some((node, at)) = path.pop() {
            let v = node as usize;
            if at == 0 {
                (seen[v], low[v]) = (time, time);
                time += 1;
                stack.push(node);
            }
            let mut from = at.saturating_sub(1);
            let mut deeper = None;
            while let Some((target, behind)) = edges.next(node, from) {
                let w = target as usize;
                if seen[w] == NEW {
                    // The edge is looked at once more afterwards, for what was found behind it.
                    deeper = Some((target, from));
                    break;
                }
                if out.of[w] == NEW {
                    low[v] = low[v].min(low[w]);
                }
                from = behind;
            }
            if let Some((target, from)) = deeper {
                path.push((node, from + 1));
                path.push((target, 0));
                continue;
            }
            if low[v] == seen[v] {
                while let Some(member) = stack.pop() {
                    out.of[member as usize] = out.count;
                    out.order.push(member);
                    if member == node {
                        break;
                    }
                }
                out.count += 1;
            }
        }
    }
    out
}

/// Nodes from which a goal is reached.
pub(super) fn reaching(edges: &impl Edges, parts: &Components, goal: impl Fn(u32) -> bool) -> Vec<bool> {
    let mut good = vec![false; parts.count as usize];
    for node in &parts.order {
        let part = parts.of[*node as usize] as usize;
        let mut at = 0;
        let mut found = good[part] || goal(*node);
        while let (false, Some((target, behind))) = (found, edges.next(*node, at)) {
            found = good[parts.of[target as usize] as usize];
            at = behind;
        }
        good[part] |= found;
    }
    (0..edges.len()).map(|n| good[parts.of[n as usize] as usize]).collect()
}

/// The largest weight of a path from each node, and the first edge inside a circle that has a
/// weight: then there is no largest.
pub(super) fn longest(edges: &impl Edges, parts: &Components, weight: impl Fn(u32, u32) -> u32) -> Result<Vec<u32>, u32> {
    let mut best = vec![0_u32; parts.count as usize];
    let mut circle: Option<u32> = None;
    for node in &parts.order {
        let part = parts.of[*node as usize] as usize;
        let mut at = 0;
        while let Some((target, behind)) = edges.next(*node, at) {
            let (to, more) = (parts.of[target as usize] as usize, weight(*node, behind));
            if to == part && more > 0 {
                circle = Some(circle.map_or(*node, |c| c.min(*node)));
            }
            best[part] = best[part].max(best[to].saturating_add(if to == part { 0 } else { more }));
            at = behind;
        }
    }
    match circle {
        Some(node) => Err(node),
        None => Ok((0..edges.len()).map(|n| best[parts.of[n as usize] as usize]).collect()),
    }
}
