//! Globs compiled once, when the rules are loaded: evaluating a gate compiles nothing.

use std::ops::Deref;

use globset::{GlobBuilder, GlobMatcher};

/// Path patterns as people wrote them, ready to match.
///
/// Reads like the slice of its sources. Two are equal when their sources are.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    sources: Vec<String>,
    ready: Vec<Pattern>,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// No glob at all: the path itself.
    Path,
    /// A glob; `*` stays within a folder.
    Glob(GlobMatcher),
    /// It does not compile, and matches nothing: the loader refuses it.
    Broken,
}

impl Patterns {
    /// Compiles these patterns.
    #[must_use]
    pub fn new(sources: Vec<String>) -> Self {
        let ready = sources.iter().map(|source| Pattern::of(source)).collect();
        Self { sources, ready }
    }

    /// Whether at least one pattern matches `path`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        (0..self.sources.len()).any(|at| self.matches_at(at, path))
    }

    /// Whether the pattern at this place matches `path`.
    #[must_use]
    pub fn matches_at(&self, at: usize, path: &str) -> bool {
        match (self.ready.get(at), self.sources.get(at)) {
            (Some(Pattern::Path), Some(source)) => source == path,
            (Some(Pattern::Glob(glob)), _) => glob.is_match(path),
            _ => false,
        }
    }

    /// The patterns that match none of `paths`, as they were written.
    pub fn unmatched<'a, I>(&'a self, paths: impl Fn() -> I) -> impl Iterator<Item = &'a str>
    where
        I: Iterator<Item = &'a str>,
    {
        let missing = move |at: &usize| !paths().any(|path| self.matches_at(*at, path));
        (0..self.sources.len())
            .filter(missing)
            .filter_map(|at| self.sources.get(at).map(String::as_str))
    }
}

impl Pattern {
    fn of(source: &str) -> Self {
        if literal(source) {
            return Self::Path;
        }
        let glob = GlobBuilder::new(source).literal_separator(true).build();
        glob.map_or(Self::Broken, |glob| Self::Glob(glob.compile_matcher()))
    }
}

/// Whether a pattern is no glob but a path.
#[must_use]
pub fn literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

impl Deref for Patterns {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.sources
    }
}

impl From<Vec<String>> for Patterns {
    fn from(sources: Vec<String>) -> Self {
        Self::new(sources)
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources
    }
}

impl Eq for Patterns {}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(sources: &[&str]) -> Patterns {
        Patterns::new(sources.iter().map(|s| (*s).to_owned()).collect())
    }

    #[test]
    fn paths_and_globs_match_as_the_checker_understood_them() {
        let found = patterns(&["01-brd.md", "06-adr/*.md", "ops/**"]);
        assert!(found.matches("01-brd.md") && found.matches("06-adr/1.md") && found.matches("ops/a/b"));
        assert!(!found.matches("01-brd.md.bak") && !found.matches("06-adr/deep/1.md") && !found.matches("opsx"));
    }

    #[test]
    fn a_pattern_that_does_not_compile_matches_nothing() {
        assert!(!patterns(&["a{"]).matches("a{"));
    }

    #[test]
    fn what_is_missing_is_named_as_written() {
        let found = patterns(&["a.md", "b/*.md"]);
        let files = ["a.md", "c.md"];
        assert_eq!(found.unmatched(|| files.iter().copied()).collect::<Vec<_>>(), ["b/*.md"]);
    }

    #[test]
    fn reads_like_its_sources() {
        assert_eq!(patterns(&["a", "b"]).len(), 2);
        assert_eq!(patterns(&["a"]), patterns(&["a"]));
        assert_ne!(patterns(&["a"]), patterns(&["b"]));
    }
}
