//! Texts: ours to Plane's HTML, Plane's HTML to text.

use std::sync::LazyLock;

use html2text::config;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use regex::Regex;

use super::words::Words;

/// Lines are not broken: agents and markers want them as they were written.
const WIDTH: usize = 100_000;
/// Longest HTML that is read, in bytes.
const LONGEST: usize = 256 * 1024;
/// Elements within elements up to which HTML is read with its structure: no editor goes deeper, and
/// the time it takes grows with the square.
const DEEPEST: usize = 200;
/// Elements that hold nothing.
const VOID: [&str; 6] = ["br", "img", "hr", "input", "wbr", "col"];

static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("<[^>]*>?").ok());

/// Our message, Markdown, as HTML that shows every character of it: what looks like HTML in it is
/// text, and links lead to web pages only.
#[must_use]
pub fn from_markdown(text: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut dropped = 0_u32;
    let events = Parser::new_ext(text, options).filter_map(move |event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        // A line break of ours is meant.
        Event::SoftBreak => Some(Event::HardBreak),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        // Nothing is fetched by whoever reads a comment.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { dest_url, .. }) if !web(&dest_url) => {
            dropped += 1;
            None
        }
        Event::End(TagEnd::Link) if dropped > 0 => {
            dropped -= 1;
            None
        }
        other => Some(other),
    });
    let mut out = String::with_capacity(text.len() + 64);
    html::push_html(&mut out, events);
    out.trim().to_owned()
}

fn web(url: &CowStr<'_>) -> bool {
    let lower = url.trim_start().to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://")
}

/// What a person wrote, as text. Markup without words is no words.
#[must_use]
pub fn to_text(html: &str) -> String {
    if html.trim().is_empty() {
        return String::new();
    }
    let cut = html
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= LONGEST)
        .last()
        .unwrap_or(0);
    let html = if html.len() > LONGEST { &html[..cut] } else { html };
    if deep(html) {
        let words = TAG.as_ref().map(|tag| tag.replace_all(html, " ").into_owned()).unwrap_or_default();
        return words.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let config = config::with_decorator(Words::default())
        .no_table_borders()
        .raw_mode(true)
        .allow_width_overflow();
    let text = config.string_from_read(html.as_bytes(), WIDTH).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

/// Whether elements lie deeper in one another than anyone writes. One that is never closed counts on.
fn deep(html: &str) -> bool {
    let mut depth = 0_usize;
    for tag in html.split('<').skip(1) {
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !name.is_empty() && !VOID.contains(&name.to_ascii_lowercase().as_str()) {
            depth += 1;
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_was_escaped_shows_as_it_was_written() {
        let html = from_markdown(r"**X-1** has started: Fix \*all\* of \`x\`, \[a\](b) \# <b> & a\_b");
        assert_eq!(
            html,
            "<p><strong>X-1</strong> has started: Fix *all* of `x`, [a](b) # &lt;b&gt; &amp; a_b</p>"
        );
    }

    #[test]
    fn our_texts_become_paragraphs_lists_and_code() {
        let html = from_markdown("Put **a** question:\n\n- one\n- two\n\n```\nlet x = 1 < 2;\n```");
        assert!(html.contains("<p>Put <strong>a</strong> question:</p>"), "{html}");
        assert!(html.contains("<li>one</li>"), "{html}");
        assert!(html.contains("let x = 1 &lt; 2;"), "{html}");
        assert_eq!(from_markdown("one\ntwo"), "<p>one<br />\ntwo</p>");
    }

    #[test]
    fn what_looks_like_html_stays_text() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div>\n<b>x</b>\n</div>",
            "Vec<T>",
            "</p><script>",
        ] {
            let html = from_markdown(text);
            assert!(
                !html.contains("<script") && !html.contains("<img") && !html.contains("<div"),
                "{html}"
            );
            let back = to_text(&html);
            let plain = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(plain(&back), plain(text), "{html}");
        }
    }

    #[test]
    fn links_lead_to_pages_only() {
        let html =
            from_markdown("[go](javascript:alert(1)) [pr](https://git.example/1) [x](https://a.example) ![i](https://b.example/i.png)");
        assert!(!html.contains("javascript") && !html.contains("<img"), "{html}");
        assert!(html.contains("<a href=\"https://git.example/1\">pr</a>"), "{html}");
        assert!(html.contains("<a href=\"https://a.example\">x</a>"), "{html}");
    }

    #[test]
    fn what_people_write_becomes_text() {
        assert_eq!(
            to_text("<p>Users &lt;admin&gt; &amp; guests cannot log in — fix.</p>"),
            "Users <admin> & guests cannot log in — fix."
        );
        assert_eq!(to_text("<p>:approved:</p>"), ":approved:");
        assert_eq!(to_text("<p>:rejected: too <b>large</b></p>"), ":rejected: too large");
        let text = to_text("<p>first</p><p>second<br>third</p><ul><li>one</li><li>two</li></ul>");
        assert!(text.starts_with("first\n\nsecond\nthird\n"), "{text:?}");
        assert!(text.contains("* one\n* two"), "{text:?}");
        assert_eq!(
            to_text("<p>a <a href=\"https://x.example\">b</a> <code>c</code></p>"),
            "a b <https://x.example> `c`"
        );
    }

    #[test]
    fn markup_alone_says_nothing() {
        for html in [
            "",
            "<p></p>",
            "<p><br></p>",
            "<p>&nbsp;</p>",
            "<div><p> </p></div>",
            "<p><img src=\"x\"></p>",
            "<ul></ul>",
        ] {
            assert_eq!(to_text(html), "", "{html}");
        }
    }

    #[test]
    fn no_html_is_too_wild() {
        let deep = format!("{}x{}", "<div>".repeat(20_000), "</div>".repeat(20_000));
        assert_eq!(to_text(&deep), "x");
        let _ = to_text(&"<table><tr><td>".repeat(5_000));
        assert!(to_text(&"<p>é</p>".repeat(100_000)).len() <= LONGEST);
        let _ = to_text("<p unclosed=\"");
        let _ = from_markdown(&"[".repeat(10_000));
        let _ = from_markdown(&"> ".repeat(10_000));
    }
}
