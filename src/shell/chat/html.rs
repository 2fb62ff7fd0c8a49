//! HTML as chats take it: a few tags, a few entities, and a limit on what is seen.

/// Longest message, in UTF-16 code units of what is seen.
pub const LIMIT: usize = 4096;

/// A message in HTML that fits the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html(String);

/// A part of an HTML text: what is seen of it counts.
enum Part<'a> {
    /// `<b>`, `</b>`.
    Tag(&'a str),
    /// `&lt;`, a character.
    Seen(&'a str),
}

impl Html {
    /// Plain text, cut to the limit and then escaped.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut out = String::new();
        for c in cut(text).chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                // The interface takes no control characters but these.
                c if c.is_control() && !matches!(c, '\n' | '\t') => {}
                c => out.push(c),
            }
        }
        Self(out)
    }

    /// HTML whose values are escaped, cut to the limit: never inside a tag or an entity, and what
    /// is open there is closed.
    #[must_use]
    pub fn of_html(html: &str) -> Self {
        if plain_of(html).encode_utf16().count() <= LIMIT {
            return Self(html.to_owned());
        }
        let (mut out, mut seen) = (String::new(), 0_usize);
        let mut open: Vec<&str> = Vec::new();
        for part in parts(html) {
            match part {
                Part::Tag(tag) => {
                    match tag.strip_prefix("</") {
                        Some(_) => drop(open.pop()),
                        None => open.push(name_of(tag)),
                    }
                    out.push_str(tag);
                }
                Part::Seen(text) => {
                    seen = seen.saturating_add(decoded(text).len_utf16());
                    if seen >= LIMIT {
                        out.push('…');
                        break;
                    }
                    out.push_str(text);
                }
            }
        }
        for name in open.iter().rev() {
            out.push_str("</");
            out.push_str(name);
            out.push('>');
        }
        Self(out)
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is seen of it, for a chat that does not take the markup.
    #[must_use]
    pub fn plain(&self) -> String {
        plain_of(&self.0)
    }
}

fn plain_of(html: &str) -> String {
    let seen = parts(html).filter_map(|part| match part {
        Part::Seen(text) => Some(decoded(text)),
        Part::Tag(_) => None,
    });
    seen.collect()
}

/// At most [`LIMIT`] units of a text, cut between characters.
fn cut(text: &str) -> String {
    if text.encode_utf16().count() <= LIMIT {
        return text.to_owned();
    }
    let mut left = LIMIT.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    });
    let mut kept: String = kept.collect();
    kept.push('…');
    kept
}

/// The parts of an HTML text, in order. A `<` or `&` that begins nothing is a character.
fn parts(html: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (length, tag) = match first {
            '<' => (rest.find('>').map_or(1, |end| end.saturating_add(1)), rest.contains('>')),
            '&' => (entity(rest), false),
            c => (c.len_utf8(), false),
        };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        Some(if tag { Part::Tag(part) } else { Part::Seen(part) })
    })
}

/// How long the entity is that the text begins with; 1 when it begins with none.
fn entity(text: &str) -> usize {
    let end = text.bytes().take(12).position(|b| b == b';');
    let length = end.map_or(1, |end| end.saturating_add(1));
    if text.get(..length).and_then(named).is_some() { length } else { 1 }
}

/// The character that an entity, or a character, stands for.
fn decoded(part: &str) -> char {
    named(part).or_else(|| part.chars().next()).unwrap_or_default()
}

/// The character that an entity stands for.
fn named(entity: &str) -> Option<char> {
    let name = entity.strip_prefix('&')?.strip_suffix(';')?;
    let number = |digits: &str| match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "amp" => Some('&'),
        other => other.strip_prefix('#').and_then(number).and_then(char::from_u32),
    }
}

/// The name of an opening tag.
fn name_of(tag: &str) -> &str {
    let inner = tag.trim_start_matches('<').trim_end_matches('>');
    inner.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn text_is_cut_first_and_escaped_then() {
        let html = Html::of_text(&"<&>".repeat(5000));
        assert_eq!(units(&html.plain()), LIMIT);
        assert!(html.as_str().len() > LIMIT && html.as_str().ends_with('…'));
        assert_eq!(Html::of_text("a\u{0}b\u{1b}[1m <i>").as_str(), "ab[1m &lt;i&gt;");
        // A character of two units that would stand over the limit is left out.
        let odd = Html::of_text(&format!("x{}", "😀".repeat(4000)));
        assert!(units(&odd.plain()) <= LIMIT && odd.plain().ends_with("😀…"));
    }

    #[test]
    fn html_is_cut_outside_tags_and_entities_and_closed() {
        let html = Html::of_html(&format!("<b>{}<a href=\"x\">{}</a></b>", "a".repeat(4090), "&amp;".repeat(100)));
        assert!(html.as_str().ends_with("&amp;…</a></b>"), "{}", html.as_str());
        assert_eq!(units(&html.plain()), LIMIT);
        let fits = format!("<b>{}</b>", "&lt;".repeat(LIMIT));
        assert_eq!(Html::of_html(&fits).as_str(), fits);
    }

    #[test]
    fn what_is_seen_of_it() {
        assert_eq!(
            Html::of_html("<b>a</b> &lt;i&gt; &#x2f; &quot;&amp;lt; & x < y").plain(),
            "a <i> / \"&lt; & x < y"
        );
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..Default::default() })]

        #[test]
        fn no_text_goes_over_or_leaves_a_tag_open(text in "\\PC{0,300}", times in 1_usize..60) {
            let text = text.repeat(times);
            let html = Html::of_text(&text);
            prop_assert!(units(&html.plain()) <= LIMIT);
            let framed = Html::of_html(&format!("<b><i>{}</i></b>", html.as_str().repeat(2)));
            prop_assert!(units(&framed.plain()) <= LIMIT);
            prop_assert!(framed.as_str().ends_with("</i></b>"));
        }
    }
}
